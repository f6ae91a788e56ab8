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
 * Makes, changes and lists services from the command line.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\cli;
use local_integrationhub\service\registry;

$help = <<<'TEXT'
Makes, changes and lists the services of Moodle Integration Hub.

    service.php --list [--json]
    service.php --add=NAME --url=URL [fields]
    service.php --update=NAME [fields]
    service.php --enable=NAME | --disable=NAME | --delete=NAME

Fields:
    --url=URL              base URL (REST), WSDL URL (SOAP) or AMQP URL
    --type=TYPE            rest, amqp or soap (default: rest)
    --auth=TYPE            bearer, apikey or none (default: bearer)
    --token-stdin          read the token from standard input (a token in an argument can be seen by everybody here)
    --timeout=SECONDS      (default: the setting default_timeout)
    --max-retries=N        (default: the setting default_max_retries)
    --retry-backoff=SECONDS
    --cb-threshold=N       failures in a row that open the circuit breaker
    --cb-cooldown=SECONDS
    --max-concurrency=N    requests at a time, per worker process
    --rate-limit=N         requests per second of all worker processes together; 0: no limit
    --long-retries=0|1     go on trying for days after the last retry (default: 1)
    --paused=0|1           keep its events waiting
    --response-queue=NAME  inbound queue of an AMQP service

Exit code 0 when done, 1 with a message when not.

TEXT;

$fields = [
    'url' => 'base_url',
    'type' => 'type',
    'auth' => 'auth_type',
    'timeout' => 'timeout',
    'max-retries' => 'max_retries',
    'retry-backoff' => 'retry_backoff',
    'cb-threshold' => 'cb_failure_threshold',
    'cb-cooldown' => 'cb_cooldown',
    'max-concurrency' => 'max_concurrency',
    'rate-limit' => 'rate_limit',
    'long-retries' => 'long_retries',
    'paused' => 'paused',
    'response-queue' => 'response_queue',
];
$options = cli::options(array_merge(
    ['list', 'json', 'add', 'update', 'enable', 'disable', 'delete', 'token-stdin'],
    array_keys($fields)
), $help);

cli::run(function () use ($options, $fields): void {
    [$action, $name] = cli::action($options, ['list', 'add', 'update', 'enable', 'disable', 'delete']);
    $data = cli::record($options, $fields);
    if ($options['token-stdin']) {
        $data->auth_token = trim((string) file_get_contents('php://stdin'));
    }
    if ($action === 'list') {
        $columns = ['id', 'name', 'type', 'auth_type', 'enabled', 'base_url'];
        cli::table(registry::get_all_services(), $columns, (bool) $options['json']);
        return;
    }
    $name = cli::argument($action, $name);
    if ($action === 'add') {
        $data->name = $name;
        cli_writeln(get_string('cli_service_added', 'local_integrationhub', registry::create_service($data)));
        return;
    }
    $service = registry::get_service($name);
    if (!$service) {
        throw new moodle_exception('service_not_found', 'local_integrationhub', '', $name);
    }
    if ($action === 'delete') {
        registry::delete_service((int) $service->id);
    } else {
        $data = $action === 'update' ? $data : (object) ['enabled' => (int) ($action === 'enable')];
        registry::update_service((int) $service->id, $data);
    }
    cli_writeln(get_string('cli_done', 'local_integrationhub'));
});
