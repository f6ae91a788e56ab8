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

/**
 * Takes messages from the services' response queues.
 *
 * Kept from 2.0.0, whose consumer never worked, so that a schedule that an administrator has changed stays through the
 * upgrade. This version takes nothing from those queues, and says so: what lies in them stays there.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class consume_responses_task extends \core\task\scheduled_task {
    /**
     * Name for people.
     *
     * @return string
     */
    public function get_name() {
        return get_string('task_consume_responses', 'local_integrationhub');
    }

    /**
     * Names the queues that are left alone.
     */
    public function execute() {
        global $DB;
        $select = $DB->sql_isnotempty('local_integrationhub_svc', 'response_queue', true, false) . ' AND enabled = 1';
        $services = $DB->get_records_select('local_integrationhub_svc', $select, null, 'name', 'id, name, response_queue');
        foreach ($services as $service) {
            mtrace(get_string('task_consume_later', 'local_integrationhub', $service));
        }
    }
}
