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
 * The secrets of services: encrypted by Moodle's own key before they are stored, and never shown again.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class secrets {
    /**
     * The values with every secret encrypted that is not yet.
     *
     * @param array $values of the fields of a service
     * @param string $type of the service
     * @return array
     */
    public static function sealed(array $values, string $type): array {
        foreach (service_fields::SECRETS as $name) {
            if (isset($values[$name])) {
                $values[$name] = self::seal((string) $values[$name]);
            }
        }
        if ($type === 'amqp' && isset($values['base_url']) && !config::is_encrypted($values['base_url'])) {
            $parts = amqp_service_url::parts($values['base_url']);
            if ($parts['pass'] !== '' && !config::is_encrypted($parts['pass'])) {
                $values['base_url'] = amqp_service_url::url(['pass' => self::seal($parts['pass'])] + $parts);
            }
        }
        return $values;
    }

    /**
     * The text of a stored secret.
     *
     * @param string $stored
     * @return string
     * @throws \moodle_exception when it was encrypted with another key
     */
    public static function open(string $stored): string {
        return config::is_encrypted($stored) ? \core\encryption::decrypt($stored) : $stored;
    }

    /**
     * A URL without its password.
     *
     * @param string $url
     * @return string
     */
    public static function masked(string $url): string {
        return config::is_encrypted($url) ? '***' : cli::masked($url);
    }

    /**
     * A secret, encrypted.
     *
     * @param string $text
     * @return string
     */
    private static function seal(string $text): string {
        return $text === '' || config::is_encrypted($text) ? $text : \core\encryption::encrypt($text);
    }
}
