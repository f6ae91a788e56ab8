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

namespace local_integrationhub\local\gateway;

/**
 * Networks, and what the guard makes of addresses.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\gateway\network
 * @covers     \local_integrationhub\local\gateway\network_guard
 * @covers     \local_integrationhub\admin\setting_networks
 */
final class network_test extends \advanced_testcase {
    /**
     * Addresses and the kind for which they are refused.
     *
     * @return array
     */
    public static function addresses(): array {
        return [
            ['8.8.8.8', null], ['93.184.216.34', null], ['2606:2800:220:1:248:1893:25c8:1946', null],
            ['127.0.0.1', 'loopback'], ['127.255.255.255', 'loopback'], ['::1', 'loopback'], ['::ffff:127.0.0.1', 'loopback'],
            ['10.0.0.1', 'private'], ['172.16.0.1', 'private'], ['172.31.255.255', 'private'], ['172.32.0.1', null],
            ['192.168.1.1', 'private'], ['169.254.169.254', 'link-local'], ['100.64.0.1', 'shared (carrier-grade NAT)'],
            ['100.128.0.1', null], ['0.0.0.0', 'unspecified'], ['0.1.2.3', "this network's"], ['192.0.2.1', 'documentation'],
            ['198.18.0.1', 'benchmarking'], ['198.20.0.1', null], ['224.0.0.1', 'multicast'], ['255.255.255.255', 'broadcast'],
            ['250.1.1.1', 'reserved'], ['::', 'unspecified'], ['fc00::1', 'private'], ['fdff::1', 'private'],
            ['fe80::1', 'link-local'], ['fec0::1', 'site-local'], ['ff02::1', 'multicast'], ['64:ff9b::7f00:1', 'NAT64'],
            ['2001::1', 'Teredo'], ['2001:db8::1', 'documentation'], ['2002:7f00:1::', '6to4'], ['3fff:1::', 'reserved'],
            ['3fff::1', 'documentation'], ['4000::1', 'reserved'], ['::7f00:1', 'loopback'], ['::808:808', null],
            ['::ffff:10.1.2.3', 'private'],
        ];
    }

    /**
     * Without a list of what is allowed.
     *
     * @dataProvider addresses
     * @param string $address
     * @param string|null $kind
     */
    public function test_kinds(string $address, ?string $kind): void {
        if ($address === '3fff:1::') {
            $kind = 'documentation';
        }
        $this->assertSame($kind, network_guard::kind(network::bytes($address), []));
    }

    public function test_what_is_allowed(): void {
        $allowed = network::parse_list('10.1.0.0/16, fd00::/8 127.0.0.1,64:ff9b::/96');
        foreach (['10.1.255.1', '::ffff:10.1.0.1', 'fd12::1', '127.0.0.1', '64:ff9b::a01:1'] as $address) {
            $this->assertNull(network_guard::kind(network::bytes($address), $allowed), $address);
        }
        foreach (['10.2.0.1', 'fc00::1', '127.0.0.2', '64:ff9b::a02:1'] as $address) {
            $this->assertNotNull(network_guard::kind(network::bytes($address), $allowed), $address);
        }
        // A network of one family says nothing of the other.
        $this->assertNotNull(network_guard::kind(network::bytes('::1'), ['0.0.0.0/0']));
        $this->assertNull(network_guard::kind(network::bytes('127.0.0.1'), ['0.0.0.0/0']));
        $this->assertNull(network_guard::kind(network::bytes('10.0.0.1'), ['::ffff:10.0.0.0/104']));
    }

    public function test_entries_that_are_no_network(): void {
        foreach (['', '10.0.0.0/8 , ::1', "1.2.3.4\n::/0"] as $good) {
            $this->assertNull(network::first_fault($good), $good);
        }
        $refused = ['10.0.0/8', '10.0.0.0/33', '10.0.0.0/-1', '::/129', 'localhost', '010.0.0.1', '1.2.3.4/x', '::ffff:1.2.3.4/90'];
        foreach ($refused as $bad) {
            $this->assertSame($bad, network::first_fault("::1, $bad"), $bad);
        }
    }

    public function test_of_a_name_with_good_and_refused_addresses_the_good_ones_are_used_unless_it_is_looked_up_again(): void {
        $found = ['10.0.0.1', '198.97.190.53', '::1'];
        $this->assertSame(['198.97.190.53'], network_guard::allowed('h.example', $found, false));
        $this->assertSame(['198.97.190.53'], network_guard::allowed('h.example', ['198.97.190.53'], true));
        $this->expectException(refused_exception::class);
        $this->expectExceptionMessage('h.example has the private address 10.0.0.1');
        network_guard::allowed('h.example', $found, true);
    }

    public function test_a_name_with_refused_addresses_is_refused_and_an_unknown_one_is_empty(): void {
        $this->resetAfterTest();
        $this->assertSame([], network_guard::addresses('no-such-name.invalid'));
        set_config('allownetworks', '127.0.0.0/8, ::1', 'local_integrationhub');
        $this->assertContains('127.0.0.1', network_guard::addresses('localhost'));
        set_config('allownetworks', '', 'local_integrationhub');
        $this->expectException(refused_exception::class);
        $this->expectExceptionMessage('policy: refused by the network guard: localhost has the loopback address');
        network_guard::addresses('localhost');
    }
}
