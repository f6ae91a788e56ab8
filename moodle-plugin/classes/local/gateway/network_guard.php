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

use local_integrationhub\local\config;

/**
 * Where the gateway may connect to.
 *
 * Whoever may enter a service's URL must not reach the inside of the network with it. Two lists are asked, and both must
 * agree: Moodle's own (blocked hosts and allowed ports of its HTTP security settings; not for AMQP, whose ports are none of
 * its business), and the hub's, which is the worker's (common/netguard.c): loopback, private, link-local and all the other
 * special addresses are refused unless the setting `allownetworks` holds them.
 *
 * The name is looked up once; the addresses that are told here are those that are connected to. Only the library of AMQP looks
 * it up again where it speaks TLS, for it takes no address besides the name by which it verifies the certificate.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class network_guard {
    /** IANA's registries of special-purpose addresses, and multicast: the first that holds an address names its kind. */
    private const PLACES = [
        '127.0.0.0/8' => 'loopback',
        '10.0.0.0/8' => 'private',
        '172.16.0.0/12' => 'private',
        '192.168.0.0/16' => 'private',
        '169.254.0.0/16' => 'link-local',
        '100.64.0.0/10' => 'shared (carrier-grade NAT)',
        '0.0.0.0/32' => 'unspecified',
        '0.0.0.0/8' => "this network's",
        '192.0.0.0/24' => 'reserved',
        '192.0.2.0/24' => 'documentation',
        '192.88.99.0/24' => '6to4 relay',
        '198.18.0.0/15' => 'benchmarking',
        '198.51.100.0/24' => 'documentation',
        '203.0.113.0/24' => 'documentation',
        '224.0.0.0/4' => 'multicast',
        '255.255.255.255/32' => 'broadcast',
        '240.0.0.0/4' => 'reserved',
        '::1/128' => 'loopback',
        '::/128' => 'unspecified',
        'fc00::/7' => 'private',
        'fe80::/10' => 'link-local',
        'fec0::/10' => 'site-local',
        'ff00::/8' => 'multicast',
        '64:ff9b::/96' => 'NAT64',
        '64:ff9b:1::/48' => 'NAT64',
        '2001::/32' => 'Teredo',
        '2001::/23' => 'reserved',
        '2001:db8::/32' => 'documentation',
        '2002::/16' => '6to4',
        '3fff::/20' => 'documentation',
    ];

    /** Everything else of IPv6 that is in use is inside of this. */
    private const GLOBALUNICAST = '2000::/3';

    /** IPv4 behind a translator. */
    private const NAT64 = '64:ff9b::/96';

    /**
     * The kind of an address that is refused.
     *
     * @param string $bytes as network::bytes() gives them
     * @param string[] $allowed networks
     * @return string|null null when it may be connected to
     */
    public static function kind(string $bytes, array $allowed): ?string {
        if (network::any_holds($allowed, $bytes)) {
            return network::holds(self::NAT64, $bytes) ? self::kind(substr($bytes, 12), $allowed) : null;
        }
        foreach (self::PLACES as $network => $kind) {
            if (network::holds($network, $bytes)) {
                return $kind;
            }
        }
        if (strlen($bytes) === 4) {
            return null;
        }
        if (strncmp($bytes, str_repeat("\0", 12), 12) === 0) {
            return self::kind(substr($bytes, 12), $allowed);
        }
        return network::holds(self::GLOBALUNICAST, $bytes) ? null : 'reserved';
    }

    /**
     * A host as everybody reads it. curl decodes %-signs, turns letters outside of ASCII into xn-- and strips a dot at the end:
     * it would look up another name than the one whose addresses were judged.
     *
     * @param string $host a name, or an address without brackets
     * @return string
     * @throws refused_exception when it is none
     */
    public static function plain_host(string $host): string {
        if (network::bytes($host) !== null) {
            return $host;
        }
        if (preg_match('~[\x80-\xff]~', $host)) {
            $hasintl = function_exists('idn_to_ascii');
            $host = $hasintl ? (string) idn_to_ascii($host, IDNA_NONTRANSITIONAL_TO_ASCII, INTL_IDNA_VARIANT_UTS46) : '';
        }
        if (!preg_match('~^[a-z0-9._-]*[a-z0-9_-]$~Di', $host)) {
            throw new refused_exception('policy: the host is no name, or ends in a dot');
        }
        return $host;
    }

    /**
     * The addresses of a host that may be connected to.
     *
     * @param string $host a name, or an address without brackets
     * @param bool $every whether one that is refused is too many: where the name is looked up again
     * @return string[] empty when the name is not known
     * @throws refused_exception when it has addresses and all are refused
     */
    public static function addresses(string $host, bool $every = false): array {
        return self::allowed($host, self::look_up($host), $every);
    }

    /**
     * Those of a host's addresses that may be connected to.
     *
     * @param string $host
     * @param string[] $found
     * @param bool $every
     * @return string[]
     * @throws refused_exception
     */
    public static function allowed(string $host, array $found, bool $every): array {
        $allowed = network::parse_list(config::text('allownetworks'));
        $good = [];
        $refusal = null;
        foreach ($found as $address) {
            $kind = self::kind(network::bytes($address), $allowed);
            if ($kind === null) {
                $good[] = $address;
            } else {
                $refusal = $refusal ?? get_string('error_network', 'local_integrationhub', [
                    'host' => $host,
                    'kind' => $kind,
                    'address' => $address,
                ]);
            }
        }
        if ($refusal !== null && ($every || !$good)) {
            throw new refused_exception('policy: ' . $refusal);
        }
        return $good;
    }

    /**
     * Refuses a URL that Moodle's own settings block.
     *
     * @param string $url
     * @throws refused_exception
     */
    public static function require_allowed_by_moodle(string $url): void {
        $helper = new \core\files\curl_security_helper();
        if ($helper->url_is_blocked($url)) {
            throw new refused_exception('policy: ' . get_string('error_network_moodle', 'local_integrationhub'));
        }
    }

    /**
     * Looks a name up.
     *
     * @param string $host
     * @return string[]
     */
    private static function look_up(string $host): array {
        if (network::bytes($host) !== null) {
            return [$host];
        }
        $found = [];
        if (function_exists('socket_addrinfo_lookup')) {
            foreach (@socket_addrinfo_lookup($host, '', ['ai_socktype' => SOCK_STREAM]) ?: [] as $info) {
                $address = socket_addrinfo_explain($info)['ai_addr'];
                $found[] = $address['sin_addr'] ?? $address['sin6_addr'] ?? '';
            }
        } else {
            $found = gethostbynamel($host) ?: array_column(@dns_get_record($host, DNS_AAAA) ?: [], 'ipv6');
        }
        return array_values(array_unique(array_filter($found, function (string $address): bool {
            return network::bytes($address) !== null;
        })));
    }
}
