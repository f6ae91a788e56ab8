<?php
// This file is part of Moodle - https://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <https://www.gnu.org/licenses/>.

/**
 * Makes, changes and lists rules from the command line.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\cli;
use local_integrationhub\rule\registry;
use local_integrationhub\service\registry as services;

$help = <<<'TEXT'
Makes, changes and lists the rules of Moodle Integration Hub.

    rule.php --list [--service=NAME] [--json]
    rule.php --add=EVENT --service=NAME [fields]
    rule.php --update=ID [fields]
    rule.php --enable=ID | --disable=ID | --delete=ID

EVENT is an event class such as '\core\event\user_created', or '\mod_quiz\event\*' for all events of a component.

Fields:
    --service=NAME       the service that the event goes to
    --endpoint=PATH      path, AMQP routing key or SOAP operation
    --method=METHOD      POST, GET, PUT, PATCH or DELETE (default: POST)
    --template=JSON      payload template; without one the whole event is sent
    --template-file=FILE the same from a file, - for standard input
    --filter=JSON        condition; events for which it is not true are skipped; an empty one takes all
    --filter-file=FILE   the same from a file, - for standard input

Templates and filters are checked before anything is saved; what is wrong is told with line and column.

Exit code 0 when done, 1 with a message when not.

TEXT;

$fields = ['endpoint' => 'endpoint', 'method' => 'http_method', 'template' => 'payload_template', 'filter' => 'filter'];
$options = cli::options(array_merge(
    ['list', 'json', 'add', 'update', 'enable', 'disable', 'delete', 'service', 'template-file', 'filter-file'],
    array_keys($fields)
), $help);

cli::run(function () use ($options, $fields): void {
    [$action, $what] = cli::action($options, ['list', 'add', 'update', 'enable', 'disable', 'delete']);
    $data = cli::record($options, $fields);
    if ($options['template-file'] !== null) {
        $data->payload_template = cli::file_content($options['template-file']);
    }
    if ($options['filter-file'] !== null) {
        $data->filter = cli::file_content($options['filter-file']);
    }
    if ($options['service'] !== null) {
        $service = services::get_service($options['service']);
        if (!$service) {
            throw new moodle_exception('service_not_found', 'local_integrationhub', '', $options['service']);
        }
        $data->serviceid = $service->id;
    }
    if ($action === 'list') {
        $columns = ['id', 'eventname', 'serviceid', 'http_method', 'endpoint', 'enabled', 'payload_template', 'filter',
            'disabledreason'];
        $rules = array_filter(registry::get_all_rules(), fn($rule) => in_array($data->serviceid ?? null, [null, $rule->serviceid]));
        cli::table($rules, $columns, (bool) $options['json']);
        return;
    }
    $what = cli::argument($action, $what);
    if ($action === 'add') {
        if ($options['service'] === null) {
            throw new moodle_exception('cli_missing', 'local_integrationhub', '', '--service');
        }
        $data->eventname = $what;
        cli_writeln(get_string('cli_rule_added', 'local_integrationhub', registry::create_rule($data)));
        return;
    }
    if (!ctype_digit($what) || !registry::get_rule((int) $what)) {
        throw new moodle_exception('error_rule_not_found', 'local_integrationhub', '', $what);
    }
    if ($action === 'delete') {
        registry::delete_rule((int) $what);
    } else {
        $data = $action === 'update' ? $data : (object) ['enabled' => (int) ($action === 'enable')];
        registry::update_rule((int) $what, $data);
    }
    cli_writeln(get_string('cli_done', 'local_integrationhub'));
});
