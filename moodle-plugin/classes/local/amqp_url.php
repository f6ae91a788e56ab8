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
 * The address of a broker: `amqp[s]://user:password@host[:port]/vhost`, several separated by commas.
 *
 * User, password and virtual host are percent-decoded; the virtual host is `/` when the path is missing or empty.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class amqp_url {
    /** @var bool TLS */
    public $tls;

    /** @var string host name or address */
    public $host;

    /** @var int port */
    public $port;

    /** @var string user */
    public $user;

    /** @var string password */
    public $password;

    /** @var string virtual host */
    public $vhost;

    /**
     * Reads a list of URLs.
     *
     * @param string $text
     * @return self[]
     * @throws \moodle_exception naming what is wrong, never the password
     */
    public static function parse_list(string $text): array {
        $urls = [];
        foreach (explode(',', $text) as $part) {
            if (trim($part) !== '') {
                $urls[] = self::parse(trim($part));
            }
        }
        return $urls;
    }

    /**
     * Reads one URL.
     *
     * @param string $text
     * @return self
     * @throws \moodle_exception
     */
    public static function parse(string $text): self {
        $parts = preg_match('~[\x00-\x20\x7f]~', $text) ? false : parse_url($text);
        if ($parts === false) {
            throw self::fault('error_url_syntax');
        }
        $scheme = strtolower($parts['scheme'] ?? '');
        if ($scheme !== 'amqp' && $scheme !== 'amqps') {
            throw self::fault('error_url_scheme');
        }
        if (($parts['host'] ?? '') === '') {
            throw self::fault('error_url_host');
        }
        if (isset($parts['query']) || isset($parts['fragment'])) {
            throw self::fault('error_url_extra');
        }
        $url = new self();
        $url->tls = $scheme === 'amqps';
        $url->host = trim($parts['host'], '[]');
        $url->port = $parts['port'] ?? ($url->tls ? 5671 : 5672);
        $url->user = rawurldecode($parts['user'] ?? 'guest');
        $url->password = rawurldecode($parts['pass'] ?? 'guest');
        $vhost = rawurldecode(substr($parts['path'] ?? '/', 1));
        $url->vhost = $vhost === '' ? '/' : $vhost;
        return $url;
    }

    /**
     * The URL for people: without the password.
     *
     * @return string
     */
    public function masked(): string {
        $host = strpos($this->host, ':') === false ? $this->host : "[{$this->host}]";
        return ($this->tls ? 'amqps' : 'amqp') . '://' . rawurlencode($this->user) . ':***@' . $host . ':' . $this->port . '/'
            . ($this->vhost === '/' ? '' : rawurlencode($this->vhost));
    }

    /**
     * The exception for a URL that cannot be used.
     *
     * @param string $reason key of the language string
     * @return \moodle_exception
     */
    private static function fault(string $reason): \moodle_exception {
        return new \moodle_exception('error_brokerurl', 'local_integrationhub', '', get_string($reason, 'local_integrationhub'));
    }
}
