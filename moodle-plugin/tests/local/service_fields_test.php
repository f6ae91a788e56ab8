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
 * What a service may be.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\service_fields
 */
final class service_fields_test extends \advanced_testcase {
    /**
     * Values that are refused, with the error.
     *
     * @return array
     */
    public static function bad(): array {
        return [
            'no name' => [['name' => ' '], 'error_name_required'],
            'name too long' => [['name' => str_repeat('é', 256)], 'error_name_required'],
            'type' => [['type' => 'ftp', 'base_url' => 'http://h'], 'error_choice'],
            'auth' => [['auth_type' => 'magic'], 'error_choice'],
            'time-out 0' => [['timeout' => '0'], 'error_number'],
            'time-out text' => [['timeout' => '5s'], 'error_number'],
            'retries negative' => [['max_retries' => -1], 'error_number'],
            'concurrency too high' => [['max_concurrency' => 10001], 'error_number'],
            'no URL' => [['base_url' => ''], 'error_url_required'],
            'URL of another kind' => [['base_url' => 'ftp://h'], 'error_invalid_url'],
            'amqp for REST' => [['base_url' => 'amqp://h'], 'error_invalid_url'],
            'http for AMQP' => [['base_url' => 'http://h', 'type' => 'amqp'], 'error_invalid_url'],
            'URL with a line break' => [['base_url' => "http://h/\r\nX: y"], 'error_invalid_url'],
            'URL with a space' => [['base_url' => 'http://h/a b'], 'error_invalid_url'],
            'URL too long' => [['base_url' => 'http://h/' . str_repeat('a', 1333)], 'error_invalid_url'],
            'token with a line break' => [['auth_token' => "a\r\nX: y"], 'error_token_bytes'],
        ];
    }

    /**
     * Refused, and the token never in the message.
     *
     * @dataProvider bad
     * @param array $values
     * @param string $code
     */
    public function test_refused(array $values, string $code): void {
        try {
            service_fields::validate($values);
            $this->fail('accepted');
        } catch (\moodle_exception $e) {
            $this->assertSame($code, $e->errorcode);
        }
    }

    public function test_defaults_are_accepted_and_follow_the_settings(): void {
        $this->resetAfterTest();
        service_fields::validate(service_fields::defaults() + ['name' => str_repeat('é', 255), 'base_url' => 'https://h/é']);
        $this->assertSame(5, service_fields::defaults()['timeout']);
        set_config('default_timeout', 9, 'local_integrationhub');
        set_config('default_max_retries', 7, 'local_integrationhub');
        $this->assertSame(9, service_fields::defaults()['timeout'], 'D16');
        $this->assertSame(7, service_fields::defaults()['max_retries'], 'D16');
    }

    public function test_a_change_is_judged_with_what_stays(): void {
        service_fields::validate(['base_url' => 'amqp://h'], (object) ['type' => 'amqp', 'base_url' => 'amqp://old']);
        // Rows of 2.0.0 may hold types that mean REST.
        service_fields::validate(['timeout' => 7], (object) ['type' => 'http', 'base_url' => '']);
        service_fields::validate(['base_url' => 'http://h'], (object) ['type' => 'http', 'base_url' => 'http://old']);
        $this->expectException(\moodle_exception::class);
        service_fields::validate(['type' => 'amqp'], (object) ['type' => 'rest', 'base_url' => 'http://old']);
    }
}
