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
 * Tells how the hub is doing; a script of 2.0.0.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');
require_once(__DIR__ . '/../lib.php');

use core\check\result;
use local_integrationhub\local\cli;

$help = <<<'TEXT'
Makes the checks of Moodle Integration Hub that Moodle's status page shows: broker, workers, outbox, dead letters and more.

    test_mih.php

Exit code 0 when none found an error, 1 when one did.

TEXT;

cli::options([], $help, false);

$failed = false;
foreach (local_integrationhub_status_checks() as $check) {
    $check->set_component('local_integrationhub');
    $result = $check->get_result();
    cli_writeln(strtoupper($result->get_status()) . "\t" . $check->get_name() . ': ' . $result->get_summary());
    $failed = $failed || in_array($result->get_status(), [result::ERROR, result::CRITICAL], true);
}
exit((int) $failed);
