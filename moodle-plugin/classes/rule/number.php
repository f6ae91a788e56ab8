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

namespace local_integrationhub\rule;

/**
 * Numbers as JSON writes them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class number {
    /** The grammar of RFC 8259, section 6. */
    private const GRAMMAR = '~^-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$~D';

    /** Longest number, in bytes. */
    private const LENGTH = 1024;

    /**
     * Whether a text is a number.
     *
     * @param string $text
     * @return bool
     */
    public static function is_number(string $text): bool {
        return (bool) preg_match(self::GRAMMAR, $text);
    }

    /**
     * What keeps a number from being read by everybody as it is written.
     *
     * @param string $text
     * @return string '' when nothing does
     */
    public static function trouble(string $text): string {
        if (strlen($text) > self::LENGTH) {
            return 'a number of more than 1024 characters';
        }
        preg_match(self::GRAMMAR, $text, $found);
        if (count($found) > 1) {
            return is_finite((float) $text) ? '' : 'a number that is too large';
        }
        $digits = ltrim($text, '-');
        $limit = $text[0] === '-' ? '9223372036854775808' : '18446744073709551615';
        $fits = strlen($digits) < strlen($limit) || strlen($digits) === strlen($limit) && strcmp($digits, $limit) <= 0;
        return $fits ? '' : 'an integer of more than 64 bits';
    }
}
