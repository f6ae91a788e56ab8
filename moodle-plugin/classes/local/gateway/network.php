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
 * Networks of IP addresses: `10.1.0.0/16`, `fd00::/8`, or one address.
 *
 * An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class network {
    /** What IPv4 addresses in IPv6 begin with. */
    private const MAPPED = "\0\0\0\0\0\0\0\0\0\0\xff\xff";

    /**
     * The bytes of an address.
     *
     * @param string $text
     * @return string|null 4 or 16 bytes; null when it is none
     */
    public static function bytes(string $text): ?string {
        $bytes = filter_var($text, FILTER_VALIDATE_IP) === false ? false : inet_pton($text);
        if ($bytes === false) {
            return null;
        }
        return strlen($bytes) === 16 && strncmp($bytes, self::MAPPED, 12) === 0 ? substr($bytes, 12) : $bytes;
    }

    /**
     * Whether a network holds an address.
     *
     * @param string $network
     * @param string $bytes as bytes() gives them
     * @return bool
     */
    public static function holds(string $network, string $bytes): bool {
        [$text, $bits] = explode('/', $network, 2) + [1 => null];
        $start = self::bytes($text);
        if ($start === null || strlen($start) !== strlen($bytes)) {
            return false;
        }
        $bits = $bits === null ? 8 * strlen($start) : (int) $bits - (strlen($start) === 4 && strpos($text, ':') !== false ? 96 : 0);
        $whole = intdiv($bits, 8);
        if (strncmp($start, $bytes, $whole) !== 0) {
            return false;
        }
        $rest = $bits % 8;
        return $rest === 0 || (ord($start[$whole]) ^ ord($bytes[$whole])) >> (8 - $rest) === 0;
    }

    /**
     * Whether one of several networks holds an address.
     *
     * @param string[] $networks
     * @param string $bytes
     * @return bool
     */
    public static function any_holds(array $networks, string $bytes): bool {
        foreach ($networks as $network) {
            if (self::holds($network, $bytes)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Reads a list of networks.
     *
     * @param string $text separated by commas or white space
     * @return string[]
     */
    public static function parse_list(string $text): array {
        return preg_split('~[\s,]+~', $text, -1, PREG_SPLIT_NO_EMPTY);
    }

    /**
     * The first entry of a list that is no network.
     *
     * @param string $text
     * @return string|null null when all are
     */
    public static function first_fault(string $text): ?string {
        foreach (self::parse_list($text) as $entry) {
            [$address, $bits] = explode('/', $entry, 2) + [1 => null];
            $bytes = self::bytes($address);
            $max = strpos($address, ':') === false ? 32 : 128;
            $min = $bytes !== null && strlen($bytes) === 4 && $max === 128 ? 96 : 0;
            if ($bytes === null || $bits !== null && (!preg_match('~^\d{1,3}$~D', $bits) || $bits > $max || $bits < $min)) {
                return $entry;
            }
        }
        return null;
    }
}
