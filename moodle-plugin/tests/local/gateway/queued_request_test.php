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

namespace local_integrationhub\local\gateway;

use local_integrationhub\fake_broker;
use local_integrationhub\local\cooloff;
use local_integrationhub\local\publisher;
use local_integrationhub\mih;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../fixtures/fake_broker.php');

/**
 * Requests that are handed to the worker fleet.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\gateway\queued_request
 * @covers     \local_integrationhub\local\publisher
 * @covers     \local_integrationhub\mih_request
 */
final class queued_request_test extends \advanced_testcase {
    /** @var fake_broker */
    private $broker;

    /** @var \stdClass */
    private $service;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->preventResetByRollback();
        set_config('brokerurl', 'amqp://localhost', 'local_integrationhub');
        $this->broker = new fake_broker();
        publisher::set_instance(new publisher($this->broker, new cooloff()));
        (new cooloff())->clear();
        $this->service = $this->generator()->create_service(['name' => 'erp']);
    }

    protected function tearDown(): void {
        publisher::set_instance(null);
        parent::tearDown();
    }

    /**
     * The generator.
     *
     * @return \local_integrationhub_generator
     */
    private function generator(): \local_integrationhub_generator {
        return $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
    }

    /**
     * The rules of the service.
     *
     * @return \stdClass[]
     */
    private function rules(): array {
        global $DB;
        return array_values($DB->get_records('local_integrationhub_rules', ['serviceid' => $this->service->id], 'id'));
    }

    /**
     * The requests that were published; making a rule is an event, too.
     *
     * @return \local_integrationhub\local\message[]
     */
    private function published(): array {
        return array_values(array_filter($this->broker->published, function (\local_integrationhub\local\message $message): bool {
            return strpos($message->eventname, '\local_integrationhub\event\request_') === 0;
        }));
    }

    public function test_the_message_and_its_rule(): void {
        global $DB;
        $id = mih::send('erp')->to('/students/a%2Fb')->with(['n' => ['é' => null], 'e' => []])->method('put')->queue();
        $row = $DB->get_record('local_integrationhub_outbox', ['messageid' => $id], '*', MUST_EXIST);
        $name = '\local_integrationhub\event\request_' . $this->service->id;
        $this->assertSame($name, $row->eventname);
        $body = json_decode($row->payload, true);
        $this->assertSame($name, $body['eventname']);
        $this->assertSame(
            ['call' => 'PUT 2', 'path' => ['students', 'a/b'], 'payload' => ['n' => ['é' => null], 'e' => []]],
            $body['other']
        );
        [$rule] = $this->rules();
        $this->assertSame(
            [$name, '{{other.path.0}}/{{other.path.1}}', 'PUT', '{{other.payload}}', '{"other.call":{"$eq":"PUT 2"}}'],
            [$rule->eventname, $rule->endpoint, $rule->http_method, $rule->payload_template, $rule->filter]
        );
        publisher::instance()->flush();
        $this->assertSame([$id], array_column($this->published(), 'id'));
        $this->assertSame(0, $DB->count_records('local_integrationhub_outbox'));
    }

    public function test_one_rule_serves_all_requests_of_its_kind(): void {
        foreach (['/a', '/b', 'c/'] as $path) {
            mih::send('erp')->to($path)->with(['a' => 1])->queue();
        }
        mih::send('erp')->to('/d')->method('DELETE')->queue();
        $this->assertSame(['POST 1', 'POST 2', 'DELETE 1'], array_map(function (\stdClass $rule): string {
            return json_decode($rule->filter, true)['other.call']['$eq'];
        }, $this->rules()));
    }

    public function test_rolled_back_work_leaves_nothing(): void {
        global $DB;
        mih::send('erp')->to('/a')->queue();
        publisher::instance()->flush();
        $transaction = $DB->start_delegated_transaction();
        mih::send('erp')->to('/b')->queue();
        $this->assertSame(1, $DB->count_records('local_integrationhub_outbox'));
        try {
            $transaction->rollback(new \moodle_exception('error'));
        } catch (\moodle_exception $e) {
            $this->assertSame('error', $e->errorcode);
        }
        publisher::instance()->flush();
        $this->assertSame(0, $DB->count_records('local_integrationhub_outbox'));
        $this->assertCount(1, $this->published());
    }

    public function test_what_the_broker_does_not_take_waits_in_the_outbox_in_every_mode(): void {
        global $DB;
        set_config('mode', 'direct', 'local_integrationhub');
        $this->broker->error = 'away';
        $id = mih::send('erp')->to('/a')->queue();
        // The new rule is announced to the fleet, which could not be told either.
        $this->assertDebuggingCalled();
        publisher::instance()->flush();
        $this->assertSame([$id], $DB->get_fieldset_select('local_integrationhub_outbox', 'messageid', ''));
        set_config('brokerurl', '', 'local_integrationhub');
        mih::send('erp')->to('/a')->queue();
        $this->assertSame(2, $DB->count_records('local_integrationhub_outbox'));
    }

    public function test_services_of_text_get_text(): void {
        global $DB;
        $this->service = $this->generator()->create_service(['name' => 'raw', 'body_type' => 'raw']);
        mih::send('raw')->to('/')->with(["a;b\n"])->queue();
        $this->assertSame('{{other.text}}', $this->rules()[0]->payload_template);
        $payload = $DB->get_field('local_integrationhub_outbox', 'payload', []);
        $this->assertSame("a;b\n", json_decode($payload)->other->text);
    }

    /**
     * What cannot be queued.
     *
     * @return array
     */
    public static function refused(): array {
        return [
            'query' => ['erp', '/a?b=1', 'POST', 'error_queue'],
            'climbs' => ['erp', '/a/../b', 'POST', 'error_queue'],
            'climbs, encoded' => ['erp', '/a/%2e%2e/b', 'POST', 'error_queue'],
            'space' => ['erp', '/a b', 'POST', 'error_queue'],
            'deep' => ['erp', str_repeat('/a', 13), 'POST', 'error_queue'],
            'method' => ['erp', '/a', 'TRACE', 'error_queue'],
            'unknown' => ['nobody', '/a', 'POST', 'service_not_found'],
        ];
    }

    /**
     * Refused, and nothing is left behind.
     *
     * @dataProvider refused
     * @param string $service
     * @param string $endpoint
     * @param string $method
     * @param string $code
     */
    public function test_refused(string $service, string $endpoint, string $method, string $code): void {
        global $DB;
        try {
            mih::send($service)->to($endpoint)->method($method)->queue();
            $this->fail('queued');
        } catch (\moodle_exception $e) {
            $this->assertSame($code, $e->errorcode);
        }
        $this->assertSame([], $this->rules());
        $this->assertSame(0, $DB->count_records('local_integrationhub_outbox'));
    }

    public function test_an_administrator_can_turn_it_off(): void {
        global $DB;
        mih::send('erp')->to('/a')->queue();
        $DB->set_field('local_integrationhub_rules', 'enabled', 0);
        $this->expectException(\moodle_exception::class);
        $this->expectExceptionMessage((string) $this->rules()[0]->id);
        mih::send('erp')->to('/b')->queue();
    }
}
