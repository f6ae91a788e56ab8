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
 * The task of the response queues.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\task\consume_responses_task
 */
final class consume_responses_task_test extends \advanced_testcase {
    public function test_it_names_the_queues_that_are_left_alone(): void {
        $this->resetAfterTest();
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $generator->create_service(['name' => 'a', 'response_queue' => 'my.queue']);
        $generator->create_service(['name' => 'b', 'response_queue' => '']);
        $generator->create_service(['name' => 'c', 'response_queue' => 'off.queue', 'enabled' => 0]);
        $task = new consume_responses_task();
        $this->assertNotEmpty($task->get_name());
        $this->expectOutputString("Not taken by this version: queue my.queue of service a.\n");
        $task->execute();
    }
}
