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

namespace local_integrationhub;

use local_integrationhub\service\circuit_breaker;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/fixtures/http_stub.php');

/**
 * The gateway against a real HTTP service.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\mih
 * @covers     \local_integrationhub\mih_request
 * @covers     \local_integrationhub\mih_response
 * @covers     \local_integrationhub\transport\http
 * @covers     \local_integrationhub\transport\base
 * @covers     \local_integrationhub\local\gateway\sender
 * @covers     \local_integrationhub\local\gateway\http_client
 * @covers     \local_integrationhub\local\gateway\http_request
 * @covers     \local_integrationhub\local\gateway\request_log
 * @covers     \local_integrationhub\local\gateway\service_headers
 * @covers     \local_integrationhub\local\gateway\oauth
 * @covers     \local_integrationhub\local\gateway\secrets
 */
final class mih_test extends \advanced_testcase {
    /** @var http_stub */
    private $stub;

    protected function setUp(): void {
        parent::setUp();
        if (!http_stub::is_there()) {
            $this->markTestSkipped('MIH_TESTS does not name the folder of the tests');
        }
        $this->resetAfterTest();
        http_stub::allow();
        $this->stub = new http_stub();
    }

    protected function tearDown(): void {
        if ($this->stub !== null) {
            $this->stub->stop();
        }
        parent::tearDown();
    }

    /**
     * Makes a service.
     *
     * @param array $values
     * @return \stdClass
     */
    private function service(array $values = []): \stdClass {
        $values += ['name' => 'erp', 'base_url' => $this->stub->url, 'retry_backoff' => 0];
        return $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service($values);
    }

    /**
     * The log's rows.
     *
     * @return \stdClass[]
     */
    private function log(): array {
        global $DB;
        return array_values($DB->get_records(mih::LOG_TABLE, null, 'id'));
    }

    public function test_signatures_are_those_of_2_0_0(): void {
        $this->service(['auth_token' => 'T']);
        $response = mih::request('erp', '/echo', ['a' => 1]);
        $this->assertInstanceOf(mih_response::class, $response);
        $this->assertTrue($response->is_ok());
        $this->assertSame([true, 200, null, 1], [$response->success, $response->httpstatus, $response->error, $response->attempts]);
        $this->assertGreaterThanOrEqual(0, $response->latencyms);
        $this->assertSame('POST', $response->json()['method']);
        $this->assertSame('POST', $response->json(false)->method);
        $again = mih::send('erp')->to('/echo')->with(['a' => 1])->method('put')->dispatch();
        $this->assertSame('PUT', $again->json()['method']);
        $this->assertSame('local_integrationhub_log', mih::LOG_TABLE);
        $this->assertSame(mih::instance(), mih::instance());
        $this->assertNull((new mih_response(false, null, null, 'x', 0, 0))->json());
        $this->expectException(\coding_exception::class);
        (new mih_response(true, 200, 'no json', null, 0, 1))->json();
    }

    public function test_the_names_of_1_0_are_still_known(): void {
        foreach (['gateway' => mih::class, 'gateway_response' => mih_response::class] as $old => $new) {
            $this->assertSame($new, (new \ReflectionClass("local_integrationhub\\$old"))->getName());
            $this->assertDebuggingCalled();
        }
    }

    public function test_d2_every_method_sends_its_json_and_no_credentials_that_nobody_gave(): void {
        $this->service();
        foreach (['POST', 'PUT', 'PATCH', 'DELETE'] as $method) {
            $told = mih::request('erp', '/echo', ['a' => ['é/' => null]], $method)->json();
            $this->assertSame($method, $told['method']);
            $this->assertSame('{"a":{"\u00e9\/":null}}', $told['body'], $method);
            $headers = array_change_key_case($told['headers']);
            $this->assertSame('application/json', $headers['content-type'], $method);
            $this->assertArrayNotHasKey('authorization', $headers, $method);
        }
        $told = mih::request('erp', '/echo?b=2', ['a' => ['x y', 1]], 'GET')->json();
        $this->assertSame(['GET', ''], [$told['method'], $told['body']]);
        $this->assertSame('/echo?b=2&a%5B0%5D=x+y&a%5B1%5D=1', $this->last()['path']);
    }

    /**
     * The last request that the stub has seen.
     *
     * @return array
     */
    private function last(): array {
        $record = $this->stub->record();
        return end($record);
    }

    public function test_an_empty_payload_is_an_empty_body(): void {
        $this->service();
        $told = mih::request('erp', '/echo')->json();
        $this->assertSame('', $told['body']);
        $this->assertSame('0', array_change_key_case($told['headers'])['content-length']);
    }

    public function test_d1_a_failure_is_tried_again_and_every_attempt_has_the_same_id(): void {
        $this->service(['max_retries' => 3]);
        $response = mih::request('erp', '/status/500', ['a' => 1]);
        $this->assertFalse($response->is_ok());
        $this->assertSame([500, 'HTTP 500', 4], [$response->httpstatus, $response->error, $response->attempts]);
        $record = $this->stub->record();
        $this->assertCount(4, $record);
        $this->assertCount(1, array_unique(array_column($record, 'webhook_id')));
        $log = $this->log();
        $this->assertCount(1, $log);
        $this->assertEquals([4, 500, 0, 'HTTP 500'], [$log[0]->attempt_count, $log[0]->http_status, $log[0]->success,
            $log[0]->error_message]);
    }

    public function test_d1_a_time_out_is_tried_again(): void {
        $this->service(['max_retries' => 1, 'timeout' => 1]);
        $response = mih::request('erp', '/hang', ['a' => 1]);
        $this->assertSame([0, 2], [$response->httpstatus, $response->attempts]);
        $this->assertStringStartsWith('cURL error 28 for URL: ' . $this->stub->url . '/hang', $response->error);
    }

    public function test_what_is_final_is_not_tried_again(): void {
        $this->service(['max_retries' => 3]);
        foreach ([400, 422, 410, 501, 302] as $status) {
            $response = mih::request('erp', "/status/$status?location=http://127.0.0.1:1/", ['a' => 1]);
            $this->assertSame([$status, "HTTP $status", 1], [$response->httpstatus, $response->error, $response->attempts]);
        }
    }

    public function test_a_wait_that_is_longer_than_the_request_may_take_is_not_begun(): void {
        $this->service(['max_retries' => 3]);
        $started = microtime(true);
        $response = mih::request('erp', '/status/503?retry-after=3000');
        $this->assertSame(1, $response->attempts);
        $this->assertLessThan(60, microtime(true) - $started);
    }

    public function test_d6_d8_an_open_breaker_refuses_without_a_call_and_without_an_attempt(): void {
        global $DB;
        $service = $this->service(['max_retries' => 0, 'cb_failure_threshold' => 3]);
        for ($i = 0; $i < 3; $i++) {
            $this->assertFalse(mih::request('erp', '/status/500')->is_ok());
        }
        try {
            mih::request('erp', '/echo', [], 'put');
            $this->fail('sent');
        } catch (\moodle_exception $e) {
            $this->assertSame(['circuit_open', 'local_integrationhub'], [$e->errorcode, $e->module]);
            $this->assertStringContainsString('erp', $e->getMessage());
        }
        $this->assertCount(3, $this->stub->record());
        $row = $this->log()[3];
        $this->assertEquals([null, 0, 0, 0, 'Circuit breaker is OPEN', 'PUT', '/echo'], [$row->http_status, $row->latency_ms,
            $row->attempt_count, $row->success, $row->error_message, $row->http_method, $row->endpoint]);
        $DB->set_field(circuit_breaker::TABLE, 'retryat', time() - 1, ['serviceid' => $service->id]);
        $this->assertTrue(mih::request('erp', '/echo')->is_ok());
        $this->assertSame('CLOSED', circuit_breaker::from_service($service)->get_state_label());
    }

    public function test_retries_end_when_the_breaker_opens(): void {
        $this->service(['max_retries' => 9, 'cb_failure_threshold' => 2]);
        $this->assertSame(2, mih::request('erp', '/status/500')->attempts);
    }

    public function test_a_probe_that_could_not_be_sent_is_given_back(): void {
        global $DB;
        $service = $this->service(['max_retries' => 0, 'cb_failure_threshold' => 1]);
        mih::request('erp', '/status/500');
        $DB->set_field(circuit_breaker::TABLE, 'retryat', time() - 1, ['serviceid' => $service->id]);
        $DB->set_field('local_integrationhub_svc', 'auth_token', 'sodium:nonsense', ['id' => $service->id]);
        $this->assertStringStartsWith('policy: the token cannot be decrypted', mih::request('erp', '/echo')->error);
        // It was answered by nobody, and yet not by a service in trouble.
        $this->assertNotSame('halfopen', $DB->get_field(circuit_breaker::TABLE, 'state', ['serviceid' => $service->id]));
    }

    public function test_unknown_disabled_and_paused_services_are_exceptions(): void {
        $this->service(['enabled' => 0]);
        $this->service(['name' => 'paused', 'paused' => 1]);
        foreach (['nobody' => 'service_not_found', 'erp' => 'service_disabled', 'paused' => 'service_disabled'] as $name => $code) {
            try {
                mih::request($name);
                $this->fail("sent: $name");
            } catch (\moodle_exception $e) {
                $this->assertSame([$code, 'local_integrationhub'], [$e->errorcode, $e->module]);
            }
        }
    }

    public function test_d12_a_good_request_costs_two_reads_and_one_write(): void {
        global $DB;
        $this->service();
        mih::request('erp', '/echo');
        [$reads, $writes] = [$DB->perf_get_reads(), $DB->perf_get_writes()];
        mih::request('erp', '/echo', ['a' => 1]);
        $this->assertSame([2, 1], [$DB->perf_get_reads() - $reads, $DB->perf_get_writes() - $writes]);
    }

    public function test_d16_the_log_keeps_as_many_rows_as_the_setting_says_and_all_with_0(): void {
        global $DB;
        $service = $this->service();
        set_config('max_log_entries', 3, 'local_integrationhub');
        for ($i = 0; $i < 6; $i++) {
            webhook_handler::handle($service, ['i' => $i]);
        }
        $this->assertSame(3, $DB->count_records(mih::LOG_TABLE));
        set_config('max_log_entries', 0, 'local_integrationhub');
        for ($i = 0; $i < 6; $i++) {
            webhook_handler::handle($service, ['i' => $i]);
        }
        $this->assertSame(9, $DB->count_records(mih::LOG_TABLE));
    }

    /**
     * Ways to tell who calls, and the header that comes of it.
     *
     * @return array
     */
    public static function authorizations(): array {
        return [
            'none' => [['auth_type' => 'none', 'auth_token' => 'T'], []],
            'bearer' => [['auth_token' => 'T'], ['authorization' => 'Bearer T']],
            'no token' => [['auth_token' => ''], []],
            'apikey' => [['auth_type' => 'apikey', 'auth_token' => 'T'], ['x-api-key' => 'T']],
            'apikey elsewhere' => [['auth_type' => 'apikey', 'auth_token' => 'T', 'auth_header' => 'X-K'], ['x-k' => 'T']],
            'basic' => [['auth_type' => 'basic', 'auth_user' => 'u', 'auth_token' => 'p:w'],
                ['authorization' => 'Basic ' . base64_encode('u:p:w')]],
            'unknown' => [['auth_type' => 'magic', 'auth_token' => 'T'], []],
            'own headers' => [['headers' => '{"X-Site":"a {{n.m}}","Accept":"text/plain"}'],
                ['x-site' => 'a 7', 'accept' => 'text/plain']],
        ];
    }

    /**
     * Who calls, with the token in the table plain and encrypted.
     *
     * @dataProvider authorizations
     * @param array $columns
     * @param array $expected
     */
    public function test_authorization(array $columns, array $expected): void {
        $this->service($columns);
        $this->service(['name' => 'enc', 'auth_token' => \core\encryption::encrypt($columns['auth_token'] ?? '')] + $columns);
        foreach (['erp', 'enc'] as $name) {
            $headers = array_change_key_case(mih::request($name, '/echo', ['n' => ['m' => 7]])->json()['headers']);
            $named = array_intersect_key($headers, ['authorization' => 1, 'x-api-key' => 1, 'x-k' => 1, 'x-site' => 1]);
            $this->assertEquals(array_diff_key($expected, ['accept' => 1]), $named);
            $this->assertSame($expected['accept'] ?? 'application/json', $headers['accept']);
            $this->assertMatchesRegularExpression('~^[0-9a-f-]{36}$~', $headers['webhook-id']);
            $trace = '~^00-' . str_replace('-', '', $headers['webhook-id']) . '-[0-9a-f]{16}-01$~';
            $this->assertMatchesRegularExpression($trace, $headers['traceparent']);
        }
    }

    public function test_requests_are_signed_with_both_secrets_while_one_is_rotated(): void {
        $keys = [str_repeat('n', 24), str_repeat('o', 32)];
        $this->service(['signing_secret' => \core\encryption::encrypt('whsec_' . base64_encode($keys[0])),
            'signing_secret_old' => base64_encode($keys[1])]);
        $told = mih::request('erp', '/echo', ['a' => 1])->json();
        $headers = array_change_key_case($told['headers']);
        $text = $headers['webhook-id'] . '.' . $headers['webhook-timestamp'] . '.' . $told['body'];
        $expected = array_map(function (string $key) use ($text): string {
            return 'v1,' . base64_encode(hash_hmac('sha256', $text, $key, true));
        }, $keys);
        $this->assertSame(implode(' ', $expected), $headers['webhook-signature']);
    }

    public function test_oauth_tokens_are_fetched_once_and_again_when_they_are_refused(): void {
        $this->service(['auth_type' => 'oauth2', 'auth_user' => 'me', 'auth_token' => 'secret', 'auth_scope' => 'a b',
            'auth_url' => $this->stub->url . '/token?client=' . hash('sha256', 'me:secret')]);
        $this->assertTrue(mih::request('erp', '/guarded')->is_ok());
        $this->assertTrue(mih::request('erp', '/guarded')->is_ok());
        $this->assertCount(1, $this->requests('/token'));
        $this->service(['name' => 'other']);
        mih::request('other', '/revoke');
        $response = mih::request('erp', '/guarded');
        $this->assertSame([true, 1], [$response->is_ok(), $response->attempts]);
        $this->assertCount(2, $this->requests('/token'));
    }

    public function test_oauth_tokens_are_kept_for_a_day_at_most_and_for_one_certificate(): void {
        $values = ['auth_type' => 'oauth2', 'auth_user' => 'me', 'auth_token' => 'secret',
            'auth_url' => $this->stub->url . '/token?life=99999999'];
        $service = $this->service($values);
        $this->assertTrue(mih::request('erp', '/guarded')->is_ok());
        $key = new \ReflectionMethod(local\gateway\oauth::class, 'key');
        $key->setAccessible(true);
        $kept = \cache::make('local_integrationhub', 'oauth_tokens')->get($key->invoke(new local\gateway\oauth($service)));
        $this->assertLessThanOrEqual(time() + DAYSECS, $kept['until']);
        $this->service($values + ['name' => 'cert', 'client_cert' => 'pem']);
        $this->assertTrue(mih::request('cert', '/guarded')->is_ok());
        $this->assertCount(2, $this->requests('/token'));
    }

    public function test_an_oauth_client_that_is_not_known_is_told_and_its_secret_is_not(): void {
        $this->service(['auth_type' => 'oauth2', 'auth_user' => 'me', 'auth_token' => 'wrong secret', 'max_retries' => 0,
            'auth_url' => $this->stub->url . '/token?client=' . hash('sha256', 'me:secret')]);
        $response = mih::request('erp', '/guarded');
        $this->assertSame(401, $response->httpstatus);
        $this->assertStringContainsString('token endpoint', $response->error);
        $this->assertStringNotContainsString('wrong secret', $response->error . $this->log()[0]->error_message);
        $this->assertSame([], $this->requests('/guarded'));
    }

    /**
     * The requests to a path.
     *
     * @param string $path
     * @return array[]
     */
    private function requests(string $path): array {
        return array_values(array_filter($this->stub->record(), function (array $request) use ($path): bool {
            return strncmp($request['path'], $path, strlen($path)) === 0;
        }));
    }

    public function test_forms_and_texts(): void {
        $this->service(['body_type' => 'form']);
        $this->service(['name' => 'raw', 'body_type' => 'raw', 'content_type' => 'text/csv']);
        $told = mih::request('erp', '/echo', ['a' => ['b' => 'ñ &']])->json();
        $this->assertSame('a%5Bb%5D=%C3%B1+%26', $told['body']);
        $this->assertSame('application/x-www-form-urlencoded', array_change_key_case($told['headers'])['content-type']);
        $told = mih::request('raw', '/echo', ["a;b\n"])->json();
        $this->assertSame(["a;b\n", 'text/csv'], [$told['body'], array_change_key_case($told['headers'])['content-type']]);
    }

    /**
     * What is refused before anything is sent.
     *
     * @return array
     */
    public static function refused(): array {
        return [
            'climbs' => [[], '/a/../b', 'segment'],
            'climbs, encoded' => [[], '/a/%2E%2e/b', 'segment'],
            'space' => [[], '/a b', 'space'],
            'line break' => [[], "/a\r\nX: y", 'space'],
            'dot at the end' => [['base_url' => 'http://localhost./'], '/', 'ends in a dot'],
            'encoded host' => [['base_url' => 'http://localhos%74/'], '/', 'the host is no name'],
            'no name' => [['base_url' => "http://localhost\u{200d}\u{ff0f}/"], '/', 'the host is no name'],
            'user in the URL' => [['base_url' => 'http://u:p@127.0.0.1/'], '/', 'user name'],
            'file' => [['base_url' => 'file:///etc/passwd'], '/', 'http://'],
            'token' => [['auth_token' => "T\r\nX: y"], '/', 'control byte'],
            'header of ours' => [['headers' => '{"Host":"x"}'], '/', 'header Host'],
            'header value' => [['headers' => '{"X-A":"{{a}}"}'], '/', 'header X-A'],
            'headers' => [['headers' => '[1]'], '/', 'JSON object'],
        ];
    }

    /**
     * Refused, with a reason, without a request and without counting for the breaker.
     *
     * @dataProvider refused
     * @param array $columns
     * @param string $endpoint
     * @param string $reason
     */
    public function test_what_cannot_be_sent_is_refused(array $columns, string $endpoint, string $reason): void {
        $service = $this->service($columns);
        $response = mih::request('erp', $endpoint, ['a' => "x\r\ny"]);
        $this->assertFalse($response->is_ok());
        $this->assertSame(1, $response->attempts);
        $this->assertStringStartsWith('policy: ', $response->error);
        $this->assertStringContainsString($reason, $response->error);
        $this->assertSame([], $this->stub->record());
        $this->assertEquals(0, circuit_breaker::from_service($service)->get_state()->failure_count);
    }

    public function test_the_network_guard_refuses_loopback_unless_both_lists_allow_it(): void {
        $this->service();
        set_config('allownetworks', '', 'local_integrationhub');
        $response = mih::request('erp', '/echo');
        $this->assertStringContainsString('127.0.0.1 has the loopback address 127.0.0.1', $response->error);
        set_config('allownetworks', '127.0.0.0/8', 'local_integrationhub');
        set_config('curlsecurityblockedhosts', '127.0.0.0/8');
        $this->assertStringContainsString('HTTP security', mih::request('erp', '/echo')->error);
        set_config('curlsecurityblockedhosts', '');
        $this->assertTrue(mih::request('erp', '/echo')->is_ok());
        $this->assertCount(1, $this->stub->record());
    }

    public function test_a_name_is_looked_up_once_and_pinned(): void {
        $this->service(['base_url' => str_replace('127.0.0.1', 'localhost', $this->stub->url)]);
        $this->assertTrue(mih::request('erp', '/echo')->is_ok());
        set_config('allownetworks', '', 'local_integrationhub');
        $this->assertStringContainsString('localhost has the loopback address', mih::request('erp', '/echo')->error);
    }

    public function test_moodles_proxy_is_used_only_when_it_is_said_to_refuse_internal_addresses(): void {
        global $CFG;
        $this->service();
        [$CFG->proxyhost, $CFG->proxyport, $CFG->proxybypass] = ['127.0.0.1', parse_url($this->stub->url, PHP_URL_PORT), ''];
        $this->assertStringContainsString(get_string('error_proxy', 'local_integrationhub'), mih::request('erp', '/echo')->error);
        $this->assertSame([], $this->stub->record());
        set_config('proxyenforcesegress', 1, 'local_integrationhub');
        mih::request('erp', '/echo');
        $this->assertStringEndsWith('/echo', $this->last()['path']);
        set_config('proxyenforcesegress', 0, 'local_integrationhub');
        $CFG->proxybypass = '127.0.0.1';
        $this->assertTrue(mih::request('erp', '/echo')->is_ok());
    }

    public function test_a_name_in_other_letters_is_looked_up_as_curl_looks_it_up(): void {
        $this->service(['base_url' => str_replace('127.0.0.1', 'ｌocalhost', $this->stub->url)]);
        $this->assertTrue(mih::request('erp', '/echo')->is_ok());
        $this->service(['name' => 'idn', 'base_url' => 'http://faß.invalid/']);
        $this->assertStringContainsString('http://xn--fa-hia.invalid/', mih::request('idn', '/')->error);
        set_config('allownetworks', '', 'local_integrationhub');
        $this->assertStringContainsString('localhost has the loopback address', mih::request('erp', '/echo')->error);
    }

    public function test_broken_answers_are_failures_with_a_status_of_0(): void {
        $this->service(['max_retries' => 0, 'timeout' => 2, 'cb_failure_threshold' => 99]);
        foreach (['/reset', '/empty', '/partial', '/garbage', '/chunkcut'] as $path) {
            $response = mih::request('erp', $path);
            $this->assertSame([false, 0], [$response->is_ok(), $response->httpstatus], $path);
            $this->assertStringStartsWith('cURL error ', $response->error);
        }
        $response = mih::request('erp', '/endless');
        $this->assertFalse($response->is_ok());
        $response = mih::request('erp', '/huge?bytes=20000000');
        $this->assertSame(get_string('error_answer_size', 'local_integrationhub'), $response->error);
    }

    public function test_d18_no_secret_is_in_the_log(): void {
        $this->service(['auth_token' => 'c4nary-t0ken', 'max_retries' => 0]);
        mih::request('erp', '/status/500?key=c4nary-t0ken', ['a' => 'c4nary-t0ken']);
        mih::request('erp', '/reset?key=c4nary-t0ken');
        $this->assertStringNotContainsString('c4nary-t0ken', json_encode($this->log()));
        $this->assertCount(2, $this->log());
    }
}
