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

namespace local_integrationhub\local\inbound;

use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\request_log;
use local_integrationhub\local\gateway\secrets;
use local_integrationhub\service\registry;
use local_integrationhub\webhook_handler;

/**
 * What webhook.php does: checks a call and hands it on.
 *
 * The order of the checks, their statuses and words are those of 2.0.0. In between stand those that a service may ask for:
 * the caller's address before the token, the size with the body, the signature and the rate before the JSON is read. A service
 * that has a secret for signatures needs no token: the secret that it is called with is not the one that it is given.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class endpoint {
    /** Most bytes of a body, whatever the service says. */
    public const MAXBYTES = 16777216;

    /** Seconds after which a call that is refused for now may come again. */
    public const RETRYAFTER = 10;

    /** Deepest JSON. */
    private const MAXDEPTH = 128;

    /**
     * Answers a call. Only a call whose event was raised gets 200: whoever gets another answer may come again.
     *
     * @param call $call
     * @return array status and body of the answer
     */
    public static function answer(call $call): array {
        try {
            return self::take($call);
        } catch (\Throwable $e) {
            debugging('webhook: ' . $e->getMessage(), DEBUG_NORMAL, $e->getTrace());
            return self::failure();
        }
    }

    /**
     * The answer when something went wrong inside. What it was is for the log, not for the caller.
     *
     * @return array
     */
    private static function failure(): array {
        return [500, ['success' => false, 'error' => get_string('webhook_error', 'local_integrationhub')]];
    }

    /**
     * Takes or refuses a call.
     *
     * @param call $call
     * @return array status and body of the answer
     */
    private static function take(call $call): array {
        $service = null;
        try {
            $service = self::service($call);
            $payload = self::payload($service, $call);
            return self::handle($service, $payload, signed::id($service, $call));
        } catch (refusal $e) {
            if ($service && $e->logged) {
                request_log::turned_away($service, $e->status, $e->getMessage());
            }
            return [$e->status, ['success' => false, 'error' => $e->getMessage()]];
        }
    }

    /**
     * Raises the event of a call that has passed all checks; of a signed call once, however often it comes.
     *
     * @param \stdClass $service
     * @param array $payload
     * @param string|null $id what tells the call from all others
     * @return array status and body of the answer
     * @throws refusal while the same call is handled
     */
    private static function handle(\stdClass $service, array $payload, ?string $id): array {
        $holder = $id === null ? null : limits::take((int) $service->id, $id);
        if ($id !== null && $holder === null) {
            // The caller has not heard our answer, or somebody repeats what he has overheard: once is enough.
            return [200, ['success' => true]];
        }
        $result = webhook_handler::handle($service, $payload, 'webhook');
        if (!$result['success']) {
            if ($id !== null) {
                limits::release((int) $service->id, $id, $holder);
            }
            return self::failure();
        }
        if ($id !== null) {
            limits::finish((int) $service->id, $id, $holder);
        }
        return [200, ['success' => true]];
    }

    /**
     * The service that is called.
     *
     * @param call $call
     * @return \stdClass
     * @throws refusal
     */
    private static function service(call $call): \stdClass {
        if ($call->method !== 'POST') {
            throw new refusal(405, 'webhook_method_not_allowed');
        }
        if ($call->slug === '') {
            throw new refusal(400, 'webhook_missing_service');
        }
        $service = registry::get_service($call->slug);
        if (!$service) {
            throw new refusal(404, 'webhook_invalid_service');
        }
        if (empty($service->enabled)) {
            throw new refusal(403, 'webhook_service_disabled');
        }
        return $service;
    }

    /**
     * What the call brings, once it has passed all checks.
     *
     * @param \stdClass $service
     * @param call $call
     * @return array
     * @throws refusal
     */
    private static function payload(\stdClass $service, call $call): array {
        limits::require_address($service, $call->address);
        $issigned = (string) $service->hmac_secret !== '';
        if (!$issigned) {
            self::require_token($service, $call);
        }
        $most = (int) $service->inbound_max_bytes;
        $most = $most > 0 ? min($most, self::MAXBYTES) : self::MAXBYTES;
        $body = $call->body($most);
        if (strlen($body) > $most) {
            throw new refusal(413, 'webhook_too_large', $most, true);
        }
        if ($body === '') {
            throw new refusal(400, 'webhook_empty_body');
        }
        if ($issigned) {
            signed::require_good($service, $call, $body);
        }
        // Only the service's own calls count, or anybody could use its limit up.
        limits::require_rate($service);
        return self::decode($body);
    }

    /**
     * Refuses a call without the service's token. A service without a token is closed, unless it was open before the hub could
     * close it.
     *
     * @param \stdClass $service
     * @param call $call
     * @throws refusal
     */
    private static function require_token(\stdClass $service, call $call): void {
        try {
            $token = trim(secrets::open($service->auth_token, 'token'));
        } catch (refused_exception $e) {
            throw new refusal(403, 'webhook_invalid_token', null, true);
        }
        if ($token === '') {
            if (empty($service->inbound_open)) {
                throw new refusal(403, 'webhook_invalid_token', null, true);
            }
            return;
        }
        $bearer = preg_match('~^bearer\s+(.*)$~is', $call->header('Authorization'), $match) ? trim($match[1]) : '';
        if (!hash_equals($token, $bearer) && !hash_equals($token, $call->header('X-API-Key'))) {
            throw new refusal(403, 'webhook_invalid_token', null, true);
        }
    }

    /**
     * Reads a JSON object.
     *
     * @param string $body
     * @return array
     * @throws refusal
     */
    public static function decode(string $body): array {
        $value = json_decode($body, false, self::MAXDEPTH);
        if (json_last_error() !== JSON_ERROR_NONE) {
            throw new refusal(400, 'webhook_invalid_json', json_last_error_msg(), true);
        }
        if (!$value instanceof \stdClass) {
            throw new refusal(400, 'webhook_invalid_json', get_string('webhook_no_object', 'local_integrationhub'), true);
        }
        return (array) json_decode($body, true, self::MAXDEPTH);
    }
}
