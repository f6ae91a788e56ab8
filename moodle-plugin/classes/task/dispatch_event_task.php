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

use local_integrationhub\local\legacy_dispatch;

/**
 * Drains the tasks that 2.0.0 queued, one for each event and rule: hands them to the worker fleet.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class dispatch_event_task extends \core\task\adhoc_task {
    /**
     * Hands the event over for its rule; while that is not possible, Moodle tries again later.
     *
     * @throws \moodle_exception when the broker does not take it
     */
    public function execute() {
        $data = $this->get_custom_data();
        legacy_dispatch::hand_over((int) ($data->ruleid ?? 0), (array) ($data->eventdata ?? []), 'task ' . $this->get_id());
    }
}
