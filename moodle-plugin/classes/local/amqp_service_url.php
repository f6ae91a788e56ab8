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
 * The address of an AMQP service, taken apart and put together again:
 * `amqp[s]://user:password@host:port/vhost?exchange=&routing_key=&queue_declare=&dlq=`.
 *
 * Everything is percent-encoded in the URL and plain here. The password may be encrypted in its place.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class amqp_service_url {
    /** Parameters of the query. */
    public const PARAMETERS = ['exchange', 'routing_key', 'queue_declare', 'dlq'];

    /** Parts of an address that says nothing. */
    private const EMPTY = [
        'tls' => false, 'host' => '', 'port' => 5672, 'user' => 'guest', 'pass' => '', 'vhost' => '/',
        'exchange' => '', 'routing_key' => '', 'queue_declare' => '', 'dlq' => '',
    ];

    /**
     * The parts of an address.
     *
     * @param string $url
     * @return array tls, host, port, user, pass, vhost and the parameters; the defaults for one that cannot be read
     */
    public static function parts(string $url): array {
        if (config::is_encrypted($url)) {
            $url = secrets::open($url);
        }
        $found = parse_url($url);
        if (!$found || empty($found['host'])) {
            return self::EMPTY;
        }
        $tls = strtolower($found['scheme'] ?? '') === 'amqps';
        $vhost = rawurldecode(substr($found['path'] ?? '/', 1));
        $parts = [
            'tls' => $tls,
            'host' => trim($found['host'], '[]'),
            'port' => $found['port'] ?? ($tls ? 5671 : 5672),
            'user' => rawurldecode($found['user'] ?? 'guest'),
            'pass' => rawurldecode($found['pass'] ?? ''),
            'vhost' => $vhost === '' ? '/' : $vhost,
        ];
        parse_str($found['query'] ?? '', $query);
        foreach (self::PARAMETERS as $name) {
            $parts[$name] = is_string($query[$name] ?? null) ? $query[$name] : '';
        }
        return $parts;
    }

    /**
     * The address of these parts.
     *
     * @param array $parts as parts() gives them
     * @return string
     */
    public static function url(array $parts): string {
        $parts += self::EMPTY;
        $host = strpos($parts['host'], ':') === false ? $parts['host'] : "[{$parts['host']}]";
        $login = rawurlencode($parts['user']) . ($parts['pass'] === '' ? '' : ':' . rawurlencode($parts['pass']));
        $query = [];
        foreach (self::PARAMETERS as $name) {
            if ($parts[$name] !== '') {
                $query[] = $name . '=' . rawurlencode($parts[$name]);
            }
        }
        return ($parts['tls'] ? 'amqps://' : 'amqp://') . ($login === '' ? '' : "$login@") . $host . ':' . (int) $parts['port']
            . '/' . ($parts['vhost'] === '/' ? '' : rawurlencode($parts['vhost'])) . ($query ? '?' . implode('&', $query) : '');
    }
}
