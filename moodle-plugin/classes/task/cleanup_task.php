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

namespace local_integrationhub\task;

use local_integrationhub\local\config;
use local_integrationhub\local\inbound\limits;

/**
 * Deletes what nobody needs any more: rows of dead letters that are settled (delivered, discarded or dropped), replays that have
 * ended and that no such row names, notes of inbound calls, and rows of worker processes that are long gone.
 *
 * The worker fleet may not delete these, but for its own rows, so that nobody who gets hold of its account can hide a dead letter.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class cleanup_task extends \core\task\scheduled_task {
    /** Seconds after which a note of an inbound call is of no use: longer than any window that a service may have. */
    private const NONCEAGE = 2 * DAYSECS;

    /** Seconds after which the row of a worker process that was not seen says nothing: the fleet itself deletes them, if it runs. */
    private const WORKERAGE = 7 * DAYSECS;

    /**
     * Name for people.
     *
     * @return string
     */
    public function get_name() {
        return get_string('task_cleanup', 'local_integrationhub');
    }

    /**
     * Deletes what is older than the setting says.
     */
    public function execute() {
        global $DB;
        $before = time() - config::number('dlq_keep_days') * DAYSECS;
        $select = "state NOT IN ('dead', 'replayed') AND timemodified < :before";
        $DB->delete_records_select('local_integrationhub_dlq', $select, ['before' => $before]);
        $select = "state IN ('done', 'stopped', 'failed') AND timemodified < :before
            AND id NOT IN (SELECT replayid FROM {local_integrationhub_dlq} WHERE replayid IS NOT NULL)";
        $DB->delete_records_select('local_integrationhub_replay', $select, ['before' => $before]);
        $DB->delete_records_select('local_integrationhub_worker', 'timeseen < ?', [time() - self::WORKERAGE]);
        limits::forget(self::NONCEAGE);
    }
}
