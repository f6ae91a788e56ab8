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
 * Sends one HTTP request by curl: certificates verified, redirects never followed, the network guard's addresses and no
 * others, the whole call bounded in time and the answer in size, Moodle's proxy where it is configured and an administrator has
 * said that it refuses internal addresses: the guard does not see what it connects to.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class http_client {
    /** Most bytes of an answer. */
    public const MAXBODY = 16777216;

    /** Longest wait for the connection, in seconds. */
    private const CONNECTTIMEOUT = 10.0;

    /** What curl's error numbers mean; all others are a broken answer. */
    private const KINDS = [
        CURLE_COULDNT_RESOLVE_HOST => outcome::DNS,
        CURLE_COULDNT_RESOLVE_PROXY => outcome::DNS,
        CURLE_COULDNT_CONNECT => outcome::CONNECT,
        CURLE_OPERATION_TIMEDOUT => outcome::TIMEOUT,
        CURLE_SSL_CONNECT_ERROR => outcome::TLS,
        CURLE_SSL_PEER_CERTIFICATE => outcome::TLS,
        CURLE_SSL_CERTPROBLEM => outcome::TLS,
        CURLE_SSL_CIPHER => outcome::TLS,
        CURLE_SSL_CACERT => outcome::TLS,
        CURLE_URL_MALFORMAT => outcome::INVALID,
        CURLE_UNSUPPORTED_PROTOCOL => outcome::INVALID,
        83 => outcome::TLS,
    ];

    /** @var string body of the answer so far */
    private $body = '';

    /** @var bool whether it was cut off */
    private $toolarge = false;

    /** @var string|null the Retry-After header */
    private $retryafter = null;

    /** @var string[] headers of the answer, name => value */
    private $headers = [];

    /**
     * Sends a request.
     *
     * @param http_request $request
     * @return outcome
     */
    public static function send(http_request $request): outcome {
        $client = new self();
        try {
            $request = self::with_plain_host($request);
            $addresses = self::addresses($request->url);
        } catch (refused_exception $e) {
            return outcome::invalid($e->getMessage());
        }
        if ($addresses === []) {
            return new outcome(outcome::DNS, 0, null, self::curl_error(CURLE_COULDNT_RESOLVE_HOST, $request, ''));
        }
        return $client->perform($request, $addresses);
    }

    /**
     * The request with a host that curl cannot read otherwise than the network guard.
     *
     * @param http_request $request
     * @return http_request
     * @throws refused_exception
     */
    private static function with_plain_host(http_request $request): http_request {
        $parts = parse_url($request->url);
        if (!isset($parts['scheme'], $parts['host']) || isset($parts['user']) || isset($parts['pass'])) {
            throw new refused_exception('policy: the URL names no host, or a user');
        }
        $plain = network_guard::plain_host(trim($parts['host'], '[]'));
        if (trim($parts['host'], '[]') !== $plain) {
            $request = clone $request;
            $request->url = substr_replace($request->url, $plain, strlen($parts['scheme'] . '://'), strlen($parts['host']));
        }
        return $request;
    }

    /**
     * Sends it to the addresses that are allowed.
     *
     * @param http_request $request
     * @param string[]|null $addresses those to connect to; null: the URL holds it, or the proxy looks the name up
     * @return outcome
     */
    private function perform(http_request $request, ?array $addresses): outcome {
        $curl = curl_init();
        $files = [];
        try {
            $options = $this->options($request, $addresses);
            curl_setopt_array($curl, $options + self::certificate_options($request->clientcert, $files));
            curl_exec($curl);
            $errno = curl_errno($curl);
            $status = (int) curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
            $peer = (string) curl_getinfo($curl, CURLINFO_PRIMARY_IP);
            $words = curl_error($curl);
        } finally {
            curl_close($curl);
            array_map('unlink', $files);
        }
        if ($addresses !== null && $peer !== '' && !in_array($peer, $addresses, true)) {
            return outcome::invalid("policy: refused by the network guard: curl has connected to $peer");
        }
        if ($this->toolarge) {
            return new outcome(outcome::BROKEN, 0, null, get_string('error_answer_size', 'local_integrationhub'));
        }
        if ($errno !== 0) {
            $kind = self::KINDS[$errno] ?? outcome::BROKEN;
            return new outcome($kind, 0, null, self::curl_error($errno, $request, $words));
        }
        $outcome = new outcome(outcome::HTTP, $status, $this->body, $status >= 200 && $status <= 299 ? null : "HTTP $status");
        $outcome->headers = $this->headers;
        $outcome->retryafter = $this->retryafter === null ? null : verdict::retry_after($this->retryafter, time());
        return $outcome;
    }

    /**
     * The options of a request.
     *
     * @param http_request $request
     * @param string[]|null $addresses
     * @return array
     */
    private function options(http_request $request, ?array $addresses): array {
        $headers = [];
        foreach ($request->headers as $name => $value) {
            $headers[] = $value === '' ? "$name;" : "$name: $value";
        }
        // Without a body curl would announce none for some methods, and ask before it sends a large one.
        $headers[] = 'Expect:';
        $options = [
            CURLOPT_URL => $request->url,
            CURLOPT_CUSTOMREQUEST => $request->method,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_USERAGENT => 'MoodleIntegrationHub/3',
            CURLOPT_TIMEOUT_MS => max(1, (int) round($request->timeout * 1000)),
            CURLOPT_CONNECTTIMEOUT_MS => max(1, (int) round(min($request->timeout, self::CONNECTTIMEOUT) * 1000)),
            CURLOPT_NOSIGNAL => true,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_PATH_AS_IS => true,
            CURLOPT_SSL_VERIFYPEER => true,
            CURLOPT_SSL_VERIFYHOST => 2,
            CURLOPT_WRITEFUNCTION => [$this, 'on_body'],
            CURLOPT_HEADERFUNCTION => [$this, 'on_header'],
        ];
        if ($request->body !== null) {
            $options[CURLOPT_POSTFIELDS] = $request->body;
        } else if ($request->method === 'HEAD') {
            $options[CURLOPT_NOBODY] = true;
        }
        if ($addresses !== null) {
            $options[CURLOPT_RESOLVE] = [self::pin($request->url, $addresses)];
        }
        $cafile = self::ca_file();
        return $options + self::proxy_options($request->url) + ($cafile === null ? [] : [CURLOPT_CAINFO => $cafile]);
    }

    /**
     * The authorities that this site trusts, where Moodle has a list of its own.
     *
     * @return string|null
     */
    public static function ca_file(): ?string {
        global $CFG;
        require_once($CFG->libdir . '/filelib.php');
        return \curl::get_cacert() ?: null;
    }

    /**
     * Moodle's proxy, or none: never the environment's.
     *
     * @param string $url
     * @return array
     */
    private static function proxy_options(string $url): array {
        global $CFG;
        if (!self::has_proxy($url)) {
            return [CURLOPT_PROXY => ''];
        }
        $options = [
            CURLOPT_PROXY => $CFG->proxyhost,
            CURLOPT_PROXYTYPE => ($CFG->proxytype ?? '') === 'SOCKS5' ? CURLPROXY_SOCKS5_HOSTNAME : CURLPROXY_HTTP,
        ];
        if (!empty($CFG->proxyport)) {
            $options[CURLOPT_PROXYPORT] = (int) $CFG->proxyport;
        }
        if (!empty($CFG->proxyuser)) {
            $options[CURLOPT_PROXYUSERPWD] = $CFG->proxyuser . ':' . ($CFG->proxypassword ?? '');
        }
        return $options;
    }

    /**
     * Whether a URL is called through a proxy.
     *
     * @param string $url
     * @return bool
     */
    private static function has_proxy(string $url): bool {
        global $CFG;
        return !empty($CFG->proxyhost) && !is_proxybypass($url);
    }

    /**
     * Asks the network guard.
     *
     * @param string $url
     * @return string[]|null empty: the name is not known; null: nothing to pin
     * @throws refused_exception
     */
    private static function addresses(string $url): ?array {
        network_guard::require_allowed_by_moodle($url);
        $host = trim(parse_url($url, PHP_URL_HOST), '[]');
        if (self::has_proxy($url) && !config::number('proxyenforcesegress')) {
            throw new refused_exception('policy: ' . get_string('error_proxy', 'local_integrationhub'));
        }
        $addresses = network_guard::addresses($host);
        return self::has_proxy($url) || network::bytes($host) !== null ? null : $addresses;
    }

    /**
     * What makes curl connect to these addresses and no others.
     *
     * @param string $url
     * @param string[] $addresses
     * @return string for CURLOPT_RESOLVE
     */
    private static function pin(string $url, array $addresses): string {
        $parts = parse_url($url);
        $port = $parts['port'] ?? (strtolower($parts['scheme']) === 'https' ? 443 : 80);
        $addresses = array_map(function (string $address): string {
            return strpos($address, ':') === false ? $address : "[$address]";
        }, $addresses);
        return "{$parts['host']}:$port:" . implode(',', $addresses);
    }

    /**
     * The client's certificate; curl before 7.71 and PHP before 8.1 want it in a file.
     *
     * @param string $pem
     * @param string[] $files those made, to be deleted
     * @return array
     */
    private static function certificate_options(string $pem, array &$files): array {
        if ($pem === '') {
            return [];
        }
        if (defined('CURLOPT_SSLCERT_BLOB')) {
            return [CURLOPT_SSLCERT_BLOB => $pem, CURLOPT_SSLKEY_BLOB => $pem];
        }
        $file = tempnam(make_request_directory(), 'cert');
        chmod($file, 0600);
        file_put_contents($file, $pem);
        $files[] = $file;
        return [CURLOPT_SSLCERT => $file, CURLOPT_SSLKEY => $file];
    }

    /**
     * Called by curl with a piece of the body.
     *
     * @param resource|\CurlHandle $curl
     * @param string $piece
     * @return int bytes taken; curl stops when these are fewer
     */
    public function on_body($curl, string $piece): int {
        if (strlen($this->body) + strlen($piece) > self::MAXBODY) {
            $this->toolarge = true;
            return -1;
        }
        $this->body .= $piece;
        return strlen($piece);
    }

    /**
     * Called by curl with a header line.
     *
     * @param resource|\CurlHandle $curl
     * @param string $line
     * @return int bytes taken
     */
    public function on_header($curl, string $line): int {
        if (strncasecmp($line, 'Retry-After:', 12) === 0) {
            $this->retryafter = substr($line, 12);
        }
        if (strncmp($line, 'HTTP/', 5) === 0) {
            $this->headers = [];
        } else if (strpos($line, ':') !== false) {
            [$name, $value] = explode(':', $line, 2);
            $this->headers[trim($name)] = trim($value);
        }
        return strlen($line);
    }

    /**
     * The words of 2.0.0 for what curl could not do. The query is left out: it may hold what nobody should read.
     *
     * @param int $errno
     * @param http_request $request
     * @param string $words
     * @return string
     */
    private static function curl_error(int $errno, http_request $request, string $words): string {
        return "cURL error $errno for URL: " . strtok($request->url, '?') . ($words === '' ? '' : " ($words)");
    }
}
