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
 * Signatures as Standard Webhooks has them (version 1 of the symmetric kind): HMAC-SHA256 over "id.timestamp.body".
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class signature {
    /**
     * The bytes of a secret.
     *
     * @param string $secret whsec_ and base64 of 24 to 64 bytes; the prefix may be missing
     * @return string|null null when it is none
     */
    public static function key(string $secret): ?string {
        $text = strncmp($secret, 'whsec_', 6) === 0 ? substr($secret, 6) : $secret;
        $key = base64_decode($text, true);
        $sound = $key !== false && base64_encode($key) === $text && strlen($key) >= 24 && strlen($key) <= 64;
        return $sound ? $key : null;
    }

    /**
     * One signature.
     *
     * @param string $key
     * @param string $id
     * @param string $timestamp
     * @param string $body
     * @return string
     */
    public static function make(string $key, string $id, string $timestamp, string $body): string {
        return 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    }

    /**
     * The header of a service that signs; of two secrets, while one is being rotated, the new one's stands first.
     *
     * @param \stdClass $service
     * @param string $id
     * @param int $time
     * @param string $body
     * @return string '' when the service does not sign
     * @throws refused_exception
     */
    public static function header(\stdClass $service, string $id, int $time, string $body): string {
        $signatures = [];
        foreach (['signing_secret' => 'signing secret', 'signing_secret_old' => 'old signing secret'] as $field => $name) {
            $secret = secrets::open($service->$field ?? null, $name);
            if ($secret === '') {
                continue;
            }
            $key = self::key($secret);
            if ($key === null) {
                throw new refused_exception("policy: the $name is not whsec_ and base64 of 24 to 64 bytes");
            }
            $signatures[] = self::make($key, $id, (string) $time, $body);
        }
        return implode(' ', $signatures);
    }

    /**
     * Whether a header holds a good signature.
     *
     * @param string $header signatures separated by spaces
     * @param string $key
     * @param string $id
     * @param string $timestamp
     * @param string $body
     * @return bool
     */
    public static function is_good(string $header, string $key, string $id, string $timestamp, string $body): bool {
        $good = self::make($key, $id, $timestamp, $body);
        $found = false;
        foreach (explode(' ', $header) as $each) {
            $found = hash_equals($good, $each) || $found;
        }
        return $found;
    }
}
