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
        $environment = getenv() + ['MIH_SOAP_RECORD' => $this->record, 'MIH_SOAP_AUTHORIZATION' => 'Bearer t0p secret'];
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
}
