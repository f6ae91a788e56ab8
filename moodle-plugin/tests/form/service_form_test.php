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

namespace local_integrationhub\form;

use local_integrationhub\local\amqp_service_url;
use local_integrationhub\local\secrets;
use local_integrationhub\service\registry;

/**
 * The forms of services.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\form\service_form
 * @covers     \local_integrationhub\form\rest_service_form
 * @covers     \local_integrationhub\form\soap_service_form
 * @covers     \local_integrationhub\form\amqp_service_form
 * @covers     \local_integrationhub\form\connection_form
 */
final class service_form_test extends \advanced_testcase {
    protected function setUp(): void {
        global $PAGE;
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $PAGE->set_url('/local/integrationhub/service.php');
    }

    /**
     * What a browser sends of a new service.
     *
     * @param string $type
     * @param array $data
     * @return array
     */
    private static function data(string $type, array $data): array {
        $numbers = ['timeout' => 5, 'max_retries' => 3, 'retry_backoff' => 1, 'cb_failure_threshold' => 5, 'cb_cooldown' => 30,
            'max_concurrency' => 16, 'rate_limit' => 0, 'long_retries' => 1, 'enabled' => 1, 'paused' => 0,
            'rate_limit_requests' => 0, 'rate_limit_window' => 60, 'inbound_max_bytes' => 0, 'inbound_window' => 0,
            'inbound_open' => 0, 'hmac_header' => 'X-Hub-Signature-256', 'hmac_algo' => 'sha256', 'ip_whitelist' => ''];
        $own = [
            'rest' => ['base_url' => 'https://h/a', 'auth_type' => 'bearer', 'auth_token' => 'SECRET', 'body_type' => 'json'],
            'soap' => ['base_url' => 'https://h/?wsdl', 'auth_type' => 'none', 'soap_version' => ''],
            'amqp' => ['amqp_host' => 'h', 'amqp_user' => 'u', 'amqp_pass' => 'SECRET', 'amqp_vhost' => '/'],
        ];
        return $data + ['name' => 'crm', 'type' => $type] + $own[$type] + $numbers;
    }

    /**
     * The form after it was sent.
     *
     * @param string $type
     * @param array $data
     * @param \stdClass|null $service
     * @return service_form
     */
    private function sent(string $type, array $data, ?\stdClass $service = null): service_form {
        $class = "local_integrationhub\\form\\{$type}_service_form";
        $class::mock_submit(self::data($type, $data) + ['id' => $service->id ?? 0]);
        return service_form::of_type($type, new \moodle_url('/local/integrationhub/service.php'), $service);
    }

    /**
     * The errors of what was sent.
     *
     * @param string $type
     * @param array $data
     * @param \stdClass|null $service
     * @return string[]
     */
    private function errors(string $type, array $data, ?\stdClass $service = null): array {
        return $this->sent($type, $data, $service)->validation(self::data($type, $data), []);
    }

    public function test_rest(): void {
        $values = $this->sent('rest', ['headers' => ' {"X-A": "b"} ', 'paused' => 1])->values();
        $expected = ['name' => 'crm', 'type' => 'rest', 'base_url' => 'https://h/a', 'auth_token' => 'SECRET',
            'headers' => '{"X-A": "b"}', 'paused' => 1, 'auth_user' => null];
        $this->assertEquals($expected, array_intersect_key($values, $expected));
        $this->assertNull($values['auth_user']);
        $this->assertArrayNotHasKey('signing_secret', $values, 'empty keeps what is there');
        $id = registry::create_service((object) secrets::sealed($values, 'rest'));
        $service = registry::get_service_by_id($id);

        $html = service_form::of_type('rest', new \moodle_url('/'), $service)->render();
        $this->assertStringNotContainsString('SECRET', $html);
        $this->assertStringNotContainsString($service->auth_token, $html);
        $this->assertStringContainsString('Stored; leave empty to keep it', $html);

        $values = $this->sent('rest', ['auth_token' => '', 'timeout' => 9], $service)->values();
        $this->assertArrayNotHasKey('auth_token', $values);
        $values = $this->sent('rest', ['auth_token' => '', 'clear_auth_token' => 1, 'auth_type' => 'none'], $service)->values();
        $this->assertNull($values['auth_token']);
    }

    public function test_a_secret_is_not_sent_back(): void {
        $form = $this->sent('rest', ['timeout' => 'x']);
        $this->assertNull($form->values());
        $html = $form->render();
        $this->assertStringNotContainsString('SECRET', $html);
        $this->assertStringContainsString('enter it again', $html);
    }

    /**
     * What is refused: type, data, and the fields with an error.
     *
     * @return array
     */
    public static function bad(): array {
        return [
            'name' => ['rest', ['name' => 'a b'], ['name', 'auth_token']],
            'name that is taken' => ['rest', ['name' => 'taken'], ['name', 'auth_token']],
            'address' => ['rest', ['base_url' => 'ftp://h'], ['base_url', 'auth_token']],
            'no token' => ['rest', ['auth_token' => ''], ['auth_token']],
            'no user' => ['rest', ['auth_type' => 'basic', 'auth_user' => ''], ['auth_user', 'auth_token']],
            'no token endpoint' => ['rest', ['auth_type' => 'oauth2', 'auth_user' => 'u'], ['auth_url', 'auth_token']],
            'headers' => ['rest', ['headers' => '{'], ['headers', 'auth_token']],
            'key' => ['rest', ['signing_secret' => 'x'], ['signing_secret', 'auth_token']],
            'number' => ['rest', ['rate_limit' => '-1'], ['rate_limit', 'auth_token']],
            'SOAP headers' => ['soap', ['soap_headers' => '{"a"}'], ['soap_headers']],
            'WS-Security without a password' => ['soap', ['auth_type' => 'wsse', 'auth_user' => 'u'], ['auth_token']],
            'host' => ['amqp', ['amqp_host' => 'amqp://h'], ['amqp_host', 'amqp_pass']],
            'port' => ['amqp', ['amqp_port' => '70000'], ['amqp_port', 'amqp_pass']],
            'exchange' => ['amqp', ['amqp_exchange' => str_repeat('x', 256)], ['amqp_exchange', 'amqp_pass']],
        ];
    }

    /**
     * Each fault stands at its field.
     *
     * @dataProvider bad
     * @param string $type
     * @param array $data
     * @param string[] $fields
     */
    public function test_faults(string $type, array $data, array $fields): void {
        $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service(['name' => 'taken']);
        $errors = array_keys($this->errors($type, $data));
        sort($errors);
        sort($fields);
        $this->assertSame($fields, $errors);
    }

    public function test_an_old_name_may_stay(): void {
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $service = $generator->create_service(['name' => 'my old service', 'auth_token' => 'T']);
        $this->assertSame([], $this->errors('rest', ['name' => 'my old service', 'auth_token' => ''], $service));
        $this->assertSame(['name'], array_keys($this->errors('rest', ['name' => 'a new name', 'auth_token' => ''], $service)));
    }

    public function test_calls_that_come_in(): void {
        $more = ['ip_whitelist' => '10.0.0.0/8, ::1', 'hmac_secret' => 'IN-SECRET', 'rate_limit_requests' => 9,
            'inbound_open' => 1];
        $values = $this->sent('rest', $more)->values();
        $this->assertEquals($more, array_intersect_key($values, $more));
        $service = registry::get_service_by_id(registry::create_service((object) secrets::sealed($values, 'rest')));
        $this->assertStringStartsWith('sodium:', $service->hmac_secret);
        $html = service_form::of_type('rest', new \moodle_url('/'), $service)->render();
        $this->assertStringNotContainsString('IN-SECRET', $html);
        $this->assertStringNotContainsString('sodium:', $html);
        $this->assertStringNotContainsString('IN-SECRET', \local_integrationhub\service\transfer::export());
        $this->assertStringNotContainsString('sodium:', \local_integrationhub\service\transfer::export());
        $values = $this->sent('rest', ['auth_token' => ''], $service)->values();
        $this->assertArrayNotHasKey('hmac_secret', $values, 'empty keeps what is there');
        $bad = ['ip_whitelist' => 'nonsense', 'hmac_header' => 'a b', 'rate_limit_window' => 0, 'hmac_algo' => 'md5'];
        $errors = $this->errors('rest', $bad + ['name' => 'free']);
        $this->assertEqualsCanonicalizing(array_merge(array_keys($bad), ['auth_token']), array_keys($errors));
    }

    public function test_soap(): void {
        $expected = ['soap_version' => '1.2', 'auth_type' => 'wsse', 'auth_user' => 'u', 'auth_token' => 'P'];
        $values = $this->sent('soap', $expected)->values();
        $expected['type'] = 'soap';
        $this->assertEquals($expected, array_intersect_key($values, $expected));
        $this->assertNull($this->sent('soap', [])->values()['soap_version']);
    }

    public function test_amqp(): void {
        $more = ['amqp_tls' => 1, 'amqp_exchange' => 'e', 'amqp_vhost' => 'v', 'response_queue' => 'my.queue'];
        $values = $this->sent('amqp', $more)->values();
        $this->assertSame('amqps://u:SECRET@h:5671/v?exchange=e', $values['base_url']);
        $this->assertSame(['none', 'my.queue'], [$values['auth_type'], $values['response_queue']], 'D15: a dot stays');
        $this->assertArrayNotHasKey('amqp_pass', $values);
        $service = registry::get_service_by_id(registry::create_service((object) secrets::sealed($values, 'amqp')));
        $this->assertStringNotContainsString('SECRET', $service->base_url);

        $form = service_form::of_type('amqp', new \moodle_url('/'), $service);
        $html = $form->render();
        $this->assertStringNotContainsString('SECRET', $html);
        $this->assertStringNotContainsString('sodium', $html);
        $this->assertStringContainsString('value="e"', $html);

        $values = $this->sent('amqp', ['amqp_pass' => '', 'amqp_host' => 'i', 'amqp_port' => '5673'], $service)->values();
        $parts = amqp_service_url::parts($values['base_url']);
        $this->assertSame(['i', 5673], [$parts['host'], $parts['port']]);
        $this->assertSame('SECRET', secrets::open($parts['pass']), 'the password is kept');
    }

    public function test_the_form_of_the_connection_test(): void {
        foreach (['rest' => true, 'soap' => false] as $type => $hasmethod) {
            $form = new connection_form(null, ['service' => (object) ['type' => $type]]);
            $this->assertSame($hasmethod, strpos($form->render(), 'name="method"') !== false);
        }
        $this->assertSame(['path'], array_keys($form->validation(['path' => '/../a'], [])));
        $this->assertSame([], $form->validation(['path' => '/a?b=c'], []));
    }
}
