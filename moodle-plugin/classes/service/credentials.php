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

use local_integrationhub\local\gateway\http_request;
use local_integrationhub\local\gateway\oauth;
use local_integrationhub\local\gateway\outcome;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\secrets;
use local_integrationhub\local\gateway\service_headers;

/**
 * What a request of the pages needs to be one of a service's: its time-out, certificate and token, as the gateway has them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class credentials {
    /** Longest wait in seconds, whatever the service's time-out: a person is waiting. */
    public const MAX_SECONDS = 30;

    /**
     * Sends a request with them.
     *
     * @param http_request $request
     * @param \stdClass $service
     * @return outcome
     * @throws refused_exception when it cannot be sent
     */
    public static function send(http_request $request, \stdClass $service): outcome {
        $request->timeout = (float) min((int) $service->timeout, self::MAX_SECONDS);
        $request->clientcert = secrets::open($service->client_cert ?? null, 'client certificate');
        foreach (service_headers::authorization($service) as $name => $value) {
            $request->add_header($name, $value);
        }
        return oauth::send($service, $request);
    }

    /**
     * Takes the service's secrets out of a text, which may repeat what was sent, plain or as JSON, HTML or a URL has it.
     *
     * @param string $text
     * @param \stdClass $service
     * @param http_request|null $request that was sent
     * @return string
     */
    public static function mask(string $text, \stdClass $service, ?http_request $request = null): string {
        $found = [];
        foreach (self::sent($service, $request) as $secret) {
            $json = substr(json_encode($secret, JSON_INVALID_UTF8_SUBSTITUTE), 1, -1);
            $plainjson = substr(json_encode($secret, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES), 1, -1);
            array_push($found, $secret, $json, $plainjson, s($secret), rawurlencode($secret), urlencode($secret));
            $found[] = base64_encode($secret);
        }
        // The longest first: one may be a part of another.
        usort($found, function (string $a, string $b): int {
            return strlen($b) <=> strlen($a);
        });
        return secrets::mask(str_replace($found, '***', $text), $service);
    }

    /**
     * What must not be shown.
     *
     * @param \stdClass $service
     * @param http_request|null $request
     * @return string[]
     */
    private static function sent(\stdClass $service, ?http_request $request): array {
        $found = [];
        foreach (['auth_token', 'signing_secret', 'signing_secret_old', 'hmac_secret', 'client_cert'] as $name) {
            try {
                $found[] = secrets::open($service->$name ?? null, $name);
            } catch (refused_exception $e) {
                continue;
            }
        }
        foreach ($request->headers ?? [] as $name => $value) {
            if ($name === 'Authorization') {
                $found[] = preg_replace('~^(Basic|Bearer) ~', '', $value);
            }
        }
        // What is shorter would be found everywhere.
        return array_filter($found, function (string $secret): bool {
            return strlen($secret) >= 4;
        });
    }
}
