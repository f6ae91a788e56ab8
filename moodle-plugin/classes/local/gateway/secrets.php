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
 * The secrets of a service, as they are sent.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class secrets {
    /**
     * A stored text, decrypted if it is encrypted.
     *
     * @param string|null $stored
     * @param string $name what it is, for the refusal
     * @return string
     * @throws refused_exception when it cannot be decrypted
     */
    public static function open(?string $stored, string $name): string {
        $stored = (string) $stored;
        if (!config::is_encrypted($stored)) {
            return $stored;
        }
        try {
            return \core\encryption::decrypt($stored);
        } catch (\moodle_exception $e) {
            throw new refused_exception("policy: the $name cannot be decrypted: {$e->errorcode}");
        }
    }

    /**
     * The token, password or client secret; it may hold no control byte.
     *
     * @param \stdClass $service
     * @return string
     * @throws refused_exception
     */
    public static function token(\stdClass $service): string {
        $token = self::open($service->auth_token ?? null, 'token');
        if (preg_match('~[\x00-\x1f\x7f]~', $token)) {
            throw new refused_exception('policy: the token holds a control byte');
        }
        return $token;
    }

    /**
     * Takes what is secret out of a text: a service may repeat what it was sent.
     *
     * @param string $text
     * @param \stdClass $service
     * @return string
     */
    public static function mask(string $text, \stdClass $service): string {
        foreach (['auth_token', 'signing_secret', 'signing_secret_old', 'hmac_secret'] as $name) {
            try {
                $secret = self::open($service->$name ?? null, $name);
            } catch (refused_exception $e) {
                continue;
            }
            if (strlen($secret) >= 4) {
                $text = str_replace([$secret, rawurlencode($secret), base64_encode($secret)], '***', $text);
            }
        }
        return preg_replace('~(amqps?://[^/:@\s]*):[^@\s]*@~', '$1:***@', $text);
    }
}
