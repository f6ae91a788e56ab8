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

namespace local_integrationhub\local;

/**
 * The connection to a real broker, whose URL is in the environment variable MIH_TEST_BROKER.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\amqp_broker
 * @covers     \local_integrationhub\local\receipt
 */
final class amqp_broker_test extends \advanced_testcase {
    /** @var \AMQPChannel|null of the test itself */
    private $channel = null;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $url = getenv('MIH_TEST_BROKER');
        if (!$url || !extension_loaded('amqp')) {
            $this->markTestSkipped('MIH_TEST_BROKER names no broker, or the extension amqp is missing');
        }
        set_config('brokerurl', $url, 'local_integrationhub');
        set_config('exchange', 'phpunit.events', 'local_integrationhub');
        set_config('namespace', 'phpunit', 'local_integrationhub');
        set_config('siteid', 'here', 'local_integrationhub');
        $this->declare();
    }

    protected function tearDown(): void {
        if ($this->channel !== null) {
            $this->channel->getConnection()->disconnect();
        }
        parent::tearDown();
    }

    /**
     * Declares exchanges and a queue that takes what begins with core.
     */
    private function declare(): void {
        $parts = amqp_url::parse(getenv('MIH_TEST_BROKER'));
        $connection = new \AMQPConnection(['host' => $parts->host, 'port' => $parts->port, 'vhost' => $parts->vhost,
            'login' => $parts->user, 'password' => $parts->password]);
        $connection->connect();
        $this->channel = new \AMQPChannel($connection);
        $exchanges = ['events' => AMQP_EX_TYPE_TOPIC, 'redeliver' => AMQP_EX_TYPE_DIRECT, 'control' => AMQP_EX_TYPE_FANOUT];
        foreach ($exchanges as $name => $type) {
            $exchange = new \AMQPExchange($this->channel);
            $exchange->setName('phpunit.' . $name);
            $exchange->setType($type);
            $exchange->declareExchange();
        }
        $queue = $this->queue();
        $queue->declareQueue();
        $queue->bind('phpunit.events', 'core.#');
        $queue->bind('phpunit.redeliver', '7');
        $queue->bind('phpunit.control');
        $queue->purge();
    }

    /**
     * The queue.
     *
     * @return \AMQPQueue
     */
    private function queue(): \AMQPQueue {
        $queue = new \AMQPQueue($this->channel);
        $queue->setName('phpunit');
        return $queue;
    }

    /**
     * A message of that name.
     *
     * @param string $eventname
     * @param bool $wanted
     * @return message
     */
    private function message(string $eventname = '\core\event\user_created', bool $wanted = true): message {
        return new message($eventname, '{"a":1}', 1795341950, $wanted);
    }

    public function test_properties_and_body_arrive(): void {
        $message = $this->message();
        $receipt = (new amqp_broker())->publish([$message]);
        $this->assertNull($receipt->error);
        $this->assertSame([$message->id => 1], $receipt->safe);
        $envelope = $this->queue()->get(AMQP_AUTOACK);
        $this->assertSame('{"a":1}', $envelope->getBody());
        $this->assertSame(
            [$message->id, 1795341950, '\core\event\user_created', 'here', 'application/json', 2, 'core.user_created', []],
            [$envelope->getMessageId(), $envelope->getTimestamp(), $envelope->getType(), $envelope->getAppId(),
                $envelope->getContentType(), $envelope->getDeliveryMode(), $envelope->getRoutingKey(), $envelope->getHeaders()]
        );
    }

    public function test_a_wanted_message_that_no_queue_takes_is_not_safe(): void {
        $messages = [$this->message(), $this->message('\mod_x\event\y'), $this->message(), $this->message('\mod_x\event\y', false)];
        $receipt = (new amqp_broker())->publish($messages);
        $this->assertNull($receipt->error);
        $this->assertSame([$messages[1]->id => 1], $receipt->returned);
        $this->assertEqualsCanonicalizing([$messages[0]->id, $messages[2]->id, $messages[3]->id], array_keys($receipt->safe));
    }

    public function test_many_messages_on_one_channel(): void {
        $broker = new amqp_broker();
        for ($round = 0; $round < 3; $round++) {
            $messages = [];
            for ($i = 0; $i < 500; $i++) {
                $messages[] = $this->message();
            }
            $receipt = $broker->publish($messages);
            $this->assertNull($receipt->error);
            $this->assertCount(500, $receipt->safe);
        }
    }

    public function test_an_exchange_that_is_not_there_is_an_error_and_not_the_end(): void {
        $broker = new amqp_broker();
        set_config('exchange', 'phpunit.missing', 'local_integrationhub');
        $receipt = $broker->publish([$this->message()]);
        $this->assertSame([], $receipt->safe);
        $this->assertStringContainsString('phpunit.missing', (string) $receipt->error);
        set_config('exchange', 'phpunit.events', 'local_integrationhub');
        $receipt = $broker->publish([$this->message()]);
        $this->assertNull($receipt->error);
        $this->assertCount(1, $receipt->safe);
    }

    public function test_redelivery_names_the_rule(): void {
        $message = $this->message();
        $this->assertSame([$message->id => 1], (new amqp_broker())->redeliver($message, 7, 3)->safe);
        $envelope = $this->queue()->get(AMQP_AUTOACK);
        $this->assertSame(['x-mih-rule' => '3'], $envelope->getHeaders());
        $this->assertSame($message->id, $envelope->getMessageId());
        $this->assertSame([], (new amqp_broker())->redeliver($this->message(), 8, 3)->safe, 'no queue has this service');
    }

    public function test_what_may_have_been_published_before_is_flagged(): void {
        $message = $this->message();
        $message->republished = true;
        (new amqp_broker())->publish([$message, $this->message()]);
        $this->assertSame(['x-mih-republished' => 1], $this->queue()->get(AMQP_AUTOACK)->getHeaders());
        $this->assertSame([], $this->queue()->get(AMQP_AUTOACK)->getHeaders());
        (new amqp_broker())->redeliver($message, 7, 3);
        $this->assertEqualsCanonicalizing(
            ['x-mih-republished' => 1, 'x-mih-rule' => '3'],
            $this->queue()->get(AMQP_AUTOACK)->getHeaders()
        );
    }

    public function test_hint(): void {
        $this->assertNull((new amqp_broker())->hint('{"hint":"x"}'));
        $this->assertSame('{"hint":"x"}', $this->queue()->get(AMQP_AUTOACK)->getBody());
        set_config('namespace', 'phpunit.missing', 'local_integrationhub');
        $this->assertNotNull((new amqp_broker())->hint('{}'));
    }

    public function test_the_next_broker_of_the_list_is_tried(): void {
        set_config('brokerurl', 'amqp://127.0.0.1:1/,' . getenv('MIH_TEST_BROKER'), 'local_integrationhub');
        $this->assertCount(1, (new amqp_broker())->publish([$this->message()])->safe);
    }

    public function test_errors_name_no_password(): void {
        $parts = amqp_url::parse(getenv('MIH_TEST_BROKER'));
        foreach (["amqp://u:SECRET@127.0.0.1:1/", "amqp://u:SECRET@{$parts->host}:{$parts->port}/"] as $url) {
            set_config('brokerurl', $url, 'local_integrationhub');
            $receipt = (new amqp_broker())->publish([$this->message()]);
            $this->assertNotEmpty($receipt->error);
            $this->assertStringNotContainsString('SECRET', $receipt->error);
        }
    }
}
