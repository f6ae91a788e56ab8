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

namespace local_integrationhub\local\inbound;

use local_integrationhub\event\webhook_received;
use local_integrationhub\local\gateway\request_log;
use local_integrationhub\local\gateway\signature;
use local_integrationhub\webhook_handler;

/**
 * What webhook.php answers.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\inbound\endpoint
 * @covers     \local_integrationhub\local\inbound\call
 * @covers     \local_integrationhub\local\inbound\limits
 * @covers     \local_integrationhub\local\inbound\refusal
 * @covers     \local_integrationhub\local\inbound\signed
 * @covers     \local_integrationhub\local\gateway\signature
 * @covers     \local_integrationhub\webhook_handler
 * @covers     \local_integrationhub\event\webhook_received
 */
final class endpoint_test extends \advanced_testcase {
    /** @var \stdClass */
    private $service;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->service = $this->make(['name' => 'erp', 'auth_token' => 'T0ken']);
    }

    protected function tearDown(): void {
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
        return $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service($values);
    }

    /**
     * Changes the service.
     *
     * @param array $values
     */
    private function set(array $values): void {
        global $DB;
        $DB->update_record('local_integrationhub_svc', (object) (['id' => $this->service->id] + $values));
    }

    /**
     * Calls.
     *
     * @param string $body
     * @param array $headers
     * @param string $slug
     * @param string $method
     * @param string $address
     * @return array status and body of the answer
     */
    private function call(
        string $body = '{"a":1}',
        array $headers = ['Authorization' => 'Bearer T0ken'],
        string $slug = 'erp',
        string $method = 'POST',
        string $address = '203.0.113.9'
    ): array {
        return endpoint::answer(new call($method, $slug, $headers, $address, function (int $most) use ($body): string {
            return substr($body, 0, $most);
        }));
    }

    /**
     * Checks that a call is refused.
     *
     * @param int $status
     * @param string $key of the language string
     * @param array $answer
     */
    private function assert_refused(int $status, string $key, array $answer): void {
        $this->assertSame($status, $answer[0], $answer[1]['error'] ?? '');
        $this->assertSame(['success', 'error'], array_keys($answer[1]));
        $this->assertFalse($answer[1]['success']);
        $words = explode('{$a}', get_string_manager()->get_string($key, 'local_integrationhub', '{$a}'));
        $this->assertStringStartsWith($words[0], $answer[1]['error']);
    }

    public function test_a_good_call_raises_the_event_and_is_logged(): void {
        global $DB;
        $sink = $this->redirectEvents();
        $this->assertSame([200, ['success' => true]], $this->call('{"a":{"b":[1,"é"]}}'));
        [$event] = array_values(array_filter($sink->get_events(), function (\core\event\base $event): bool {
            return $event instanceof webhook_received;
        }));
        $this->assertSame(['serviceid' => (int) $this->service->id, 'servicename' => 'erp', 'source' => 'webhook',
            'payload' => ['a' => ['b' => [1, 'é']]]], $event->other);
        $this->assertSame(['r', \core\event\base::LEVEL_OTHER], [$event->crud, $event->edulevel]);
        $this->assertInstanceOf(\context_system::class, $event->get_context());
        $this->assertSame(get_string('webhook_received', 'local_integrationhub'), webhook_received::get_name());
        $this->assertStringContainsString('erp', $event->get_description());
        $this->assertDebuggingNotCalled();
        $log = $DB->get_record('local_integrationhub_log', []);
        $this->assertEquals(['webhook', 'INBOUND', null, 'inbound', 1, null], [$log->endpoint, $log->http_method, $log->http_status,
            $log->direction, $log->success, $log->error_message]);
    }

    public function test_the_checks_and_their_order(): void {
        $off = $this->make(['name' => 'off', 'enabled' => 0]);
        $this->assertNotNull($off);
        $this->assert_refused(405, 'webhook_method_not_allowed', $this->call('', [], '', 'GET'));
        $this->assert_refused(400, 'webhook_missing_service', $this->call('', [], ''));
        $this->assert_refused(404, 'webhook_invalid_service', $this->call('', [], 'nobody'));
        $this->assert_refused(403, 'webhook_service_disabled', $this->call('', [], 'off'));
        $this->assert_refused(403, 'webhook_invalid_token', $this->call('', []));
        $this->assert_refused(403, 'webhook_invalid_token', $this->call('', ['Authorization' => 'Bearer wrong']));
        $this->assert_refused(403, 'webhook_invalid_token', $this->call('', ['Authorization' => 'Basic T0ken']));
        $this->assert_refused(400, 'webhook_empty_body', $this->call(''));
        $this->assert_refused(400, 'webhook_invalid_json', $this->call('{"a":'));
        foreach ([['authorization' => 'bEaReR  T0ken '], ['X-API-Key' => 'T0ken'], ['x-api-key' => ' T0ken']] as $headers) {
            $this->assertSame(200, $this->call('{}', $headers)[0]);
        }
    }

    public function test_d13_json_that_is_no_object_is_refused_with_400(): void {
        $sink = $this->redirectEvents();
        foreach (['5', '"x"', 'null', 'true', '[1]', '[]'] as $body) {
            $this->assert_refused(400, 'webhook_invalid_json', $this->call($body));
        }
        $this->assertSame([], $sink->get_events());
        $deep = str_repeat('{"a":', 200) . '1' . str_repeat('}', 200);
        $this->assert_refused(400, 'webhook_invalid_json', $this->call($deep));
    }

    public function test_d17_refused_calls_are_in_the_log_with_their_reason(): void {
        global $DB;
        $this->call('5');
        $log = $DB->get_record('local_integrationhub_log', []);
        $this->assertEquals(['inbound', 0], [$log->direction, $log->success]);
        $this->assertStringContainsString(get_string('webhook_no_object', 'local_integrationhub'), $log->error_message);
    }

    public function test_a_service_without_a_token_is_closed_unless_it_was_open_before(): void {
        $this->set(['auth_token' => '']);
        $this->assert_refused(403, 'webhook_invalid_token', $this->call('{}', []));
        $this->assert_refused(403, 'webhook_invalid_token', $this->call('{}', ['Authorization' => 'Bearer ']));
        $this->set(['inbound_open' => 1]);
        $this->assertSame(200, $this->call('{}', [])[0]);
    }

    public function test_the_token_may_be_encrypted_and_one_that_cannot_be_read_closes(): void {
        $this->set(['auth_token' => \core\encryption::encrypt('T0ken')]);
        $this->assertSame(200, $this->call()[0]);
        $this->set(['auth_token' => 'sodium:nonsense', 'inbound_open' => 1]);
        $this->assert_refused(403, 'webhook_invalid_token', $this->call());
        $this->assert_refused(403, 'webhook_invalid_token', $this->call('{}', ['Authorization' => 'Bearer sodium:nonsense']));
    }

    public function test_addresses(): void {
        $this->set(['ip_whitelist' => "203.0.113.0/28\n2001:db8::/32"]);
        $headers = ['X-API-Key' => 'T0ken'];
        $expected = ['203.0.113.9' => 200, '203.0.113.99' => 403, '2001:db8::7' => 200, '::ffff:203.0.113.1' => 200, '' => 403];
        foreach ($expected as $ip => $status) {
            $this->assertSame($status, $this->call('{}', $headers, 'erp', 'POST', (string) $ip)[0], (string) $ip);
        }
    }

    public function test_rates(): void {
        global $DB;
        $this->set(['rate_limit_requests' => 3, 'rate_limit_window' => 100]);
        for ($i = 0; $i < 3; $i++) {
            $this->assertSame(200, $this->call()[0]);
        }
        $this->assert_refused(429, 'webhook_too_many', $this->call());
        $DB->execute('UPDATE {local_integrationhub_nonce} SET timestamp = timestamp - 101 WHERE id IN (SELECT * FROM
            (SELECT MIN(id) FROM {local_integrationhub_nonce}) x)');
        $this->assertSame(200, $this->call()[0]);
        $this->assert_refused(429, 'webhook_too_many', $this->call());
        limits::forget(-10);
        $this->assertSame(0, $DB->count_records('local_integrationhub_nonce'));
    }

    public function test_strangers_neither_use_up_the_rate_nor_empty_the_log(): void {
        global $DB;
        $this->set(['rate_limit_requests' => 1]);
        set_config('max_log_entries', 60, 'local_integrationhub');
        request_log::sent($this->service, '/a', 'POST', ['http_code' => 200, 'latency' => 1, 'attempts' => 1, 'success' => true,
            'error' => null]);
        for ($minute = 0; $minute < 3; $minute++) {
            for ($i = 0; $i < 30; $i++) {
                $this->assert_refused(403, 'webhook_invalid_token', $this->call('{}', []));
            }
            $this->assertSame($minute === 0 ? 5 : 6, $DB->count_records('local_integrationhub_log', ['http_status' => 403]));
            $DB->execute('UPDATE {local_integrationhub_log} SET timecreated = timecreated - 61');
        }
        $this->assertTrue($DB->record_exists('local_integrationhub_log', ['endpoint' => '/a']));
        $this->assertSame(200, $this->call()[0]);
        $this->assert_refused(429, 'webhook_too_many', $this->call());
    }

    public function test_sizes(): void {
        $this->set(['inbound_max_bytes' => 10]);
        $this->assertSame(200, $this->call('{"a":"bc"}')[0]);
        $this->assert_refused(413, 'webhook_too_large', $this->call('{"a":"bcd"}'));
    }

    public function test_signatures_of_the_body(): void {
        $this->set(['hmac_secret' => \core\encryption::encrypt('s3cret')]);
        foreach (['sha256', 'sha512'] as $algorithm) {
            $this->set(['hmac_algo' => $algorithm, 'hmac_header' => 'X-Sig']);
            $mac = hash_hmac($algorithm, '{"a":1}', 's3cret');
            foreach (["$algorithm=$mac", $mac, strtoupper($mac), base64_encode(hex2bin($mac))] as $value) {
                $this->assertSame(200, $this->call('{"a":1}', ['X-SIG' => $value])[0], $value);
            }
            foreach (['', "md5=$mac", substr($mac, 1), hash_hmac($algorithm, '{"a":2}', 's3cret')] as $value) {
                $this->assert_refused(403, 'webhook_invalid_signature', $this->call('{"a":1}', ['X-Sig' => $value]));
            }
        }
        // The token that the service is called with does not replace it.
        $this->assert_refused(403, 'webhook_invalid_signature', $this->call());
        $this->set(['hmac_algo' => 'crc32b']);
        $this->assert_refused(403, 'webhook_invalid_signature', $this->call('{"a":1}', ['X-Sig' => hash('crc32b', '{"a":1}')]));
    }

    /**
     * A call signed as Standard Webhooks has it.
     *
     * @param string $id
     * @param int $time
     * @return array
     */
    private function standard_call(string $id, int $time): array {
        $signature = signature::make(str_repeat('k', 24), $id, (string) $time, '{"a":1}');
        return $this->call('{"a":1}', ['webhook-id' => $id, 'webhook-timestamp' => (string) $time,
            'webhook-signature' => "v1,AAAA $signature"]);
    }

    public function test_standard_webhooks_in_time_and_once(): void {
        $this->set(['hmac_secret' => 'whsec_' . base64_encode(str_repeat('k', 24)), 'hmac_header' => 'Webhook-Signature']);
        $sink = $this->redirectEvents();
        $this->assertSame(200, $this->standard_call('a', time())[0]);
        $this->assertSame(200, $this->standard_call('a', time() - 1)[0]);
        $this->assertCount(1, $sink->get_events());
        $this->assertSame(200, $this->standard_call('b', time() - 290)[0]);
        $this->assert_refused(403, 'webhook_too_old', $this->standard_call('c', time() - 310));
        $this->assert_refused(403, 'webhook_too_old', $this->standard_call('c', time() + 310));
        $this->set(['inbound_window' => 1000]);
        $this->assertSame(200, $this->standard_call('c', time() - 310)[0]);
        $this->assertCount(3, $sink->get_events());
        $this->assert_refused(403, 'webhook_invalid_signature', $this->call('{"a":1}', ['webhook-id' => 'd',
            'webhook-timestamp' => (string) time(), 'webhook-signature' => 'v1,AAAA']));
        $this->assert_refused(403, 'webhook_invalid_signature', $this->call());
    }

    public function test_a_call_that_could_not_be_handled_may_come_again(): void {
        global $DB;
        $this->set(['hmac_secret' => base64_encode(str_repeat('k', 24)), 'hmac_header' => 'webhook-signature',
            'name' => 'erp']);
        \core\event\manager::phpunit_replace_observers([
            ['eventname' => '\\' . webhook_received::class, 'callback' => self::class . '::observe'],
        ]);
        $now = time();
        $answer = $this->standard_call('a', $now);
        $this->assertSame([500, ['success' => false, 'error' => get_string('webhook_error', 'local_integrationhub')]], $answer);
        $log = $DB->get_record('local_integrationhub_log', ['success' => 0]);
        $this->assertStringContainsString('no_such_function', $log->error_message);
        \core\event\manager::phpunit_reset();
        webhook_handler::reset();
        $sink = $this->redirectEvents();
        $this->assertSame(200, $this->standard_call('a', $now)[0]);
        $this->assertCount(1, $sink->get_events());
    }

    public function test_a_call_that_is_being_handled_is_not_acknowledged_to_its_repeat(): void {
        global $DB;
        $this->set(['hmac_secret' => base64_encode(str_repeat('k', 24)), 'hmac_header' => 'webhook-signature']);
        $serviceid = (int) $this->service->id;
        $sink = $this->redirectEvents();
        $dead = limits::take($serviceid, hash('sha256', 'a'));
        $this->assert_refused(503, 'webhook_busy', $this->standard_call('a', time()));
        $this->assertCount(0, $sink->get_events());
        // Whoever had it has died: the repeat is handled, and what the dead one might still do changes nothing.
        $DB->set_field(limits::TABLE, 'timestamp', time() - 1, []);
        $heir = limits::take($serviceid, hash('sha256', 'a'));
        limits::release($serviceid, hash('sha256', 'a'), $dead);
        limits::finish($serviceid, hash('sha256', 'a'), $dead);
        $this->assert_refused(503, 'webhook_busy', $this->standard_call('a', time()));
        limits::release($serviceid, hash('sha256', 'a'), $heir);
        $this->assertSame(200, $this->standard_call('a', time())[0]);
        $this->assertSame(200, $this->standard_call('a', time())[0]);
        $this->assertCount(1, $sink->get_events());
    }

    public function test_a_row_that_cannot_be_written_is_no_repeat(): void {
        $this->expectException(\dml_write_exception::class);
        limits::take((int) $this->service->id, str_repeat('x', 100));
    }

    public function test_whatever_goes_wrong_inside_is_answered_with_500(): void {
        global $DB;
        $real = $DB;
        foreach ([new \dml_read_exception('gone'), new \TypeError('wrong')] as $trouble) {
            $DB = $this->createStub(\moodle_database::class);
            $DB->method('get_record')->willThrowException($trouble);
            try {
                $answer = $this->call();
            } finally {
                $DB = $real;
            }
            $this->assert_refused(500, 'webhook_error', $answer);
            $this->assertDebuggingCalled();
        }
    }

    /**
     * An observer with an error.
     */
    public static function observe(): void {
        no_such_function();
    }

    public function test_an_event_without_its_service_is_refused(): void {
        $this->expectException(\coding_exception::class);
        webhook_received::create(['context' => \context_system::instance(), 'other' => ['payload' => []]]);
    }
}
