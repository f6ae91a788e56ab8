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

use local_integrationhub\local\amqp_url;

/**
 * Where an AMQP service's messages go: its base_url, taken apart.
 *
 *     amqp[s]://user:password@host:port/vhost?exchange=&routing_key=&queue_declare=&dlq=
 *
 * Each part is percent-encoded; parameters that are not known are ignored. Either the whole URL or the password in it may be
 * encrypted as Moodle does it. The same as dispatcher/amqp_target.h of the worker.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class amqp_target {
    /** Longest name in bytes. */
    private const MAXNAME = 255;

    /** @var amqp_url broker, user, password, virtual host */
    public $broker;

    /** @var string '' is the default exchange */
    public $exchange = '';

    /** @var string for messages without an endpoint */
    public $routingkey = '';

    /** @var string a queue to declare; '' for none */
    public $queue = '';

    /** @var string a queue that gets what the declared queue's consumers reject; '' for none */
    public $dlq = '';

    /**
     * Reads a base_url.
     *
     * @param string $stored
     * @return self
     * @throws refused_exception naming what is wrong, never the password
     */
    public static function parse(string $stored): self {
        [$address, $query] = explode('?', secrets::open($stored, 'base_url'), 2) + [1 => ''];
        $scheme = strpos($address, '://');
        $slash = $scheme === false ? false : strpos($address, '/', $scheme + 3);
        $rest = $slash === false ? '' : substr($address, $slash);
        $authority = $slash === false ? $address : substr($address, 0, $slash);
        if (strpos($rest, '@') !== false || strpos($query, '@') !== false && strpos($authority, '@') === false) {
            throw new refused_exception('policy: user, password and virtual host must be percent-encoded');
        }
        $target = new self();
        try {
            $target->broker = amqp_url::parse($address);
        } catch (\moodle_exception $e) {
            throw new refused_exception('policy: base_url: ' . $e->getMessage());
        }
        $target->broker->password = secrets::open($target->broker->password, 'password in base_url');
        parse_str($query, $parameters);
        $fields = ['exchange' => 'exchange', 'routing_key' => 'routingkey', 'queue_declare' => 'queue', 'dlq' => 'dlq'];
        foreach ($fields as $name => $field) {
            $value = $parameters[$name] ?? '';
            self::require_name(is_string($value) ? $value : "\0", "$name in base_url");
            $target->$field = $value;
        }
        return $target;
    }

    /**
     * The routing key of a message.
     *
     * @param string $endpoint
     * @return string
     * @throws refused_exception
     */
    public function key(string $endpoint): string {
        $key = ltrim($endpoint, '/');
        $key = $key === '' ? $this->routingkey : $key;
        $key = $key === '' && $this->exchange === '' ? $this->queue : $key;
        self::require_name($key, 'the routing key');
        if ($key === '' && $this->exchange === '') {
            throw new refused_exception('policy: there is neither an exchange nor a routing key nor a queue to publish to');
        }
        return $key;
    }

    /**
     * Refuses what can be no name of a queue or exchange and no routing key.
     *
     * @param string $text
     * @param string $what
     * @throws refused_exception
     */
    private static function require_name(string $text, string $what): void {
        if (strlen($text) > self::MAXNAME) {
            throw new refused_exception("policy: $what is longer than 255 bytes");
        }
        if (preg_match('~[\x00-\x1f\x7f]~', $text)) {
            throw new refused_exception("policy: $what holds a control byte");
        }
        if (!mb_check_encoding($text, 'UTF-8')) {
            throw new refused_exception("policy: $what is not UTF-8");
        }
    }
}
