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
 * Placeholders in the texts of a service, for a request of the gateway: `{{a.b}}` takes its value from the payload.
 *
 * The fleet's filters and the names that it looks up belong to rules; the gateway refuses a filter rather than ignore it, and
 * what the payload does not have is nothing.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class placeholders {
    /** A placeholder. */
    private const PLACEHOLDER = '{{\s*([^{}|"]*?)\s*}}';

    /**
     * Fills in a plain text.
     *
     * @param string $template
     * @param array $payload
     * @param string $what where it stands, for the refusal
     * @return string
     * @throws refused_exception
     */
    public static function text(string $template, array $payload, string $what): string {
        self::require_no_filter($template, $what);
        return (string) preg_replace_callback('~' . self::PLACEHOLDER . '~', function (array $match) use ($payload): string {
            return self::scalar(self::value($match[1], $payload));
        }, $template);
    }

    /**
     * Fills in a JSON text: inside a string with escaped text, elsewhere with a value.
     *
     * @param string $template
     * @param array $payload
     * @param string $what where it stands, for the refusal
     * @return string
     * @throws refused_exception
     */
    public static function json(string $template, array $payload, string $what): string {
        self::require_no_filter($template, $what);
        $pattern = '~"(?:[^"\\\\]|\\\\.)*"|' . self::PLACEHOLDER . '~s';
        return (string) preg_replace_callback($pattern, function (array $match) use ($payload): string {
            if ($match[0][0] !== '"') {
                return (string) json_encode(self::value($match[1], $payload), JSON_INVALID_UTF8_SUBSTITUTE);
            }
            return (string) preg_replace_callback('~' . self::PLACEHOLDER . '~', function (array $inner) use ($payload): string {
                $text = self::scalar(self::value($inner[1], $payload));
                return substr((string) json_encode($text, JSON_INVALID_UTF8_SUBSTITUTE), 1, -1);
            }, $match[0]);
        }, $template);
    }

    /**
     * The value at a path.
     *
     * @param string $path
     * @param array $payload
     * @return mixed
     */
    private static function value(string $path, array $payload) {
        $value = $payload;
        foreach (explode('.', $path) as $key) {
            $value = is_array($value) ? $value[$key] ?? null : null;
        }
        return $value;
    }

    /**
     * A value as text: what is no single value is nothing.
     *
     * @param mixed $value
     * @return string
     */
    private static function scalar($value): string {
        return is_bool($value) ? ($value ? 'true' : 'false') : (is_scalar($value) ? (string) $value : '');
    }

    /**
     * Refuses filters.
     *
     * @param string $template
     * @param string $what
     * @throws refused_exception
     */
    private static function require_no_filter(string $template, string $what): void {
        if (preg_match('~{{[^{}]*\|~', $template)) {
            throw new refused_exception("policy: $what: filters work in rules only");
        }
    }
}
