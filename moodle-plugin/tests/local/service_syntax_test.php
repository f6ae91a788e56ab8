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

namespace local_integrationhub\local;

/**
 * The fields of a service that have a form of their own.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\service_syntax
 * @covers     \local_integrationhub\local\service_fields
 */
final class service_syntax_test extends \advanced_testcase {
    /**
     * Field, value, and a part of what is said; '' when it is valid.
     *
     * @return array
     */
    public static function values(): array {
        $key = 'whsec_' . base64_encode(str_repeat('k', 24));
        $pem = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n";
        return [
            ['headers', '{"X-A": "{{userid}}", "X-B": ""}', ''],
            ['headers', '', ''],
            ['headers', "{\n \"X A\": \"b\"}", 'headers: line 2, column 2: this is not the name of a header'],
            ['headers', '{"X-A": 5}', 'headers: line 1, column 9: expected a text'],
            ['headers', '["X-A"]', 'headers: line 1, column 1: expected an object of header names and values'],
            ['headers', '{"X-A": "{{user"}', 'headers: line 1, column 9: in this value, line 1'],
            ['headers', '{"X-A": "b"', 'headers: line 1, column 12'],
            ['soap_headers', '{"Caller": {"id": {{userid}}}}', ''],
            ['soap_headers', '{"Caller": }', 'soap_headers: line 1, column 12'],
            ['auth_url', 'https://h/token', ''],
            ['auth_url', 'ftp://h/token', 'http://, https://'],
            ['auth_header', 'X-Api_Key.1', ''],
            ['auth_header', 'X Key', '"X Key"'],
            ['auth_header', "X-Key\n", 'X-Key'],
            ['content_type', 'text/plain; charset=utf-8', ''],
            ['content_type', "text/plain\r\nX: y", 'ASCII'],
            ['signing_secret', $key, ''],
            ['signing_secret_old', 'whsec_' . base64_encode(str_repeat('k', 65)), '24 to 64 bytes'],
            ['signing_secret', substr($key, 0, 20), '24 to 64 bytes'],
            ['signing_secret', 'secret', '24 to 64 bytes'],
            ['signing_secret', 'sodium:xyz', ''],
            ['client_cert', $pem . "-----BEGIN PRIVATE KEY-----\nB\n-----END PRIVATE KEY-----\n", ''],
            ['client_cert', $pem . "-----BEGIN RSA PRIVATE KEY-----\nB\n", ''],
            ['client_cert', $pem, 'a private key'],
            ['auth_token', "a\nb", 'control characters'],
            ['rate_limit', '-1', 'from 0 to 99999'],
            ['max_concurrency', '0', 'from 1 to 10000'],
            ['max_concurrency', '1.5', 'from 1 to 10000'],
        ];
    }

    /**
     * What is said, under the name of the field, and by validate(), too.
     *
     * @dataProvider values
     * @param string $field
     * @param string $value
     * @param string $says
     */
    public function test_faults(string $field, string $value, string $says): void {
        $faults = service_fields::faults(['timeout' => 5, $field => $value]);
        if ($says === '') {
            $this->assertSame([], $faults);
            return;
        }
        $this->assertSame([$field], array_keys($faults));
        $this->assertStringContainsString($says, $faults[$field]->getMessage());
        $this->expectExceptionMessage($says);
        service_fields::validate(['timeout' => 5, $field => $value]);
    }

    public function test_every_fault_is_told(): void {
        $values = ['name' => ' ', 'base_url' => 'x', 'timeout' => 0, 'auth_type' => 'digest', 'paused' => 1];
        $faults = service_fields::faults($values);
        $this->assertSame(['name', 'base_url', 'timeout', 'auth_type'], array_keys($faults));
    }

    public function test_the_address_suits_the_type(): void {
        $old = (object) ['type' => 'rest', 'base_url' => 'https://h'];
        $this->assertSame(['type'], array_keys(service_fields::faults(['type' => 'amqp'], $old)));
        $this->assertSame([], service_fields::faults(['type' => 'soap'], $old));
        $this->assertSame([], service_fields::faults(['base_url' => 'https://i'], $old));
        $this->assertSame(['base_url'], array_keys(service_fields::faults(['base_url' => 'amqp://i'], $old)));
        $sealed = \core\encryption::encrypt('amqp://u:p@h/');
        $this->assertSame([], service_fields::faults(['type' => 'amqp', 'base_url' => $sealed]));
    }
}
