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
 * The view of 2.0.0's tasks that its API gave.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\task\queue_manager
 */
final class queue_manager_test extends \advanced_testcase {
    /** @var \stdClass */
    private $rule;

    /** @var int[] ids of a task with its rule, of one whose rule is gone and of another plugin's */
    private $ids;

    protected function setUp(): void {
        global $DB;
        parent::setUp();
        $this->resetAfterTest();
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $service = $generator->create_service(['name' => 'crm']);
        $this->rule = $generator->create_rule(['eventname' => '\core\event\user_created', 'serviceid' => $service->id]);
        $ours = '\local_integrationhub\task\dispatch_event_task';
        foreach ([[$ours, (int) $this->rule->id, 3000], [$ours, 0, 2000], ['\other\task', (int) $this->rule->id, 1000]] as $task) {
            $this->ids[] = (int) $DB->insert_record('task_adhoc', (object) ['component' => '', 'classname' => $task[0],
                'nextruntime' => $task[2], 'faildelay' => 960, 'blocking' => 0, 'customdata' => json_encode(['ruleid' => $task[1],
                'eventdata' => ['eventname' => '\core\event\course_viewed']])]);
        }
    }

    public function test_what_waits_is_told_with_its_event_and_service(): void {
        $tasks = queue_manager::get_pending_tasks();
        $this->assertEquals([$this->ids[1], $this->ids[0]], array_column($tasks, 'id'));
        $this->assertSame(['\core\event\course_viewed', '\core\event\user_created'], array_column($tasks, 'eventname'));
        $this->assertSame(['', 'crm'], array_column($tasks, 'servicename'));
        $this->assertSame([0, (int) $this->rule->id], array_column($tasks, 'ruleid'));
    }

    public function test_a_task_is_run_at_once(): void {
        global $DB;
        $this->assertTrue(queue_manager::retry_task($this->ids[0]));
        $task = $DB->get_record('task_adhoc', ['id' => $this->ids[0]]);
        $this->assertEquals(0, $task->faildelay);
        $this->assertLessThan(time() + 1, $task->nextruntime);
        $this->assertGreaterThan(3000, $task->nextruntime);
        $this->assertFalse(queue_manager::retry_task($this->ids[2]));
        $this->assertFalse(queue_manager::retry_task(0));
    }

    public function test_tasks_are_deleted_and_those_of_others_are_not(): void {
        global $DB;
        $this->assertSame(1, queue_manager::purge_orphan_tasks());
        $this->assertFalse($DB->record_exists('task_adhoc', ['id' => $this->ids[1]]));
        queue_manager::delete_task($this->ids[2]);
        $this->assertTrue($DB->record_exists('task_adhoc', ['id' => $this->ids[2]]));
        $this->assertTrue(queue_manager::delete_task($this->ids[0]));
        $this->assertSame([], queue_manager::get_pending_tasks());
    }
}
