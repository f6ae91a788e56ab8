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

use local_integrationhub\local\secrets;

/**
 * The headers by which a request proves who sends it, as the worker makes them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class credentials {
    /**
     * The headers of a service.
     *
     * @param \stdClass $service
     * @return array name => value
     * @throws \moodle_exception when a secret cannot be decrypted or a token cannot be had
     */
    public static function headers(\stdClass $service): array {
        $token = secrets::open((string) $service->auth_token);
        if ($token === '') {
            return [];
        }
        switch ($service->auth_type) {
            case 'bearer':
                return ['Authorization' => "Bearer $token"];
            case 'apikey':
                return [(string) $service->auth_header ?: 'X-API-Key' => $token];
            case 'basic':
                return ['Authorization' => 'Basic ' . base64_encode("$service->auth_user:$token")];
            case 'oauth2':
                return ['Authorization' => 'Bearer ' . self::fetch_token($service, $token)];
        }
        return [];
    }

    /**
     * The headers of Standard Webhooks: id, time and, with a signing secret, the signature.
     *
     * @param \stdClass $service
     * @param string $id
     * @param string $body exactly as it is sent
     * @return array name => value
     */
    public static function signature(\stdClass $service, string $id, string $body): array {
        $time = time();
        $signatures = [];
        foreach ([$service->signing_secret, $service->signing_secret_old] as $stored) {
            if ((string) $stored !== '') {
                $key = base64_decode(preg_replace('~^whsec_~', '', secrets::open($stored)));
                $signatures[] = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
            }
        }
        return ['webhook-id' => $id, 'webhook-timestamp' => (string) $time]
            + ($signatures ? ['webhook-signature' => implode(' ', $signatures)] : []);
    }

    /**
     * Fetches a token of client credentials.
     *
     * @param \stdClass $service
     * @param string $secret
     * @return string
     */
    private static function fetch_token(\stdClass $service, string $secret): string {
        $fields = ['grant_type' => 'client_credentials'];
        if ((string) $service->auth_scope !== '') {
            $fields['scope'] = $service->auth_scope;
        }
        $headers = [
            'Authorization' => 'Basic ' . base64_encode(rawurlencode($service->auth_user) . ':' . rawurlencode($secret)),
            'Content-Type' => 'application/x-www-form-urlencoded',
            'Accept' => 'application/json',
        ];
        $body = http_build_query($fields, '', '&');
        $call = http_call::send('POST', (string) $service->auth_url, $headers, $body, (int) $service->timeout);
        $token = json_decode($call->body)->access_token ?? null;
        if ($call->error !== '' || !is_string($token)) {
            throw new \moodle_exception('error_token', 'local_integrationhub', '', $call->error ?: "HTTP $call->status");
        }
        return $token;
    }
}
