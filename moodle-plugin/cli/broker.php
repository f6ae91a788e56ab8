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
 * Sets, shows and tests the broker from the command line.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\amqp_broker;
use local_integrationhub\local\amqp_url;
use local_integrationhub\local\cli;
use local_integrationhub\local\config;
use local_integrationhub\local\cooloff;
use local_integrationhub\local\outbox;

$help = <<<'TEXT'
Sets, shows and tests the message broker of Moodle Integration Hub.

    broker.php --set     read amqp[s]://user:password@host[:port]/vhost from standard input (several: separated by
                         commas; an empty line: none), store it encrypted
    broker.php --show    the settings, without the password, and how many events wait in the outbox
    broker.php --test    connect and send the worker fleet a hint

Exit code 0 when done, 1 with a message when not.

TEXT;

$options = cli::options(['set', 'show', 'test'], $help);

cli::run(function () use ($options): void {
    global $DB;
    [$action] = cli::action($options, ['set', 'show', 'test']);
    if ($action === 'set') {
        $url = trim((string) file_get_contents('php://stdin'));
        amqp_url::parse_list($url);
        config::set_broker_url($url);
        (new cooloff())->clear();
        cli_writeln(get_string('cli_done', 'local_integrationhub'));
    } else if ($action === 'show') {
        $masked = array_map(function (amqp_url $url): string {
            return $url->masked();
        }, amqp_url::parse_list(config::broker_url()));
        cli_writeln('broker: ' . ($masked ? implode(', ', $masked) : '-'));
        foreach (['mode', 'exchange', 'namespace', 'connectbudget', 'confirmbudget', 'cooloff'] as $name) {
            cli_writeln($name . ': ' . config::text($name));
        }
        cli_writeln('siteid: ' . config::site_id());
        cli_writeln('outbox: ' . $DB->count_records(outbox::TABLE));
        cli_writeln('last failure: ' . ((new cooloff())->reason() ?? '-'));
    } else {
        $error = amqp_broker::instance()->hint(json_encode(['hint' => 'configuration']));
        if ($error !== null) {
            throw new moodle_exception('error_connect', 'local_integrationhub', '', $error);
        }
        (new cooloff())->clear();
        cli_writeln(get_string('cli_done', 'local_integrationhub'));
    }
});
