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
 * Closes the circuit breaker of a service; a script of 2.0.0.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\cli;
use local_integrationhub\service\circuit_breaker;
use local_integrationhub\service\registry;

$help = <<<'TEXT'
Closes the circuit breaker of a service of Moodle Integration Hub: it is called again at once, by Moodle and by the workers.

    reset_cb.php --service=NAME     (or -s=NAME)

Exit code 0 when done, 1 with a message when not.

TEXT;

$options = cli::options(['service'], $help, true, ['s' => 'service']);

cli::run(function () use ($options): void {
    $name = cli::argument('service', (string) $options['service']);
    $service = registry::get_service($name);
    if (!$service) {
        throw new moodle_exception('service_not_found', 'local_integrationhub', '', $name);
    }
    circuit_breaker::from_service($service)->reset();
    cli_writeln(get_string('cli_breaker_reset', 'local_integrationhub'));
});
