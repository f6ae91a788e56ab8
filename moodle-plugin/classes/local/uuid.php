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
 * UUID version 7 (RFC 9562): 48 bits of milliseconds, then random bits, so that ids sort by time.
 *
 * Within one process they ascend strictly: the 12 bits after the version count the ids of a millisecond (method 1 of
 * section 6.2), starting at a random value below 2048.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class uuid {
    /** @var int millisecond of the last id */
    private static $last = 0;

    /** @var int counter within that millisecond */
    private static $counter = 0;

    /**
     * A new id.
     *
     * @return string 36 characters, lower case
     */
    public static function v7(): string {
        $now = (int) (microtime(true) * 1000);
        if ($now > self::$last) {
            self::$last = $now;
            self::$counter = random_int(0, 2047);
        } else if (++self::$counter > 4095) {
            self::$last++;
            self::$counter = 0;
        }
        return self::format(self::$last, self::$counter, random_bytes(8));
    }

    /**
     * The id of something that may be published again by somebody who does not know the first id: always the same.
     *
     * @param int $seconds when it happened
     * @param string $seed what it is
     * @return string 36 characters, lower case
     */
    public static function derived(int $seconds, string $seed): string {
        $hash = hash('sha256', $seed, true);
        return self::format($seconds * 1000, unpack('n', $hash)[1] & 0xfff, substr($hash, 2, 8));
    }

    /**
     * Puts the parts together.
     *
     * @param int $milliseconds
     * @param int $counter 12 bits
     * @param string $tail 8 bytes; two bits are the variant's
     * @return string
     */
    private static function format(int $milliseconds, int $counter, string $tail): string {
        $tail[0] = chr(ord($tail[0]) & 0x3f | 0x80);
        $hex = sprintf('%012x7%03x', $milliseconds & 0xffffffffffff, $counter) . bin2hex($tail);
        return substr($hex, 0, 8) . '-' . substr($hex, 8, 4) . '-' . substr($hex, 12, 4) . '-' . substr($hex, 16, 4)
            . '-' . substr($hex, 20);
    }
}
