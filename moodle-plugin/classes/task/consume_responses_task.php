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

use local_integrationhub\local\gateway\secrets;
use local_integrationhub\local\inbound\response_queue;

/**
 * Takes messages from the services' response queues.
 *
 * The class is that of 2.0.0, whose consumer never worked, so that a schedule that an administrator has changed stays through
 * the upgrade. A service whose broker is away does not keep the others waiting for longer than its time-out, nor from being
 * served.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class consume_responses_task extends \core\task\scheduled_task {
    /** Most messages of a service in one run. */
    private const MOST = 1000;

    /** Seconds for one service in one run: the task is started every minute. */
    private const SECONDS = 20;

    /**
     * Name for people.
     *
     * @return string
     */
    public function get_name() {
        return get_string('task_consume_responses', 'local_integrationhub');
    }

    /**
     * Takes what is there.
     */
    public function execute() {
        global $DB;
        $hasqueue = $DB->sql_isnotempty('local_integrationhub_svc', 'response_queue', true, false);
        $select = "$hasqueue AND enabled = 1 AND type = 'amqp'";
        foreach ($DB->get_records_select('local_integrationhub_svc', $select, null, 'name') as $service) {
            $queue = new response_queue($service);
            $a = ['queue' => $service->response_queue, 'service' => $service->name];
            try {
                $queue->consume(self::MOST, microtime(true) + self::SECONDS);
            } catch (\Throwable $e) {
                $a['error'] = secrets::mask($e->getMessage(), $service);
                mtrace(get_string('task_consume_failed', 'local_integrationhub', $a));
            }
            $a += ['handled' => $queue->handled, 'rejected' => $queue->rejected];
            mtrace(get_string('task_consume_done', 'local_integrationhub', $a));
        }
    }
}
