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
 * Shows the configuration of a service, without its secrets; a script of 2.0.0.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\cli;
use local_integrationhub\local\service_fields;
use local_integrationhub\service\circuit_breaker;
use local_integrationhub\service\registry;

$help = <<<'TEXT'
Shows the configuration of a service of Moodle Integration Hub. Secrets are shown as ***.

    debug_config.php --name=NAME

Exit code 0 when done, 1 with a message when not.

TEXT;

$options = cli::options(['name'], $help);

cli::run(function () use ($options): void {
    $name = cli::argument('name', (string) $options['name']);
    $service = registry::get_service($name);
    if (!$service) {
        throw new moodle_exception('service_not_found', 'local_integrationhub', '', $name);
    }
    cli_writeln("Type: $service->type");
    cli_writeln('Base URL: ' . cli::masked($service->base_url));
    foreach (parse_url(cli::masked($service->base_url)) ?: [] as $part => $value) {
        cli_writeln("    $part: $value");
    }
    // An administrator's own headers may be secrets, too.
    $secrets = array_merge(service_fields::SECRETS, ['headers', 'soap_headers']);
    foreach (array_diff(service_fields::names(), ['name', 'type', 'base_url']) as $field) {
        $value = (string) $service->$field;
        cli_writeln("$field: " . ($value !== '' && in_array($field, $secrets, true) ? '***' : $value));
    }
    cli_writeln('Circuit breaker: ' . circuit_breaker::from_service($service)->get_state_label());
});
