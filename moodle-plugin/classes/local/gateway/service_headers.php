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
 * The headers that a service's row adds to each request: who calls, what the request is, and the administrator's own ones.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class service_headers {
    /** Names that belong to the connection or that the hub makes itself. */
    private const RESERVED = ['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect',
        'http2-settings', 'host', 'content-length', 'content-type', 'user-agent', 'webhook-id', 'webhook-timestamp',
        'webhook-signature', 'traceparent', 'soapaction'];

    /**
     * Who calls; OAuth 2.0 and WS-Security are the transport's business. An auth type that nobody knows sends nothing.
     *
     * @param \stdClass $service
     * @return string[] name => value
     * @throws refused_exception
     */
    public static function authorization(\stdClass $service): array {
        $type = (string) $service->auth_type;
        if (!in_array($type, ['bearer', 'apikey', 'basic'], true)) {
            return [];
        }
        $token = secrets::token($service);
        $user = (string) ($service->auth_user ?? '');
        if ($type === 'basic') {
            if (strpos($user, ':') !== false) {
                throw new refused_exception('policy: the user name of basic authentication holds a ":"');
            }
            return $user . $token === '' ? [] : ['Authorization' => 'Basic ' . base64_encode("$user:$token")];
        }
        if ($token === '') {
            return [];
        }
        if ($type === 'bearer') {
            return ['Authorization' => "Bearer $token"];
        }
        $name = (string) ($service->auth_header ?? '') ?: 'X-API-Key';
        if (strcasecmp($name, 'Authorization') !== 0) {
            self::require_name($name, "the name of the API key's header");
        }
        return [$name => $token];
    }

    /**
     * What tells one request from all others: equal on every retry.
     *
     * @param \stdClass $service
     * @param string $id of the request, a UUID
     * @param string $body as it is sent
     * @return string[] name => value
     * @throws refused_exception
     */
    public static function identity(\stdClass $service, string $id, string $body): array {
        $now = time();
        $headers = [
            'webhook-id' => $id,
            'webhook-timestamp' => (string) $now,
            'traceparent' => '00-' . str_replace('-', '', $id) . '-' . substr(hash('sha256', $id), 0, 16) . '-01',
        ];
        $signature = signature::header($service, $id, $now, $body);
        return $signature === '' ? $headers : $headers + ['webhook-signature' => $signature];
    }

    /**
     * The administrator's own headers. A placeholder takes its value from the payload; null is nothing.
     *
     * @param \stdClass $service
     * @param array $payload
     * @return string[] name => value
     * @throws refused_exception
     */
    public static function custom(\stdClass $service, array $payload): array {
        $source = (string) ($service->headers ?? '');
        if (trim($source) === '') {
            return [];
        }
        $templates = json_decode($source, true);
        if (!is_array($templates) || $templates && array_keys($templates) === range(0, count($templates) - 1)) {
            throw new refused_exception('policy: headers: not a JSON object');
        }
        $headers = [];
        foreach ($templates as $name => $template) {
            self::require_name((string) $name, "header $name");
            if (!is_string($template)) {
                throw new refused_exception("policy: header $name: the value is no text");
            }
            $headers[$name] = self::render($template, $payload, (string) $name);
        }
        return $headers;
    }

    /**
     * Replaces the placeholders of a header's value.
     *
     * @param string $template
     * @param array $payload
     * @param string $name
     * @return string
     * @throws refused_exception
     */
    private static function render(string $template, array $payload, string $name): string {
        $value = placeholders::text($template, $payload, "header $name");
        if (preg_match('~[^\t\x20-\x7e]~', $value)) {
            throw new refused_exception("policy: header $name: the value holds a byte that no header may hold");
        }
        return $value;
    }

    /**
     * Refuses a name that no header of ours may have.
     *
     * @param string $name
     * @param string $what
     * @throws refused_exception
     */
    private static function require_name(string $name, string $what): void {
        if (!preg_match('~^[0-9A-Za-z!#$%&\'*+.^_`|\~-]{1,100}$~D', $name)) {
            throw new refused_exception("policy: $what is no header name");
        }
        if (in_array(strtolower($name), self::RESERVED, true) || strncasecmp($name, 'proxy-', 6) === 0) {
            throw new refused_exception("policy: $what is one that the hub or the connection makes");
        }
    }
}
