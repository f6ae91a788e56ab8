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
 * URLs of REST services: what an endpoint adds can neither leave the host nor climb out of the path.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class rest_url {
    /** Longest URL in bytes. */
    private const MAX = 8192;

    /**
     * Refuses a base that could not be called.
     *
     * @param string $base
     * @param string $name what it is, for the refusal
     * @throws refused_exception
     */
    public static function require_base(string $base, string $name): void {
        $parts = self::has_bad_byte($base) || !preg_match('~^https?://~i', $base) ? false : parse_url($base);
        if ($parts === false || ($parts['host'] ?? '') === '') {
            throw new refused_exception("policy: $name is no URL that begins with http:// or https://");
        }
        if (isset($parts['user']) || isset($parts['pass'])) {
            throw new refused_exception("policy: $name must not hold a user name or password");
        }
        if (self::has_dot_segment($parts['path'] ?? '')) {
            throw new refused_exception("policy: $name holds a \".\" or \"..\" segment");
        }
    }

    /**
     * Base and endpoint, joined as 2.0.0 joined them.
     *
     * @param string $base
     * @param string $endpoint
     * @return string
     * @throws refused_exception
     */
    public static function join(string $base, string $endpoint): string {
        self::require_base($base, 'base_url');
        if (self::has_bad_byte($endpoint)) {
            throw new refused_exception('policy: the endpoint holds a space, a control byte, "#" or "\\"');
        }
        if (self::has_dot_segment(strtok($endpoint . '?', '?') ?: '')) {
            throw new refused_exception('policy: the endpoint makes a "." or ".." segment');
        }
        $url = rtrim($base, '/') . '/' . ltrim($endpoint, '/');
        if (strlen($url) > self::MAX) {
            throw new refused_exception('policy: the URL is larger than ' . self::MAX . ' bytes');
        }
        return $url;
    }

    /**
     * Adds a query to a URL that may have one.
     *
     * @param string $url
     * @param array $payload
     * @return string
     */
    public static function with_query(string $url, array $payload): string {
        $query = http_build_query($payload, '', '&');
        return $query === '' ? $url : $url . (strpos($url, '?') === false ? '?' : '&') . $query;
    }

    /**
     * Whether a text holds a byte that no URL may hold.
     *
     * @param string $text
     * @return bool
     */
    private static function has_bad_byte(string $text): bool {
        return (bool) preg_match('~[\x00-\x20\x7f\\\\#]~', $text);
    }

    /**
     * Whether a path has a segment `.` or `..`, however it is spelt.
     *
     * @param string $path
     * @return bool
     */
    private static function has_dot_segment(string $path): bool {
        $path = preg_replace(['~%2e~i', '~%2f|%5c~i', '~%3b~i'], ['.', '/', ';'], $path);
        return (bool) preg_match('~(^|[/;])\.\.?([/;]|$)~', $path);
    }
}
