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

use local_integrationhub\http_stub;
use local_integrationhub\mih;
use local_integrationhub\service\circuit_breaker;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/http_stub.php');

/**
 * SOAP services against PHP's SoapServer (tests/soap/server.php of the repository).
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\transport\soap
 * @covers     \local_integrationhub\local\gateway\soap_client
 * @covers     \local_integrationhub\local\gateway\soap_headers
 * @covers     \local_integrationhub\local\gateway\placeholders
 * @covers     \local_integrationhub\local\gateway\wsdl_loader
 */
final class soap_test extends \advanced_testcase {
    /** @var resource|null the server */
    private $process = null;

    /** @var string where it listens */
    private $url;

    /** @var string file of what it was sent */
    private $record;

    protected function setUp(): void {
        parent::setUp();
        if (!http_stub::is_there() || !extension_loaded('soap')) {
            $this->markTestSkipped('MIH_TESTS does not name the folder of the tests, or the extension soap is missing');
        }
        $this->resetAfterTest();
        http_stub::allow();
        $probe = stream_socket_server('tcp://127.0.0.1:0');
        $port = (int) substr(strrchr(stream_socket_get_name($probe, false), ':'), 1);
        fclose($probe);
        $this->url = "http://127.0.0.1:$port";
        $this->record = make_request_directory() . '/record';
        $environment = getenv() + ['MIH_SOAP_RECORD' => $this->record, 'MIH_SOAP_AUTHORIZATION' => 'Bearer canary-issued-2'];
        $log = ['file', '/dev/null', 'w'];
        $command = [PHP_BINARY, '-S', "127.0.0.1:$port", getenv('MIH_TESTS') . '/soap/server.php'];
        $this->process = proc_open($command, [['pipe', 'r'], $log, $log], $pipes, null, $environment);
        for ($i = 0; $i < 200 && !@fsockopen('127.0.0.1', $port); $i++) {
            usleep(50000);
        }
    }

    protected function tearDown(): void {
        if ($this->process !== null) {
            proc_terminate($this->process, SIGKILL);
            proc_close($this->process);
        }
        parent::tearDown();
    }

    /**
     * Makes a service.
     *
     * @param string $wsdl
     * @param array $values
     * @return \stdClass
     */
    private function service(string $wsdl = 'calculator.wsdl', array $values = []): \stdClass {
        $values += ['name' => 'soap', 'type' => 'soap', 'base_url' => "$this->url/$wsdl", 'max_retries' => 0, 'auth_type' => 'none',
            'retry_backoff' => 0];
        return $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service($values);
    }

    /**
     * What the server was sent, the last line.
     *
     * @return array
     */
    private function last(): array {
        $lines = file($this->record, FILE_IGNORE_NEW_LINES);
        return json_decode(end($lines), true);
    }

    public function test_an_operation_is_called_and_its_result_is_json(): void {
        $this->service();
        $response = mih::request('soap', '/Add', ['intA' => 20, 'intB' => 22]);
        $this->assertSame([true, 200, null], [$response->is_ok(), $response->httpstatus, $response->error]);
        $this->assertSame('{"AddResult":42}', $response->body);
        $response = mih::request('soap', 'Add', ['intA' => 1, 'intB' => 2]);
        $this->assertSame(['AddResult' => 3], $response->json());
    }

    public function test_a_refused_oauth_token_is_fetched_again_for_the_wsdl_and_for_calls(): void {
        global $DB;
        $stubs = [new http_stub(), new http_stub()];
        try {
            $service = $this->service('secret/calculator.wsdl', ['auth_type' => 'oauth2', 'auth_user' => 'me', 'auth_token' => 's',
                'auth_url' => $stubs[0]->url . '/token']);
            // The second token of a stub is the good one. The WSDL is not fetched again.
            $this->assertSame('{"AddResult":3}', mih::request('soap', 'Add', ['intA' => 1, 'intB' => 2])->body);
            $DB->set_field('local_integrationhub_svc', 'auth_url', $stubs[1]->url . '/token', ['id' => $service->id]);
            $this->assertSame('{"AddResult":5}', mih::request('soap', 'Add', ['intA' => 2, 'intB' => 3])->body);
            foreach ($stubs as $stub) {
                $this->assertCount(2, $stub->record());
            }
        } finally {
            $stubs[0]->stop();
            $stubs[1]->stop();
        }
    }

    public function test_imported_documents_are_fetched_by_us(): void {
        $this->service('country.wsdl');
        $response = mih::request('soap', '/FullCountryInfo', ['sCountryISOCode' => 'CH']);
        $this->assertNull($response->error);
        $this->assertStringContainsString('"sISOCode":"CH"', $response->body);
    }

    public function test_d19_faults_tell_who_is_to_blame(): void {
        $service = $this->service('calculator.wsdl', ['max_retries' => 1, 'cb_failure_threshold' => 99]);
        $response = mih::request('soap', '/Divide', ['intA' => 1, 'intB' => 0]);
        $this->assertSame([500, 'SOAP Fault: Division by zero', 1], [$response->httpstatus, $response->error, $response->attempts]);
        $this->assertEquals(0, circuit_breaker::from_service($service)->get_state()->failure_count);
        $response = mih::request('soap', '/Divide', ['intA' => 1, 'intB' => -1]);
        $this->assertSame([500, 'SOAP Fault: Out of order', 2], [$response->httpstatus, $response->error, $response->attempts]);
        $this->assertEquals(2, circuit_breaker::from_service($service)->get_state()->failure_count);
    }

    public function test_what_cannot_be_called_is_refused(): void {
        $this->service();
        foreach (['/Nothing' => 'SOAP Error: ', '/' => 'policy: ', '/a b' => 'policy: '] as $endpoint => $words) {
            $response = mih::request('soap', $endpoint, ['intA' => 1]);
            $this->assertStringStartsWith($words, $response->error);
        }
        $this->service('nothing.wsdl', ['name' => 'lost']);
        $this->assertStringStartsWith('SOAP Error: WSDL: HTTP 404', mih::request('lost', '/Add')->error);
        $this->service('', ['name' => 'down', 'base_url' => 'http://127.0.0.1:1/x.wsdl']);
        $this->assertStringStartsWith('SOAP Error: WSDL: cURL error 7', mih::request('down', '/Add')->error);
    }

    public function test_d19_the_guard_holds_for_soap(): void {
        $this->service();
        set_config('allownetworks', '', 'local_integrationhub');
        $response = mih::request('soap', '/Add', ['intA' => 1, 'intB' => 2]);
        $this->assertStringContainsString('loopback address', $response->error);
        $this->assertFileDoesNotExist($this->record);
    }

    public function test_d19_credentials_are_sent(): void {
        foreach (['wsse', 'wssetext'] as $type) {
            $auth = ['auth_type' => $type, 'auth_user' => 'mö<&', 'auth_token' => 'p<ss'];
            $this->service('calculator.wsdl', ['name' => $type] + $auth);
            $this->assertSame('{"AddResult":3}', mih::request($type, '/Add', ['intA' => 1, 'intB' => 2])->body, $type);
            $xml = simplexml_load_string($this->last()['xml']);
            $xml->registerXPathNamespace('w', 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd');
            $xml->registerXPathNamespace('u', 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd');
            [$user, $password, $nonce, $created] = array_map(function (string $name) use ($xml): string {
                return (string) $xml->xpath("//$name")[0];
            }, ['w:Username', 'w:Password', 'w:Nonce', 'u:Created']);
            $this->assertSame('mö<&', $user);
            $digest = base64_encode(sha1(base64_decode($nonce) . $created . 'p<ss', true));
            $this->assertSame($type === 'wsse' ? $digest : 'p<ss', $password);
        }
    }

    /**
     * The elements of a name in what the server was sent.
     *
     * @param string $namespace
     * @param string $name
     * @return \DOMElement[]
     */
    private function sent(string $namespace, string $name): array {
        $document = new \DOMDocument();
        $document->loadXML($this->last()['xml']);
        return iterator_to_array($document->getElementsByTagNameNS($namespace, $name), false);
    }

    public function test_the_services_own_headers_are_sent(): void {
        $this->service('calculator.wsdl', ['soap_headers' => '{
            "Caller": {"name": "{{who.name}} & co", "level": {{intA}}, "@mustUnderstand": true},
            "{urn:other}Trace": {"a": [1, {"@b": "{{intB}}", "_": "x"}, null], "@kind": "<k>"},
            "{urn:other}Id": "{{nobody}}"}']);
        $response = mih::request('soap', '/Add', ['intA' => 1, 'intB' => 2, 'who' => ['name' => 'mö"<']]);
        $this->assertNull($response->error);
        $call = $this->last()['calls'][0];
        $this->assertSame('header Caller', $call['operation']);
        $this->assertEquals(['name' => 'mö"< & co', 'level' => 1], $call['arguments'][0]);
        [$caller] = $this->sent('urn:mih:calculator', 'Caller');
        $this->assertSame('1', $caller->getAttributeNS('http://schemas.xmlsoap.org/soap/envelope/', 'mustUnderstand'));
        [$trace] = $this->sent('urn:other', 'Trace');
        $this->assertSame('<k>', $trace->getAttribute('kind'));
        [$first, $second, $third] = $this->sent('urn:other', 'a');
        $this->assertSame(['1', 'x', '2'], [$first->textContent, $second->textContent, $second->getAttribute('b')]);
        $this->assertSame('true', $third->getAttributeNS('http://www.w3.org/2001/XMLSchema-instance', 'nil'));
        $this->assertSame('', $this->sent('urn:other', 'Id')[0]->textContent);
    }

    /**
     * What cannot be made a header.
     *
     * @return array[]
     */
    public static function bad_headers(): array {
        return [
            ['{"Nobody": 1}', 'Nobody: the WSDL has no such element, or several: write {namespace}name'],
            ['{"{urn:x}a b": 1}', 'a b: it is no name that an XML element can have'],
            ['{"{urn:x}a": {"@b c": 1}}', 'b c: it is no name that an XML element can have'],
            ['[1]', 'not a JSON object'],
            ['{"a": ', 'not a JSON object'],
            ['{"{urn:x}a": [1]}', 'a: it is nested too deeply, or an array of arrays'],
            ['{"{urn:x}a": "\\u0001"}', 'a value holds a character that XML cannot hold'],
            ['{"{urn:x}a": {"@b": {}}}', 'an attribute or a text is an object'],
            ['{"{urn:x}a": "{{b|upper}}"}', 'filters work in rules only'],
        ];
    }

    /**
     * Nothing is sent when a header cannot be made.
     *
     * @dataProvider bad_headers
     * @param string $headers
     * @param string $why
     */
    public function test_headers_that_cannot_be_made_are_refused(string $headers, string $why): void {
        $this->service('calculator.wsdl', ['soap_headers' => $headers]);
        $this->assertSame("policy: SOAP headers: $why", mih::request('soap', '/Add', ['intA' => 1, 'intB' => 2])->error);
        foreach (file($this->record, FILE_IGNORE_NEW_LINES) as $line) {
            $this->assertStringNotContainsString('"calls"', $line);
        }
    }
}
