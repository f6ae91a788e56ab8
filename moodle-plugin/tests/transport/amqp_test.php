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

namespace local_integrationhub\transport;

use local_integrationhub\local\amqp_url;
use local_integrationhub\local\gateway\amqp_target;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\mih;
use local_integrationhub\service\circuit_breaker;

/**
 * AMQP services against a real broker, whose URL is in the environment variable MIH_TEST_BROKER.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\transport\amqp
 * @covers     \local_integrationhub\transport\amqp_helper
 * @covers     \local_integrationhub\local\gateway\amqp_target
 */
final class amqp_test extends \advanced_testcase {
    /** @var string */
    private $broker;

    protected function setUp(): void {
        parent::setUp();
        $this->broker = (string) getenv('MIH_TEST_BROKER');
        if ($this->broker === '' || !extension_loaded('amqp')) {
            $this->markTestSkipped('MIH_TEST_BROKER names no broker, or the extension amqp is missing');
        }
        $this->resetAfterTest();
        set_config('allownetworks', '127.0.0.0/8', 'local_integrationhub');
    }

    /**
     * Makes a service.
     *
     * @param string $query
     * @param array $values
     * @return \stdClass
     */
    private function service(string $query, array $values = []): \stdClass {
        $values += ['name' => 'broker', 'base_url' => $this->broker . $query, 'max_retries' => 0];
        $values += ['type' => 'amqp', 'retry_backoff' => 0];
        return $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service($values);
    }

    /**
     * Takes one message of a queue.
     *
     * @param string $name
     * @return \AMQPEnvelope|null
     */
    private function take(string $name): ?\AMQPEnvelope {
        $channel = new \AMQPChannel(amqp_helper::create_connection($this->broker));
        $envelope = amqp_helper::queue($channel, $name)->get(AMQP_AUTOACK);
        $channel->getConnection()->disconnect();
        return $envelope ?: null;
    }

    public function test_a_message_arrives_persistent_and_confirmed(): void {
        $name = 'gw.' . random_string(8);
        $this->service("?queue_declare=$name", ['signing_secret' => base64_encode(str_repeat('k', 24))]);
        $response = mih::request('broker', '/', ['a' => 'é/']);
        $this->assertSame([true, 0, null], [$response->is_ok(), $response->httpstatus, $response->error]);
        $this->assertSame("Published to DefEx -> RK:$name", $response->body);
        $message = $this->take($name);
        $this->assertSame('{"a":"\u00e9\/"}', $message->getBody());
        $this->assertSame([2, 'application/json'], [$message->getDeliveryMode(), $message->getContentType()]);
        $this->assertSame($message->getMessageId(), $message->getHeader('webhook-id'));
        $this->assertStringStartsWith('v1,', $message->getHeader('webhook-signature'));
    }

    public function test_d14_what_no_queue_takes_is_a_failure_and_neutral_for_the_breaker(): void {
        $service = $this->service('?exchange=amq.direct', ['max_retries' => 9, 'cb_failure_threshold' => 1]);
        $response = mih::request('broker', '/nobody', ['a' => 1]);
        $this->assertSame([false, 0, 4], [$response->is_ok(), $response->httpstatus, $response->attempts]);
        $this->assertSame('AMQP Error: unroutable: no queue takes Ex:amq.direct -> RK:nobody', $response->error);
        $this->assertSame('CLOSED', circuit_breaker::from_service($service)->get_state_label());
    }

    public function test_d14_the_declared_queue_sends_what_is_rejected_to_its_dlq(): void {
        $name = 'gw.' . random_string(8);
        $this->service("?queue_declare=$name&dlq=$name.dead");
        $this->assertTrue(mih::request('broker', '/', ['a' => 1])->is_ok());
        $channel = new \AMQPChannel(amqp_helper::create_connection($this->broker));
        $queue = amqp_helper::queue($channel, $name);
        $queue->reject($queue->get()->getDeliveryTag());
        $dead = null;
        for ($i = 0; $i < 200 && !$dead; $i++) {
            $dead = $this->take("$name.dead");
            usleep($dead ? 0 : 50000);
        }
        $this->assertSame('{"a":1}', $dead->getBody());
        $channel->getConnection()->disconnect();
    }

    public function test_d14_one_connection_serves_many_messages(): void {
        $name = 'gw.' . random_string(8);
        $service = $this->service("?queue_declare=$name");
        $this->assertTrue(mih::request('broker', '/')->is_ok());
        // Whoever connected anew would not get in any more.
        set_config('allownetworks', '', 'local_integrationhub');
        for ($i = 0; $i < 5; $i++) {
            $this->assertTrue(mih::request('broker', '/', ['i' => $i])->is_ok());
        }
        $this->assertNotNull($service);
    }

    public function test_d14_user_and_password_are_percent_decoded(): void {
        $target = amqp_target::parse('amqps://u%40x:p%2Fw%3A@h/v%2F1?exchange=e+x&routing_key=r%26k&queue_declare=q&dlq=d&other=1');
        $this->assertSame(['u@x', 'p/w:', 'v/1', 5671, true], [$target->broker->user, $target->broker->password,
            $target->broker->vhost, $target->broker->port, $target->broker->tls]);
        $this->assertSame(['e x', 'r&k', 'q', 'd'], [$target->exchange, $target->routingkey, $target->queue, $target->dlq]);
        $this->assertSame('a/b', $target->key('//a/b'));
        $this->assertSame('r&k', $target->key('/'));
        $this->assertSame('q', amqp_target::parse('amqp://h?queue_declare=q')->key(''));
        $this->assertSame('', amqp_target::parse('amqp://h/?exchange=e&queue_declare=q')->key(''));
        $secret = amqp_target::parse('amqp://u:' . rawurlencode(\core\encryption::encrypt('p/w')) . '@h/');
        $this->assertSame('p/w', $secret->broker->password);
        $this->assertSame('h', amqp_target::parse(\core\encryption::encrypt('amqp://u:p@h/'))->broker->host);
    }

    public function test_urls_and_keys_that_cannot_be_used(): void {
        foreach (
            ['http://h', 'amqp://u:p/w@h/', 'amqp://h/?exchange=' . str_repeat('x', 256), "amqp://h/?routing_key=%0a",
                'amqp://h/?exchange[]=1'] as $url
        ) {
            try {
                amqp_target::parse($url);
                $this->fail("accepted: $url");
            } catch (refused_exception $e) {
                $this->assertStringStartsWith('policy: ', $e->getMessage());
            }
        }
        foreach (['amqp://h/', 'amqp://h/?exchange=e'] as $i => $url) {
            try {
                amqp_target::parse($url)->key($i === 0 ? '' : str_repeat('x', 256));
                $this->fail('accepted');
            } catch (refused_exception $e) {
                $this->assertStringStartsWith('policy: ', $e->getMessage());
            }
        }
    }

    public function test_a_wrong_password_is_told_and_not_shown(): void {
        $url = amqp_url::parse($this->broker);
        $this->service('', ['base_url' => "amqp://$url->user:c4nary@$url->host:$url->port/unit?queue_declare=x"]);
        $response = mih::request('broker', '/');
        $this->assertFalse($response->is_ok());
        $this->assertStringStartsWith('AMQP Error: ', $response->error);
        $this->assertStringNotContainsString('c4nary', $response->error);
    }

    public function test_brokers_that_are_away_or_may_not_be_reached(): void {
        $service = $this->service('', ['base_url' => 'amqp://127.0.0.1:1/?queue_declare=x', 'cb_failure_threshold' => 99]);
        $this->assertStringStartsWith('AMQP Error: no connection', mih::request('broker', '/')->error);
        $this->assertEquals(1, circuit_breaker::from_service($service)->get_state()->failure_count);
        $this->service('', ['name' => 'inside', 'base_url' => 'amqp://10.0.0.1/?queue_declare=x']);
        $this->assertStringContainsString('private address 10.0.0.1', mih::request('inside', '/')->error);
        $this->service('', ['name' => 'dot', 'base_url' => 'amqps://localhost.:1/?queue_declare=x']);
        $this->assertStringContainsString('ends in a dot', mih::request('dot', '/')->error);
    }
}
