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

use local_integrationhub\http_stub;
use local_integrationhub\local\secrets;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/http_stub.php');

/**
 * Trying a service; the requests themselves are seen by the tests of the pages.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\connection_test
 * @covers     \local_integrationhub\service\credentials
 * @covers     \local_integrationhub\output\connection_result
 */
final class connection_test_test extends \advanced_testcase {
    /** @var http_stub|null */
    private $stub = null;

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
        if ($this->stub) {
            $this->stub->stop();
        }
        parent::tearDown();
    }

    /**
     * A service that is not stored.
     *
     * @param array $values
     * @return \stdClass
     */
    private function service(array $values = []): \stdClass {
        return (object) ($values + ['type' => 'rest', 'base_url' => $this->stub->url . '/echo', 'auth_type' => 'none',
            'auth_token' => null, 'auth_user' => null, 'auth_header' => null, 'auth_url' => null, 'auth_scope' => null,
            'client_cert' => null, 'signing_secret' => null, 'signing_secret_old' => null, 'timeout' => 5]);
    }

    /**
     * What the stub has seen of a request.
     *
     * @param \stdClass $result
     * @return array
     */
    private function seen(\stdClass $result): array {
        $this->assertSame([true, ''], [$result->success, $result->error]);
        return json_decode($result->body, true);
    }

    public function test_it_goes_nowhere_that_the_gateway_may_not_go(): void {
        set_config('allownetworks', '', 'local_integrationhub');
        $url = $this->stub->url;
        $port = parse_url($url, PHP_URL_PORT);
        $oauth = ['auth_type' => 'oauth2', 'auth_user' => 'u', 'auth_token' => 'TOKEN', 'auth_url' => "$url/token"];
        $services = [
            [], ['type' => 'soap'], ['type' => 'amqp', 'base_url' => "amqp://u:PASSWORD@127.0.0.1:$port/"],
            $oauth + ['base_url' => 'https://192.0.2.1/'], $oauth + ['type' => 'soap', 'base_url' => 'https://192.0.2.1/'],
        ];
        foreach ($services as $values) {
            $result = connection_test::run($this->service($values));
            $this->assertFalse($result->success);
            $this->assertStringContainsString('refused by the network guard: 127.0.0.1 has the loopback', $result->error);
            $this->assertSame('', $result->body);
            $this->assertDoesNotMatchRegularExpression('~TOKEN|PASSWORD~', json_encode($result));
        }
        $result = connection_test::run($this->service(['base_url' => 'http://169.254.170.2']), 'GET', '/v2/credentials');
        $this->assertStringContainsString('169.254.170.2 has the link-local', $result->error);
        set_config('allownetworks', '127.0.0.0/8', 'local_integrationhub');
        set_config('curlsecurityblockedhosts', '127.0.0.0/8');
        $result = connection_test::run($this->service());
        $this->assertStringContainsString('refused by Moodle', $result->error);
        $this->assertSame([], $this->stub->record());
    }

    public function test_a_refused_connection(): void {
        $result = connection_test::run($this->service(['base_url' => 'http://127.0.0.1:9']), 'POST', '/a', '{}');
        $this->assertFalse($result->success);
        $this->assertStringContainsString('127.0.0.1', $result->error);
        $this->assertSame('POST http://127.0.0.1:9/a', $result->request);
        $amqp = connection_test::run($this->service(['type' => 'amqp', 'base_url' => 'amqp://u:SECRET@127.0.0.1:9/']));
        $this->assertFalse($amqp->success);
        $this->assertStringContainsString('no connection', $amqp->error);
        $this->assertSame('CONNECT amqp://u@127.0.0.1:9/', $amqp->request);
    }

    public function test_a_wsdl(): void {
        $wsdl = '<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"><portType><operation name="Make"/></portType></definitions>';
        $url = $this->stub->url . '/status/200?body=' . rawurlencode($wsdl);
        $values = ['type' => 'soap', 'auth_type' => 'wsse', 'auth_token' => 'SECRET', 'base_url' => $url];
        $result = connection_test::run($this->service($values));
        $this->assertSame([true, 'Operations: Make'], [$result->success, $result->body]);
        $this->assertArrayNotHasKey('authorization', $this->stub->record()[0]['headers']);
        connection_test::run($this->service(['auth_type' => 'bearer'] + $values));
        $this->assertSame('Bearer SECRET', $this->stub->record()[1]['headers']['authorization']);
        $result = connection_test::run($this->service(['base_url' => $this->stub->url . '/status/404'] + $values));
        $this->assertStringContainsString('HTTP 404', $result->error);
    }

    public function test_what_is_sent(): void {
        $service = $this->service(['auth_type' => 'basic', 'auth_user' => 'u', 'auth_token' => \core\encryption::encrypt('T')]);
        $this->seen(connection_test::run($service, 'PUT', '/a?b=c', '{"x":1}'));
        $service->auth_token = 'T';
        $service->auth_type = 'apikey';
        $this->seen(connection_test::run($service));
        [$put, $get] = $this->stub->record();
        $this->assertSame(['PUT', '/echo/a?b=c', 7], [$put['method'], $put['path'], $put['body_length']]);
        $this->assertSame('Basic ' . base64_encode('u:T'), $put['headers']['authorization']);
        $this->assertSame('application/json', $put['headers']['content-type']);
        $this->assertStringStartsWith('test-', $put['webhook_id']);
        $this->assertSame(['GET', '/echo/', 0, 'T'], [$get['method'], $get['path'], $get['body_length'],
            $get['headers']['x-api-key']]);
        $head = connection_test::run($service, 'HEAD');
        $this->assertSame([true, ''], [$head->success, $head->body]);
        $this->assertArrayHasKey('Content-Length', $head->headers);
    }

    public function test_a_token_is_fetched(): void {
        $service = $this->service(['auth_type' => 'oauth2', 'auth_user' => 'client', 'auth_token' => 'SECRET',
            'auth_url' => $this->stub->url . '/token', 'base_url' => $this->stub->url . '/guarded']);
        $this->assertTrue(connection_test::run($service)->success);
        $this->assertSame(['/token', '/guarded/'], array_column($this->stub->record(), 'path'));
        $service->auth_url = $this->stub->url . '/token?fail=invalid_client';
        $result = connection_test::run($service);
        $this->assertSame([false, 0], [$result->success, $result->status]);
        $this->assertStringContainsString('token endpoint', $result->error);
    }

    public function test_signatures_are_those_of_standard_webhooks(): void {
        $old = 'whsec_' . base64_encode(str_repeat('o', 24));
        $secrets = secrets::sealed(['signing_secret' => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], 'rest');
        $this->seen(connection_test::run($this->service($secrets + ['signing_secret_old' => $old]), 'POST', '', '{}'));
        $headers = $this->stub->record()[0]['headers'];
        $text = "{$headers['webhook-id']}.{$headers['webhook-timestamp']}.{}";
        $expected = array_map(function (string $key) use ($text): string {
            return 'v1,' . base64_encode(hash_hmac('sha256', $text, $key, true));
        }, [base64_decode('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), str_repeat('o', 24)]);
        $this->assertSame(implode(' ', $expected), $headers['webhook-signature']);
        connection_test::run($this->service());
        $this->assertArrayNotHasKey('webhook-signature', $this->stub->record()[1]['headers']);
    }

    public function test_secrets_that_are_repeated_are_not_shown(): void {
        $secret = 'whsec_' . base64_encode(str_repeat('s', 24));
        $token = 'TO/KEN"+';
        $pair = base64_encode("u:$token");
        $path = '/' . rawurlencode($token) . '?location=' . rawurlencode("$token $pair") . '&body='
            . rawurlencode(str_repeat('x', 4090) . json_encode([$token, $secret, $pair]) . $token);
        $service = $this->service(['base_url' => $this->stub->url . '/status/200', 'auth_type' => 'basic', 'auth_user' => 'u',
            'auth_token' => \core\encryption::encrypt($token), 'signing_secret' => $secret]);
        $result = connection_test::run($service, 'GET', $path);
        $this->assertSame([200, '*** ***'], [$result->status, $result->headers['location'] ?? $result->headers['Location']]);
        $this->assertStringContainsString('["***"', $result->body);
        $forms = [$token, rawurlencode($token), base64_encode($token), substr(json_encode($token), 1, -1), $secret, $pair];
        $service->base_url = 'http://127.0.0.1:9/' . rawurlencode($token);
        foreach ([$result, connection_test::run($service)] as $result) {
            $shown = implode(' ', array_merge([$result->request, $result->error, $result->body], $result->headers));
            foreach ($forms as $form) {
                $this->assertStringNotContainsString($form, $shown);
            }
        }
        $service = $this->service(['auth_type' => 'oauth2', 'auth_user' => 'client', 'auth_token' => 'SECRET',
            'auth_url' => $this->stub->url . '/token']);
        $this->assertStringContainsString('"Bearer ***"', connection_test::run($service)->body);
        $wsdl = '<portType><operation name="SECRET"/></portType>';
        $wsdl = "<definitions xmlns=\"http://schemas.xmlsoap.org/wsdl/\">$wsdl</definitions>";
        $service = $this->service(['type' => 'soap', 'auth_type' => 'bearer', 'auth_token' => 'SECRET',
            'base_url' => $this->stub->url . '/status/200?body=' . rawurlencode($wsdl)]);
        $this->assertSame('Operations: ***', connection_test::run($service)->body);
    }

    public function test_what_is_shown(): void {
        global $PAGE;
        $PAGE->set_url('/');
        $service = $this->service(['base_url' => $this->stub->url . '/status/200?body=' . rawurlencode(str_repeat('é', 1000)
            . "\xff<script>")]);
        $result = connection_test::run($service);
        $this->assertStringStartsWith(str_repeat('é', 1000), $result->body);
        $this->assertFalse($result->more);
        $result = connection_test::run($this->service(['base_url' => $this->stub->url . '/huge']), 'GET', '?bytes=5000');
        $this->assertTrue($result->more);
        $this->assertSame(4096, \core_text::strlen($result->body));
        $page = new \local_integrationhub\output\connection_result($result);
        $data = $page->export_for_template($PAGE->get_renderer('core'));
        $this->assertSame([$result->body, true], [$data['body'], $data['more']]);
        $result = connection_test::run($this->service(['base_url' => $this->stub->url . '/status/404']));
        $this->assertSame([false, '', 404], [$result->success, $result->error, $result->status]);
    }
}
