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

namespace local_integrationhub\service;

use local_integrationhub\local\secrets;

defined('MOODLE_INTERNAL') || die();

global $CFG;
require_once($CFG->libdir . '/filelib.php');

/**
 * Trying a service; the requests themselves are seen by the tests of the pages.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\connection_test
 * @covers     \local_integrationhub\service\credentials
 * @covers     \local_integrationhub\service\http_call
 * @covers     \local_integrationhub\output\connection_result
 */
final class connection_test_test extends \advanced_testcase {
    /**
     * A service that is not stored.
     *
     * @param array $values
     * @return \stdClass
     */
    private function service(array $values): \stdClass {
        return (object) ($values + ['type' => 'rest', 'base_url' => 'https://www.example.com/api', 'auth_type' => 'none',
            'auth_token' => null, 'auth_user' => null, 'auth_header' => null, 'auth_url' => null, 'auth_scope' => null,
            'client_cert' => null, 'signing_secret' => null, 'signing_secret_old' => null, 'timeout' => 5]);
    }

    public function test_what_blocked_hosts_answer_is_not_seen(): void {
        $this->resetAfterTest();
        set_config('curlsecurityblockedhosts', '127.0.0.0/8');
        $result = connection_test::run($this->service(['base_url' => 'http://127.0.0.1:9']));
        $this->assertFalse($result->success);
        $this->assertSame('The URL is blocked.', $result->error);
        $this->assertSame('GET http://127.0.0.1:9/', $result->request);
        $this->assertDebuggingCalled();
        $amqp = connection_test::run($this->service(['type' => 'amqp', 'base_url' => 'amqp://u:SECRET@127.0.0.1:9/']));
        $this->assertSame([false, 'The URL is blocked.'], [$amqp->success, $amqp->error]);
        $this->assertStringNotContainsString('SECRET', json_encode($amqp));
    }

    public function test_a_refused_connection(): void {
        $this->resetAfterTest();
        set_config('curlsecurityblockedhosts', '');
        set_config('curlsecurityallowedport', '');
        $result = connection_test::run($this->service(['base_url' => 'http://127.0.0.1:9']), 'POST', '/a', '{}');
        $this->assertFalse($result->success);
        $this->assertStringContainsString('127.0.0.1', $result->error);
        $amqp = connection_test::run($this->service(['type' => 'amqp', 'base_url' => 'amqp://u:SECRET@127.0.0.1:9/']));
        $this->assertFalse($amqp->success);
        $this->assertNotSame('', $amqp->error);
    }

    public function test_a_wsdl(): void {
        $porttype = '<portType><operation name="Make"/></portType>';
        \curl::mock_response('<definitions xmlns="http://schemas.xmlsoap.org/wsdl/">' . $porttype . '</definitions>');
        $result = connection_test::run($this->service(['type' => 'soap', 'auth_type' => 'wsse', 'auth_token' => 'SECRET']));
        $this->assertTrue($result->success);
        $this->assertSame('Operations: Make', $result->body);
    }

    public function test_headers(): void {
        $this->assertSame([], credentials::headers($this->service(['auth_token' => 'T'])));
        $expected = [
            'bearer' => ['Authorization' => 'Bearer T'],
            'basic' => ['Authorization' => 'Basic ' . base64_encode('u:T')],
            'apikey' => ['X-API-Key' => 'T'],
        ];
        foreach ($expected as $type => $headers) {
            $service = $this->service(['auth_type' => $type, 'auth_user' => 'u', 'auth_token' => \core\encryption::encrypt('T')]);
            $this->assertSame($headers, credentials::headers($service));
            $service->auth_token = '';
            $this->assertSame([], credentials::headers($service));
        }
        $service = $this->service(['auth_type' => 'apikey', 'auth_header' => 'X-Own', 'auth_token' => 'T']);
        $this->assertSame(['X-Own' => 'T'], credentials::headers($service));
    }

    public function test_a_token_is_fetched(): void {
        $service = $this->service(['auth_type' => 'oauth2', 'auth_user' => 'client', 'auth_token' => 'T', 'auth_scope' => 's',
            'auth_url' => 'https://www.example.com/token']);
        \curl::mock_response('{"access_token": "A"}');
        $this->assertSame(['Authorization' => 'Bearer A'], credentials::headers($service));
        \curl::mock_response('{"error": "invalid_client"}');
        $result = connection_test::run($service);
        $this->assertFalse($result->success);
        $this->assertStringContainsString('gave no token', $result->error);
    }

    public function test_signatures_are_those_of_standard_webhooks(): void {
        $secrets = secrets::sealed(['signing_secret' => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], 'rest');
        $secrets['signing_secret_old'] = 'whsec_' . base64_encode('old');
        $headers = credentials::signature($this->service($secrets), 'id', '{}');
        $this->assertSame('id', $headers['webhook-id']);
        $expected = array_map(function (string $key) use ($headers): string {
            return 'v1,' . base64_encode(hash_hmac('sha256', "id.{$headers['webhook-timestamp']}.{}", $key, true));
        }, [base64_decode('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), 'old']);
        $this->assertSame(implode(' ', $expected), $headers['webhook-signature']);
        $this->assertArrayNotHasKey('webhook-signature', credentials::signature($this->service([]), 'id', '{}'));
    }

    public function test_what_is_shown(): void {
        global $PAGE;
        $PAGE->set_url('/');
        \curl::mock_response(str_repeat('é', 5000) . "\xff<script>");
        $result = connection_test::run($this->service([]), 'GET', 'a');
        $this->assertSame('GET https://www.example.com/api/a', $result->request);
        $this->assertTrue($result->more);
        $this->assertSame(4096, \core_text::strlen($result->body));
        $page = new \local_integrationhub\output\connection_result($result);
        $data = $page->export_for_template($PAGE->get_renderer('core'));
        $this->assertSame([$result->body, true], [$data['body'], $data['more']]);
    }
}
