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

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/http_stub.php');

/**
 * The operations of WSDLs.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\wsdl_operations
 * @covers     \local_integrationhub\service\credentials
 * @covers     \local_integrationhub\external\wsdl_operations
 */
final class wsdl_operations_test extends \advanced_testcase {
    /** @var http_stub|null */
    private $stub = null;

    protected function tearDown(): void {
        if ($this->stub) {
            $this->stub->stop();
            $this->stub = null;
        }
        parent::tearDown();
    }

    /**
     * Starts the service; the tests that need it are skipped without it.
     */
    private function start(): void {
        if (!http_stub::is_there()) {
            $this->markTestSkipped('MIH_TESTS does not name the folder of the tests');
        }
        $this->resetAfterTest();
        http_stub::allow();
        $this->stub = new http_stub();
    }

    /**
     * The path of a document with this content.
     *
     * @param string $content
     * @return string
     */
    private static function path(string $content): string {
        return '200?body=' . rawurlencode(self::wsdl($content));
    }

    /**
     * A WSDL.
     *
     * @param string $content
     * @return string
     */
    private static function wsdl(string $content): string {
        return "<?xml version=\"1.0\"?>\n<w:definitions xmlns:w=\"http://schemas.xmlsoap.org/wsdl/\">$content</w:definitions>";
    }

    public function test_of_text(): void {
        $text = self::wsdl('<w:import location="b.wsdl" namespace="n"/><w:portType name="p"><w:operation name="B"/>'
            . '<w:operation name="A"/></w:portType><w:binding name="b"><w:operation name="C"/></w:binding>');
        $this->assertSame([['B', 'A'], ['b.wsdl']], wsdl_operations::of_text($text));
    }

    public function test_what_is_refused(): void {
        $bombs = [
            '', 'nonsense', '<a/>', '<definitions/>',
            '<!DOCTYPE x [<!ENTITY e "e">]>' . self::wsdl('<w:portType><w:operation name="&e;"/></w:portType>'),
        ];
        foreach ($bombs as $text) {
            try {
                wsdl_operations::of_text($text);
                $this->fail("taken: $text");
            } catch (\moodle_exception $e) {
                $this->assertSame('error_wsdl', $e->errorcode);
            }
        }
    }

    public function test_imports_of_the_same_origin_are_read(): void {
        $this->start();
        $operation = '<w:portType name="p"><w:operation name="%s"/></w:portType>';
        $imports = '<w:import location="' . self::path(sprintf($operation, 'B')) . '"/><w:import location="/status/'
            . self::path(sprintf($operation, 'C')) . '"/><w:import location="https://elsewhere.example/d"/>';
        $url = $this->stub->url . '/status/' . self::path($imports . sprintf($operation, 'A'));
        $this->assertSame(['A', 'B', 'C'], wsdl_operations::of_url($url));
        $this->assertCount(3, $this->stub->record());
    }

    public function test_a_wsdl_without_operations(): void {
        $this->start();
        $this->expectExceptionMessage(get_string('error_wsdl_empty', 'local_integrationhub'));
        wsdl_operations::of_url($this->stub->url . '/status/' . self::path(''));
    }

    public function test_what_cannot_be_had(): void {
        $this->start();
        $faults = ['/status/201' => 'HTTP 201', '/status/302' => 'HTTP 302', '/huge?bytes=2097153' => 'too large'];
        foreach ($faults as $path => $fault) {
            try {
                wsdl_operations::of_url($this->stub->url . $path);
                $this->fail("taken: $path");
            } catch (\moodle_exception $e) {
                $this->assertStringContainsString($fault, $e->getMessage());
            }
        }
        set_config('allownetworks', '', 'local_integrationhub');
        $before = count($this->stub->record());
        $function = \local_integrationhub\external\wsdl_operations::class;
        $this->setAdminUser();
        $answer = $function::execute($this->stub->url . '/status/' . self::path(''));
        $this->assertStringContainsString('refused by the network guard', $answer['error']);
        $this->assertCount($before, $this->stub->record());
    }

    public function test_the_function_of_the_pages(): void {
        $this->start();
        $this->setAdminUser();
        $function = \local_integrationhub\external\wsdl_operations::class;
        $this->assertSame(['operations' => []], array_intersect_key($function::execute('ftp://h'), ['operations' => 1]));
        $this->assertStringContainsString('http://', $function::execute('ftp://h')['error']);
        $url = $this->stub->url . '/status/' . self::path('<w:portType name="p"><w:operation name="Make"/></w:portType>');
        $id = registry::create_service((object) ['name' => 'erp', 'type' => 'soap', 'base_url' => $url, 'auth_type' => 'bearer',
            'auth_token' => 'TOKEN']);
        $this->assertSame(['error' => '', 'operations' => ['Make']], $function::execute('', $id));
        $function::execute("$url&", $id);
        [$own, $other] = array_column($this->stub->record(), 'headers');
        $this->assertSame('Bearer TOKEN', $own['authorization']);
        $this->assertArrayNotHasKey('authorization', $other, 'a token goes to the address of its service only');
        $this->setUser($this->getDataGenerator()->create_user());
        $this->expectException(\required_capability_exception::class);
        $function::execute('https://www.example.com/');
    }
}
