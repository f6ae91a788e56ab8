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

    public function test_replays_and_workers_of_the_past_go(): void {
        global $DB;
        $old = time() - 31 * DAYSECS;
        $replays = [['done', $old], ['failed', $old], ['requested', $old], ['running', $old], ['done', time()], ['done', $old]];
        foreach ($replays as [$state, $time]) {
            $row = (object) ['state' => $state, 'timemodified' => $time];
            $ids[] = (int) $DB->insert_record('local_integrationhub_replay', $row);
        }
        $DB->insert_record('local_integrationhub_dlq', (object) ['eventname' => 'e', 'serviceid' => 1, 'replayid' => $ids[5]]);
        foreach (['gone' => 8 * DAYSECS, 'here' => DAYSECS] as $instance => $age) {
            $row = (object) ['instance' => $instance, 'timeseen' => time() - $age];
            $DB->insert_record('local_integrationhub_worker', $row);
        }
        $this->left();
        $left = $DB->get_fieldset_select('local_integrationhub_replay', 'id', '1 = 1');
        $this->assertEqualsCanonicalizing(array_slice($ids, 2), array_map('intval', $left));
        $this->assertSame(['here'], $DB->get_fieldset_select('local_integrationhub_worker', 'instance', '1 = 1'));
    }
}
