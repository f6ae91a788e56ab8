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

defined('MOODLE_INTERNAL') || die();

global $CFG;
require_once($CFG->libdir . '/filelib.php');

/**
 * The operations of WSDLs.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\wsdl_operations
 * @covers     \local_integrationhub\service\http_call
 * @covers     \local_integrationhub\external\wsdl_operations
 */
final class wsdl_operations_test extends \advanced_testcase {
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
        $this->resetAfterTest();
        $operation = '<w:portType name="p"><w:operation name="%s"/></w:portType>';
        $imports = '<w:import location="b.wsdl"/><w:import location="/c.wsdl"/><w:import location="https://elsewhere.example/d"/>';
        // The last one that is named is given first.
        \curl::mock_response(self::wsdl(sprintf($operation, 'C')));
        \curl::mock_response(self::wsdl(sprintf($operation, 'B')));
        \curl::mock_response(self::wsdl($imports . sprintf($operation, 'A')));
        $this->assertSame(['A', 'B', 'C'], wsdl_operations::of_url('https://www.example.com/a/a.wsdl'));
    }

    public function test_a_wsdl_without_operations(): void {
        $this->resetAfterTest();
        \curl::mock_response(self::wsdl(''));
        $this->expectExceptionMessage(get_string('error_wsdl_empty', 'local_integrationhub'));
        wsdl_operations::of_url('https://www.example.com/a.wsdl');
    }

    public function test_the_function_of_the_pages(): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $function = \local_integrationhub\external\wsdl_operations::class;
        $this->assertSame(['operations' => []], array_intersect_key($function::execute('ftp://h'), ['operations' => 1]));
        $this->assertStringContainsString('http://', $function::execute('ftp://h')['error']);
        $id = registry::create_service((object) ['name' => 'erp', 'type' => 'soap', 'base_url' => 'https://www.example.com/?wsdl']);
        \curl::mock_response(self::wsdl('<w:portType name="p"><w:operation name="Make"/></w:portType>'));
        $this->assertSame(['error' => '', 'operations' => ['Make']], $function::execute('', $id));
        $this->setUser($this->getDataGenerator()->create_user());
        $this->expectException(\required_capability_exception::class);
        $function::execute('https://www.example.com/');
    }
}
