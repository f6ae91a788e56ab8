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
 * Checks the templates and conditions of all rules; a script of 2.0.0.
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

$help = <<<'TEXT'
Checks the event name, endpoint, template and condition of every rule of Moodle Integration Hub, as saving it would. Nothing is
sent or changed.

    test_logic.php

Exit code 0 when all are valid, 1 when one is not.

TEXT;

cli::options([], $help, false);

$failed = false;
foreach (registry::get_all_rules() as $rule) {
    $fault = registry::fault($rule);
    cli_writeln(($fault === null ? 'OK' : 'ERROR') . "\t#$rule->id $rule->eventname" . ($fault === null ? '' : ": $fault"));
    $failed = $failed || $fault !== null;
}
exit((int) $failed);
