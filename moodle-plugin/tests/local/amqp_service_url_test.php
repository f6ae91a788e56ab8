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
 * Addresses of AMQP services.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\amqp_service_url
 */
final class amqp_service_url_test extends \advanced_testcase {
    /**
     * Addresses that come back as they were.
     *
     * @return array
     */
    public static function addresses(): array {
        return [
            'plain' => ['amqp://u:p@broker.example:5672/'],
            'TLS, virtual host, everything' => [
                'amqps://u:p@broker.example:5671/v%2Fh?exchange=crm.events&routing_key=a%20b&queue_declare=q&dlq=d',
            ],
            'special characters' => ['amqp://us%40er:p%2Fw%3A@broker.example:5673/?exchange=a%26b'],
            'IPv6, no password' => ['amqp://u@[::1]:5672/'],
        ];
    }

    /**
     * Taken apart and put together.
     *
     * @dataProvider addresses
     * @param string $url
     */
    public function test_both_ways(string $url): void {
        $this->assertSame($url, amqp_service_url::url(amqp_service_url::parts($url)));
    }

    public function test_parts(): void {
        $parts = amqp_service_url::parts('amqps://u%40x:p%2Fw@h/v%2Fh?exchange=a+b&x=1&routing_key=k');
        $this->assertSame([
            'tls' => true, 'host' => 'h', 'port' => 5671, 'user' => 'u@x', 'pass' => 'p/w', 'vhost' => 'v/h',
            'exchange' => 'a b', 'routing_key' => 'k', 'queue_declare' => '', 'dlq' => '',
        ], $parts);
        $this->assertSame('guest', amqp_service_url::parts('amqp://h')['user']);
        $this->assertSame('', amqp_service_url::parts('nonsense')['host']);
    }

    public function test_an_encrypted_address_is_opened(): void {
        $sealed = \core\encryption::encrypt('amqp://u:p@h:5672/');
        $this->assertSame('h', amqp_service_url::parts($sealed)['host']);
    }
}
