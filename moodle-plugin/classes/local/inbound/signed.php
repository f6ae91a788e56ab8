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
use local_integrationhub\local\gateway\secrets;
use local_integrationhub\local\gateway\signature;

/**
 * Signatures of calls that come in.
 *
 * With the header `webhook-signature` it is Standard Webhooks: signed are id, time and body; a call that is too old or too new
 * is refused, and an id that came before is taken and changes nothing. With any other header it is the HMAC of the body alone,
 * in hexadecimal digits or base64, with or without `sha256=` before it.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class signed {
    /** The header of Standard Webhooks. */
    public const STANDARD = 'webhook-signature';

    /** Seconds that a call may be old, where the service says nothing. */
    public const WINDOW = 300;

    /** Longest id of a call. */
    private const MAXID = 200;

    /** Hashes that may be used. */
    public const ALGORITHMS = ['sha256', 'sha384', 'sha512'];

    /**
     * Refuses a call whose signature is not good.
     *
     * @param \stdClass $service
     * @param call $call
     * @param string $body
     * @throws refusal
     */
    public static function require_good(\stdClass $service, call $call, string $body): void {
        try {
            $secret = secrets::open($service->hmac_secret, 'secret of signatures');
        } catch (refused_exception $e) {
            throw self::refusal();
        }
        if (strcasecmp((string) $service->hmac_header, self::STANDARD) === 0) {
            self::require_standard($service, $call, $body, $secret);
        } else {
            self::require_plain($service, $call, $body, $secret);
        }
    }

    /**
     * Standard Webhooks.
     *
     * @param \stdClass $service
     * @param call $call
     * @param string $body
     * @param string $secret
     * @throws refusal
     */
    private static function require_standard(\stdClass $service, call $call, string $body, string $secret): void {
        $id = $call->header('webhook-id');
        $timestamp = $call->header('webhook-timestamp');
        $key = signature::key($secret);
        $sound = $key !== null && $id !== '' && strlen($id) <= self::MAXID && preg_match('~^\d{1,12}$~D', $timestamp);
        if (!$sound || !signature::is_good($call->header(self::STANDARD), $key, $id, $timestamp, $body)) {
            throw self::refusal();
        }
        $window = (int) $service->inbound_window ?: self::WINDOW;
        if (abs(time() - (int) $timestamp) > $window) {
            throw new refusal(403, 'webhook_too_old', null, true);
        }
    }

    /**
     * What tells a signed call from all others.
     *
     * @param \stdClass $service
     * @param call $call
     * @return string|null null: nothing does
     */
    public static function id(\stdClass $service, call $call): ?string {
        $isstandard = (string) $service->hmac_secret !== '' && strcasecmp((string) $service->hmac_header, self::STANDARD) === 0;
        // The id itself may be longer than the column.
        return $isstandard ? hash('sha256', $call->header('webhook-id')) : null;
    }

    /**
     * The HMAC of the body.
     *
     * @param \stdClass $service
     * @param call $call
     * @param string $body
     * @param string $secret
     * @throws refusal
     */
    private static function require_plain(\stdClass $service, call $call, string $body, string $secret): void {
        $algorithm = strtolower((string) $service->hmac_algo);
        if (!in_array($algorithm, self::ALGORITHMS, true)) {
            throw self::refusal();
        }
        $given = (string) preg_replace('~^' . $algorithm . '=~i', '', $call->header((string) $service->hmac_header));
        $mac = hash_hmac($algorithm, $body, $secret, true);
        if (!hash_equals(bin2hex($mac), strtolower($given)) && !hash_equals(base64_encode($mac), $given)) {
            throw self::refusal();
        }
    }

    /**
     * The refusal of a signature.
     *
     * @return refusal
     */
    private static function refusal(): refusal {
        return new refusal(403, 'webhook_invalid_signature', null, true);
    }
}
