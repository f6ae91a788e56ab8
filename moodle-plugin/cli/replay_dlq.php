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
 * Sends dead letters again as they were sent; a script of 2.0.0.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\cli;
use local_integrationhub\local\replays;

$help = <<<'TEXT'
Sends dead letters of Moodle Integration Hub again, as they were sent: by the method and to the endpoint of their rules.

    replay_dlq.php --id=N     (or -i=N) the one with this number
    replay_dlq.php --all      (or -a) all

mih-replayer carries it out, at most 100 a second; the script waits for it for a minute. Letters of 2.0.0 go to the workers at once.
Exit code 0 when done, 1 with a message when not. mih-replayer has a command line of its own, with filters.

TEXT;

$options = cli::options(['id', 'all'], $help, true, ['i' => 'id', 'a' => 'all']);

cli::run(function () use ($options, $DB): void {
    [$action, $argument] = cli::action($options, ['id', 'all']);
    $ids = $action === 'all' ? $DB->get_fieldset_select('local_integrationhub_dlq', 'id', 'state = ?', ['dead'])
        : [(int) cli::argument('id', $argument)];
    $good = true;
    foreach (replays::carry_out($ids) as $id => [$word, $text]) {
        cli_writeln("#$id [$word] $text");
        $good = $good && $word === 'SUCCESS';
    }
    cli_writeln(get_string('cli_done', 'local_integrationhub'));
    if (!$good) {
        exit(1);
    }
});
