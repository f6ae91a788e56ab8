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

use local_integrationhub\event\webhook_received;
use local_integrationhub\local\gateway\amqp_target;
use local_integrationhub\local\inbound\response_queue;
use local_integrationhub\transport\amqp_helper;
use local_integrationhub\webhook_handler;

/**
 * The response queues, on a real broker, whose URL is in the environment variable MIH_TEST_BROKER.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\task\consume_responses_task
 * @covers     \local_integrationhub\local\inbound\response_queue
 */
final class consume_responses_task_test extends \advanced_testcase {
    /** @var string */
    private $broker;

    /** @var string */
    private $queue;

    /** @var \AMQPChannel */
    private $channel;

    /** @var \stdClass */
    private $service;

    protected function setUp(): void {
        parent::setUp();
        $this->broker = (string) getenv('MIH_TEST_BROKER');
        if ($this->broker === '' || !extension_loaded('amqp')) {
            $this->markTestSkipped('MIH_TEST_BROKER names no broker, or the extension amqp is missing');
        }
        $this->resetAfterTest();
        set_config('allownetworks', '127.0.0.0/8', 'local_integrationhub');
        $this->queue = 'my.queue.' . random_string(8);
        $this->channel = new \AMQPChannel(amqp_helper::create_connection($this->broker));
        $this->channel = amqp_helper::ensure_queue($this->channel, $this->queue . '.dead');
        $this->channel = amqp_helper::ensure_queue($this->channel, $this->queue, ['x-dead-letter-exchange' => '',
            'x-dead-letter-routing-key' => $this->queue . '.dead']);
        $this->service = $this->make(['name' => 'a']);
    }

    protected function tearDown(): void {
        if ($this->channel !== null) {
            $this->channel->getConnection()->disconnect();
        }
        webhook_handler::reset();
        // The first call only says that replaced observers need not be kept any more.
        \core\event\manager::phpunit_reset();
        \core\event\manager::phpunit_reset();
        parent::tearDown();
    }

    /**
     * Makes a service.
     *
     * @param array $values
     * @return \stdClass
     */
    private function make(array $values): \stdClass {
        $values += ['type' => 'amqp', 'base_url' => $this->broker, 'response_queue' => $this->queue];
        return $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service($values);
    }

    /**
     * Puts messages into the queue.
     *
     * @param string[] $bodies
     */
    private function publish(array $bodies): void {
        $exchange = new \AMQPExchange($this->channel);
        $exchange->setName('');
        foreach ($bodies as $body) {
            $exchange->publish($body, $this->queue, AMQP_NOPARAM, ['message_id' => 'm']);
        }
    }

    /**
     * How many messages wait.
     *
     * @param string $name
     * @return int
     */
    private function waiting(string $name): int {
        return amqp_helper::queue($this->channel, $name, AMQP_DURABLE | AMQP_PASSIVE)->declareQueue();
    }

    /**
     * Waits until so many messages wait: a dead letter takes its time.
     *
     * @param string $name
     * @param int $count
     */
    private function assert_waiting(string $name, int $count): void {
        for ($i = 0; $i < 200 && $this->waiting($name) !== $count; $i++) {
            usleep(50000);
        }
        $this->assertSame($count, $this->waiting($name), $name);
    }

    /**
     * Runs the task.
     *
     * @return string what it printed
     */
    private function run_task(): string {
        $task = new consume_responses_task();
        $this->assertNotEmpty($task->get_name());
        ob_start();
        $task->execute();
        return (string) ob_get_clean();
    }

    public function test_d13_a_poison_message_holds_up_nothing_and_is_kept_with_its_reason(): void {
        global $DB;
        $this->publish(['{"n":1}', '5', "\xff\xfe{", '', '{"n":2}']);
        $this->assert_waiting($this->queue, 5);
        $sink = $this->redirectEvents();
        $this->assertStringContainsString('2 handled, 3 rejected', $this->run_task());
        $events = array_values(array_filter($sink->get_events(), function (\core\event\base $event): bool {
            return $event instanceof webhook_received;
        }));
        $this->assertSame([['n' => 1], ['n' => 2]], [$events[0]->other['payload'], $events[1]->other['payload']]);
        $this->assertSame(['amqp', 'amqp'], [$events[0]->other['source'], $events[1]->other['source']]);
        $this->assert_waiting($this->queue, 0);
        $this->assert_waiting($this->queue . '.dead', 3);
        $dead = array_values($DB->get_records('local_integrationhub_dlq', null, 'id'));
        $this->assertSame(['5', 'discarded', 'm', $this->queue], [$dead[0]->payload, $dead[0]->state, $dead[0]->messageid,
            $dead[0]->endpoint]);
        $this->assertStringContainsString(get_string('webhook_no_object', 'local_integrationhub'), $dead[0]->error_message);
        $this->assertSame(3, $DB->count_records('local_integrationhub_log', ['success' => 0, 'direction' => 'inbound',
            'endpoint' => 'amqp']));
        $this->assertStringContainsString('0 handled, 0 rejected', $this->run_task());
    }

    public function test_d13_a_message_whose_handling_fails_comes_back_once(): void {
        global $DB;
        $this->publish(['{"n":1}', '{"n":2}']);
        // The first one comes back and is rejected the second time; so does the next one.
        foreach ([[0, 2], [1, 1], [1, 1], [2, 0]] as [$rejected, $left]) {
            $this->fail_handling();
            (new response_queue($this->service))->consume(1, microtime(true) + 10);
            $this->assert_waiting($this->queue, $left);
            $this->assertSame($rejected, $DB->count_records('local_integrationhub_dlq'));
        }
        $reasons = $DB->get_fieldset_select('local_integrationhub_dlq', 'error_message', '');
        $this->assertStringContainsString('undefined function', $reasons[0]);
    }

    public function test_a_task_that_was_killed_is_no_failure_of_its_message(): void {
        global $DB;
        $this->publish(['{"n":1}']);
        $this->assert_waiting($this->queue, 1);
        // Who had it has died without a word: the broker calls it redelivered from now on.
        $channel = new \AMQPChannel(amqp_helper::create_connection($this->broker));
        $this->assertNotEmpty(amqp_helper::queue($channel, $this->queue)->get(AMQP_NOPARAM));
        $channel->getConnection()->disconnect();
        foreach ([[0, 1], [1, 0]] as [$rejected, $left]) {
            $this->assert_waiting($this->queue, 1);
            $this->fail_handling();
            (new response_queue($this->service))->consume(1, microtime(true) + 10);
            $this->assert_waiting($this->queue, $left);
            $this->assertSame($rejected, $DB->count_records('local_integrationhub_dlq', ['attempts' => 2]));
        }
        $this->assertSame(0, $DB->count_records('local_integrationhub_nonce'));
    }

    public function test_an_error_with_one_service_keeps_no_other_from_being_served(): void {
        global $DB;
        $real = $DB;
        $DB = $this->createStub(\moodle_database::class);
        $broken = (object) ['id' => 1, 'name' => 'x', 'response_queue' => 'q', 'timeout' => 1, 'base_url' => null];
        $DB->method('get_records_select')->willReturn([$broken, (object) (['name' => 'y'] + (array) $broken)]);
        try {
            $output = $this->run_task();
        } finally {
            $DB = $real;
        }
        $this->assertStringContainsString('Queue q of service x: 0 handled', $output);
        $this->assertStringContainsString('Queue q of service y: 0 handled', $output);
    }

    public function test_after_an_error_nothing_more_is_taken_by_this_process(): void {
        $this->publish(['{"n":1}', '{"n":2}']);
        $this->fail_handling();
        (new response_queue($this->service))->consume(10, microtime(true) + 10);
        (new response_queue($this->service))->consume(10, microtime(true) + 10);
        $this->assert_waiting($this->queue, 2);
    }

    /**
     * Makes the handling of the next message fail as a broken observer does.
     */
    private function fail_handling(): void {
        webhook_handler::reset();
        \core\event\manager::phpunit_replace_observers([
            ['eventname' => '\\' . webhook_received::class, 'callback' => self::class . '::observe'],
        ]);
    }

    /**
     * An observer with an error.
     */
    public static function observe(): void {
        no_such_function();
    }

    public function test_d15_queues_of_disabled_services_and_other_types_are_left_alone_and_names_are_kept(): void {
        global $DB;
        $this->publish(['{"n":1}']);
        $DB->set_field('local_integrationhub_svc', 'enabled', 0);
        $this->assertSame('', $this->run_task());
        $DB->set_field('local_integrationhub_svc', 'enabled', 1);
        $DB->set_field('local_integrationhub_svc', 'type', 'rest');
        $this->assertSame('', $this->run_task());
        $this->assert_waiting($this->queue, 1);
        $DB->set_field('local_integrationhub_svc', 'type', 'amqp');
        $output = $this->run_task();
        $this->assertStringContainsString("Queue $this->queue of service a: 1 handled", $output);
    }

    public function test_a_broker_that_is_away_keeps_no_other_from_being_served(): void {
        $this->make(['name' => '0', 'base_url' => 'amqp://u:c4nary@127.0.0.1:1/']);
        $this->publish(['{"n":1}']);
        $output = $this->run_task();
        $this->assertStringContainsString('no connection', $output);
        $this->assertStringContainsString('service a: 1 handled', $output);
        $this->assertStringNotContainsString('c4nary', $output);
        $this->assertSame($this->queue, amqp_target::parse("amqp://h/?queue_declare=$this->queue")->queue);
    }
}
