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

namespace local_integrationhub\service;

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/filelib.php');

/**
 * One request through Moodle's curl class: by its proxy, and never to what its security settings block.
 *
 * Redirects are not followed: a service's credentials go to its own address only.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class http_call {
    /** Most bytes of an answer. */
    private const MAX_BYTES = 2097152;

    /** Longest wait in seconds, whatever the service's time-out: a person is waiting. */
    private const MAX_SECONDS = 30;

    /**
     * Sends a request.
     *
     * @param string $method
     * @param string $url
     * @param array $headers name => value
     * @param string $body
     * @param int $timeout seconds
     * @param string $certificate PEM of certificate and key, '' for none
     * @return \stdClass error ('' when there is an answer), status, milliseconds, headers (name => value) and body
     */
    public static function send(
        string $method,
        string $url,
        array $headers = [],
        string $body = '',
        int $timeout = 10,
        string $certificate = ''
    ): \stdClass {
        $curl = new \curl();
        foreach ($headers as $name => $value) {
            $curl->setHeader("$name: $value");
        }
        $options = self::options($method, min($timeout, self::MAX_SECONDS), $certificate);
        $began = microtime(true);
        if ($method === 'GET' || $method === 'HEAD') {
            $answer = $method === 'GET' ? $curl->get($url, [], $options) : $curl->head($url, $options);
        } else {
            $answer = $curl->post($url, $body, $options);
        }
        $call = (object) [
            'error' => '',
            'status' => (int) ($curl->get_info()['http_code'] ?? 0),
            'milliseconds' => (int) round((microtime(true) - $began) * 1000),
            'headers' => self::headers($curl->get_raw_response()),
            'body' => $method === 'HEAD' ? '' : (string) $answer,
        ];
        if ($curl->get_errno() || !$call->status) {
            $call->error = (string) ($curl->error ?: $answer);
            $call->body = '';
        }
        return $call;
    }

    /**
     * Options of curl.
     *
     * @param string $method
     * @param int $timeout
     * @param string $certificate
     * @return array
     */
    private static function options(string $method, int $timeout, string $certificate): array {
        $options = [
            'CURLOPT_TIMEOUT' => $timeout,
            'CURLOPT_CONNECTTIMEOUT' => min($timeout, 10),
            'CURLOPT_FOLLOWLOCATION' => false,
            'CURLOPT_SSL_VERIFYPEER' => true,
            'CURLOPT_SSL_VERIFYHOST' => 2,
            'CURLOPT_NOPROGRESS' => false,
            'CURLOPT_PROGRESSFUNCTION' => function ($handle, $total, $now): int {
                return $now > self::MAX_BYTES ? 1 : 0;
            },
        ];
        if (!in_array($method, ['GET', 'HEAD', 'POST'], true)) {
            $options['CURLOPT_CUSTOMREQUEST'] = $method;
        }
        if ($certificate !== '' && defined('CURLOPT_SSLCERT_BLOB')) {
            $options += ['CURLOPT_SSLCERT_BLOB' => $certificate, 'CURLOPT_SSLKEY_BLOB' => $certificate];
        }
        return $options;
    }

    /**
     * The headers of the last answer.
     *
     * @param string[] $lines
     * @return array name => value
     */
    private static function headers(array $lines): array {
        $headers = [];
        foreach ($lines as $line) {
            $parts = explode(':', $line, 2);
            if (count($parts) === 2) {
                $headers[trim($parts[0])] = trim($parts[1]);
            } else if (strncmp($line, 'HTTP/', 5) === 0) {
                $headers = [];
            }
        }
        return $headers;
    }
}
