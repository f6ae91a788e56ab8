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
 * Broker URLs.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\amqp_url
 */
final class amqp_url_test extends \advanced_testcase {
    /**
     * URLs that are accepted.
     *
     * @return array
     */
    public static function good(): array {
        return [
            'all parts' => ['amqp://u:p@h:1234/v', [false, 'h', 1234, 'u', 'p', 'v']],
            'defaults' => ['amqp://h', [false, 'h', 5672, 'guest', 'guest', '/']],
            'TLS' => ['AMQPS://h/', [true, 'h', 5671, 'guest', 'guest', '/']],
            'percent-encoded (D14)' => ['amqp://a%40b:p%2Fw%2C@h/%2Fv%2F', [false, 'h', 5672, 'a@b', 'p/w,', '/v/']],
            'a plus is a plus' => ['amqp://u:a+b@h', [false, 'h', 5672, 'u', 'a+b', '/']],
            'IPv6' => ['amqp://u:p@[::1]:5673/v', [false, '::1', 5673, 'u', 'p', 'v']],
        ];
    }

    /**
     * Each part arrives.
     *
     * @dataProvider good
     * @param string $text
     * @param array $expected
     */
    public function test_parts(string $text, array $expected): void {
        $url = amqp_url::parse($text);
        $this->assertSame($expected, [$url->tls, $url->host, $url->port, $url->user, $url->password, $url->vhost]);
    }

    /**
     * Texts that are refused.
     *
     * @return array
     */
    public static function bad(): array {
        return [
            'another scheme' => ['http://u:SECRET@h', 'error_url_scheme'],
            'no scheme' => ['u:SECRET@h', 'error_url_scheme'],
            'no host' => ['amqp://', 'error_url_syntax'],
            'port too large' => ['amqp://u:SECRET@h:99999', 'error_url_syntax'],
            'a space' => ['amqp://u:SECRET @h', 'error_url_syntax'],
            'a line break' => ["amqp://u:SECRET@h\nx", 'error_url_syntax'],
            'a query' => ['amqp://u:SECRET@h/v?x=1', 'error_url_extra'],
            'a fragment' => ['amqp://u:SECRET@h/v#x', 'error_url_extra'],
        ];
    }

    /**
     * The error says what is wrong and never the password.
     *
     * @dataProvider bad
     * @param string $text
     * @param string $reason
     */
    public function test_refused(string $text, string $reason): void {
        try {
            amqp_url::parse($text);
            $this->fail('accepted');
        } catch (\moodle_exception $e) {
            $this->assertSame('error_brokerurl', $e->errorcode);
            $this->assertStringContainsString(get_string($reason, 'local_integrationhub'), $e->getMessage());
            $this->assertStringNotContainsString('SECRET', $e->getMessage());
        }
    }

    public function test_a_list(): void {
        $hosts = array_column(amqp_url::parse_list(' amqp://a , amqps://b,,'), 'host');
        $this->assertSame(['a', 'b'], $hosts);
        $this->assertSame([], amqp_url::parse_list(' , '));
        $this->expectException(\moodle_exception::class);
        amqp_url::parse_list('amqp://a,nonsense');
    }

    public function test_masked(): void {
        $this->assertSame('amqps://a%40b:***@h:5671/', amqp_url::parse('amqps://a%40b:SECRET@h')->masked());
        $this->assertSame('amqp://u:***@[::1]:9/%2Fv', amqp_url::parse('amqp://u:SECRET@[::1]:9/%2Fv')->masked());
    }
}
