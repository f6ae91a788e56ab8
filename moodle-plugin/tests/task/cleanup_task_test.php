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
 * The task that deletes rows of settled dead letters.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\task\cleanup_task
 */
final class cleanup_task_test extends \advanced_testcase {
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
    }

    /**
     * Runs the task.
     *
     * @return string[] which rows are left, each as its state and age in days
     */
    private function left(): array {
        global $DB;
        $task = \core\task\manager::get_scheduled_task('local_integrationhub\task\cleanup_task');
        $this->assertNotEmpty($task->get_name());
        $task->execute();
        $left = $DB->get_fieldset_select('local_integrationhub_dlq', 'messageid', '1 = 1');
        sort($left);
        return $left;
    }

    public function test_settled_rows_go_after_thirty_days_and_the_others_stay(): void {
        global $DB;
        foreach (['dead', 'replayed', 'delivered', 'discarded', 'dropped'] as $state) {
            foreach ([29, 31] as $days) {
                $DB->insert_record('local_integrationhub_dlq', (object) [
                    'eventname' => '\core\event\a',
                    'serviceid' => 1,
                    'state' => $state,
                    'messageid' => "$state $days",
                    'timecreated' => 1,
                    'timemodified' => time() - $days * DAYSECS,
                ]);
            }
        }
        $kept = ['dead 29', 'dead 31', 'delivered 29', 'discarded 29', 'dropped 29', 'replayed 29', 'replayed 31'];
        $this->assertSame($kept, $this->left());
        set_config('dlq_keep_days', 40, 'local_integrationhub');
        $this->assertSame($kept, $this->left());
        set_config('dlq_keep_days', 10, 'local_integrationhub');
        $this->assertSame(['dead 29', 'dead 31', 'replayed 29', 'replayed 31'], $this->left());
    }
}
