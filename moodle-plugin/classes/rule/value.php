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
 * Values of JSON as json_reader gives them, with the spelling of their numbers, and what the worker makes of them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class value {
    /** What is missing. */
    public const NONE = ['type' => 'null'];

    /**
     * A text.
     *
     * @param string $text
     * @return array node
     */
    public static function text_node(string $text): array {
        return ['type' => 'string', 'text' => $text];
    }

    /**
     * A value of PHP.
     *
     * @param mixed $value
     * @return array node
     */
    public static function of_php($value): array {
        return json_reader::read(new source((string) json_encode($value)), 512);
    }

    /**
     * A member of an object, or an item of a list by its number.
     *
     * @param array $node
     * @param string $key
     * @return array node
     */
    public static function member(array $node, string $key): array {
        $found = self::NONE;
        foreach ($node['type'] === 'object' ? $node['members'] : [] as [$name, $value]) {
            if ($name['text'] === $key) {
                $found = $value;
            }
        }
        if ($node['type'] === 'array' && ctype_digit($key)) {
            $found = $node['items'][(int) $key] ?? self::NONE;
        }
        return $found;
    }

    /**
     * A value's JSON text in the form of json_encode, its numbers as they are spelled.
     *
     * @param array $node
     * @return string
     */
    public static function json(array $node): string {
        switch ($node['type']) {
            case 'string':
                return (string) json_encode($node['text']);
            case 'number':
            case 'json':
                // The type json is what the filter of that name leaves.
                return $node['text'];
            case 'array':
                return '[' . implode(',', array_map([self::class, 'json'], $node['items'])) . ']';
            case 'object':
                $members = [];
                foreach ($node['members'] as [$key, $value]) {
                    $members['k' . $key['text']] = json_encode($key['text']) . ':' . self::json($value);
                }
                return '{' . implode(',', $members) . '}';
        }
        return $node['type'];
    }

    /**
     * A value as text.
     *
     * @param array $node
     * @return string
     */
    public static function text(array $node): string {
        if ($node['type'] === 'null') {
            return '';
        }
        return $node['type'] === 'string' ? $node['text'] : self::json($node);
    }

    /**
     * Whether a value is a number, or a text that is one and that every reader of JSON understands.
     *
     * @param array $node
     * @return bool
     */
    public static function is_numeric(array $node): bool {
        return $node['type'] === 'number' || $node['type'] === 'string' && number::is_number($node['text'])
            && number::trouble($node['text']) === '';
    }

    /**
     * A value of PHP, its numbers as text.
     *
     * @param array $node
     * @return mixed
     */
    public static function php(array $node) {
        switch ($node['type']) {
            case 'array':
                return array_map([self::class, 'php'], $node['items']);
            case 'object':
                $members = [];
                foreach ($node['members'] as [$key, $value]) {
                    $members[$key['text']] = self::php($value);
                }
                return $members;
            case 'true':
            case 'false':
                return $node['type'] === 'true';
            case 'null':
                return null;
        }
        return $node['text'];
    }

    /**
     * Compares two numbers exactly, as they are written.
     *
     * @param string $one
     * @param string $other
     * @return int below, at or above 0
     */
    public static function compare_numbers(string $one, string $other): int {
        [$sign, $place, $digits] = self::parts($one);
        [$othersign, $otherplace, $otherdigits] = self::parts($other);
        if ($sign !== $othersign) {
            return $sign <=> $othersign;
        }
        $length = max(strlen($digits), strlen($otherdigits));
        $order = $place <=> $otherplace ?: strcmp(str_pad($digits, $length, '0'), str_pad($otherdigits, $length, '0'));
        return $sign * ($order <=> 0);
    }

    /**
     * Sign, place of the decimal point before the first digit that is not 0, and the digits from there.
     *
     * @param string $number
     * @return array
     */
    private static function parts(string $number): array {
        preg_match('~^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$~D', $number, $found);
        $whole = $found[2];
        $digits = rtrim($whole . ($found[3] ?? ''), '0');
        $place = strlen($whole) + (int) ($found[4] ?? 0);
        $rest = ltrim($digits, '0');
        if ($rest === '') {
            return [0, 0, ''];
        }
        return [$found[1] === '-' ? -1 : 1, $place - (strlen($digits) - strlen($rest)), $rest];
    }
}
