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

use local_integrationhub\fake_broker;
use local_integrationhub\local\legacy_dispatch;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/fake_broker.php');

/**
 * Tasks that 2.0.0 had queued.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\task\dispatch_event_task
 * @covers     \local_integrationhub\local\legacy_dispatch
 */
final class dispatch_event_task_test extends \advanced_testcase {
    /** @var fake_broker */
    private $broker;

    /** @var \stdClass */
    private $rule;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        set_config('brokerurl', 'amqp://localhost', 'local_integrationhub');
        set_config('siteid', 'here', 'local_integrationhub');
        $this->broker = new fake_broker();
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $this->rule = $generator->create_rule(['eventname' => '\core\event\user_created']);
    }

    /**
     * The data of an event.
     *
     * @param array $other
     * @return array
     */
    private function data(array $other = ['a' => ['b' => 1]]): array {
        return ['eventname' => '\core\event\user_created', 'userid' => 5, 'other' => $other, 'timecreated' => 1795341950];
    }

    public function test_the_event_is_handed_over_whole(): void {
        legacy_dispatch::hand_over((int) $this->rule->id, $this->data(), 'task 1', $this->broker);
        $message = $this->broker->published[0];
        $this->assertSame(
            '{"eventname":"\\\\core\\\\event\\\\user_created","userid":5,"other":{"a":{"b":1}},"timecreated":1795341950,'
            . '"ip":null,"origin":"cli","realuserid":null}',
            $message->body
        );
        $this->assertSame(1795341950, $message->timecreated);
    }

    public function test_the_same_task_has_the_same_id_again_and_another_a_different_one(): void {
        foreach (['task 1', 'task 1', 'task 2'] as $task) {
            legacy_dispatch::hand_over((int) $this->rule->id, $this->data(), $task, $this->broker);
        }
        [$first, $again, $other] = array_column($this->broker->published, 'id');
        $this->assertSame($first, $again);
        $this->assertNotSame($first, $other);
        $this->assertSame([true, true, true], array_column($this->broker->published, 'republished'));
    }

    public function test_rules_and_services_that_are_gone_or_disabled_are_passed_over(): void {
        global $DB;
        legacy_dispatch::hand_over(12345, $this->data(), 'task 1', $this->broker);
        $DB->set_field('local_integrationhub_svc', 'enabled', 0);
        legacy_dispatch::hand_over((int) $this->rule->id, $this->data(), 'task 1', $this->broker);
        $DB->set_field('local_integrationhub_svc', 'enabled', 1);
        $DB->set_field('local_integrationhub_rules', 'enabled', 0);
        legacy_dispatch::hand_over((int) $this->rule->id, $this->data(), 'task 1', $this->broker);
        $this->assertSame([], $this->broker->published);
    }

    /**
     * What the broker may answer.
     *
     * @return array
     */
    public static function failures(): array {
        return [['away', []], [null, ['\core\event\user_created']]];
    }

    /**
     * The task fails, and Moodle runs it again later.
     *
     * @dataProvider failures
     * @param string|null $error
     * @param string[] $unroutable
     */
    public function test_what_the_broker_does_not_take_is_not_forgotten(?string $error, array $unroutable): void {
        $this->broker->error = $error;
        $this->broker->unroutable = $unroutable;
        $this->expectException(\moodle_exception::class);
        legacy_dispatch::hand_over((int) $this->rule->id, $this->data(), 'task 1', $this->broker);
    }

    /**
     * The custom data of 2.0.0, without and with its count of attempts.
     *
     * @return array
     */
    public static function attempts(): array {
        return [[[]], [['attempts' => 3, 'eventcontextid' => 1]]];
    }

    /**
     * Without a broker the task fails, so that it stays queued.
     *
     * @dataProvider attempts
     * @param array $more
     */
    public function test_without_a_broker_the_task_stays(array $more): void {
        set_config('brokerurl', '', 'local_integrationhub');
        $task = new dispatch_event_task();
        $task->set_custom_data((object) ($more + ['ruleid' => (int) $this->rule->id, 'eventdata' => $this->data()]));
        \core\task\manager::queue_adhoc_task($task);
        ob_start();
        $this->expectOutputRegex('~~');
        $task = \core\task\manager::get_next_adhoc_task(time());
        $this->assertInstanceOf(dispatch_event_task::class, $task);
        try {
            $task->execute();
            $this->fail('passed over');
        } catch (\moodle_exception $e) {
            $this->assertSame('error_nobroker', $e->errorcode);
        }
        \core\task\manager::adhoc_task_failed($task);
        ob_end_clean();
        $this->assertCount(1, \core\task\manager::get_adhoc_tasks(dispatch_event_task::class));
    }

    public function test_a_task_whose_data_are_damaged_ends(): void {
        $task = new dispatch_event_task();
        $task->set_custom_data('x');
        $task->execute();
        $this->assertSame([], $this->broker->published);
    }
}
