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
 * Prints a configuration of the worker fleet for this site.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\cli;
use local_integrationhub\local\worker_config;

$help = <<<'TEXT'
Prints a configuration of the worker fleet (mih.conf) for this site.

    worker_config.php [--user=NAME --password-stdin] > /etc/mih/mih.conf

    --user=NAME        the database user of the fleet, who needs few rights (default: Moodle's own user)
    --password=TEXT    that user's password; an argument can be seen by everybody on this machine
    --password-stdin   read that password from standard input instead

The output holds passwords: keep it readable by the fleet's user only.
Exit code 0 when done, 1 with a message when not.

TEXT;

$options = cli::options(['user', 'password', 'password-stdin'], $help, false);

cli::run(function () use ($options): void {
    global $CFG;
    $user = $options['user'] ?? $CFG->dbuser;
    $password = $options['user'] === null ? $CFG->dbpass : (string) $options['password'];
    if ($options['password-stdin']) {
        $password = rtrim((string) file_get_contents('php://stdin'), "\r\n");
    }
    cli_write(worker_config::text((string) $user, (string) $password));
    fwrite(STDERR, get_string('cli_has_secrets', 'local_integrationhub') . "\n");
});
