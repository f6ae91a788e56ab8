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
 * The settings of the plugin, with their defaults for sites where one was never saved.
 *
 * Values come from Moodle's config cache; nothing is kept here, so that a long process sees changes.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class config {
    /** Write a row for each wanted event before the broker has it. */
    public const MODE_SAFE = 'safe';

    /** Write a row only when publishing failed. */
    public const MODE_DIRECT = 'direct';

    /** Defaults by name of the setting. */
    public const DEFAULTS = [
        'mode' => self::MODE_SAFE,
        'brokerurl' => '',
        'brokercafile' => '',
        'exchange' => 'moodle.events',
        'namespace' => 'mih',
        'siteid' => '',
        'connectbudget' => 250,
        'confirmbudget' => 50,
        'cooloff' => 10,
        'default_timeout' => 5,
        'default_max_retries' => 3,
        'max_log_entries' => 500,
        'latest_events_limit' => 50,
        'dlq_keep_days' => 30,
        'gatewaybudget' => 30,
        'allownetworks' => '',
        'proxyenforcesegress' => 0,
    ];

    /** Smallest and largest value of the numbers. */
    public const LIMITS = [
        'connectbudget' => [10, 10000],
        'confirmbudget' => [5, 10000],
        'cooloff' => [1, 3600],
        'dlq_keep_days' => [1, 3650],
        'gatewaybudget' => [1, 600],
    ];

    /**
     * A text setting.
     *
     * @param string $name
     * @return string
     */
    public static function text(string $name): string {
        $value = get_config('local_integrationhub', $name);
        return $value === false || $value === '' ? (string) self::DEFAULTS[$name] : (string) $value;
    }

    /**
     * A number, within its limits.
     *
     * @param string $name
     * @return int
     */
    public static function number(string $name): int {
        $value = (int) self::text($name);
        [$min, $max] = self::LIMITS[$name] ?? [PHP_INT_MIN, PHP_INT_MAX];
        return max($min, min($max, $value));
    }

    /**
     * Whether a row is written for each wanted event before the broker has it.
     *
     * @return bool
     */
    public static function is_safe(): bool {
        return self::text('mode') !== self::MODE_DIRECT;
    }

    /**
     * Whether there is a broker to publish to.
     *
     * @return bool
     */
    public static function has_broker(): bool {
        return self::text('brokerurl') !== '';
    }

    /**
     * The broker URL as the administrator gave it, password included.
     *
     * @return string
     * @throws \moodle_exception when it was encrypted with another key
     */
    public static function broker_url(): string {
        $value = self::text('brokerurl');
        return self::is_encrypted($value) ? \core\encryption::decrypt($value) : $value;
    }

    /**
     * Whether a stored value is one that \core\encryption wrote; one set by cfg.php or in config.php is plain text.
     *
     * @param string $value
     * @return bool
     */
    public static function is_encrypted(string $value): bool {
        return (bool) preg_match('~^(sodium|openssl-aes-256-ctr):~', $value);
    }

    /**
     * Saves the broker URL, encrypted.
     *
     * @param string $url validated before; '' for none
     */
    public static function set_broker_url(string $url): void {
        set_config('brokerurl', $url === '' ? '' : \core\encryption::encrypt($url), 'local_integrationhub');
    }

    /**
     * The site identifier: app_id of every message.
     *
     * @return string
     */
    public static function site_id(): string {
        $id = self::text('siteid');
        return $id === '' ? self::default_site_id() : $id;
    }

    /**
     * The site identifier of a site that has chosen none: host and path of its address.
     *
     * @return string
     */
    public static function default_site_id(): string {
        global $CFG;
        return substr(preg_replace('~^https?://~', '', $CFG->wwwroot), 0, 255);
    }
}
