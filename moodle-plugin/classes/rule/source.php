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
 * A text under examination: where it is read, and how its faults are told.
 *
 * Faults are worded as the worker words them: line and column from 1, columns in characters, and what was expected.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class source {
    /** @var string the text */
    public $text;

    /** @var int its length in bytes */
    public $length;

    /** @var int the byte that is read next */
    public $at = 0;

    /**
     * Begins at the start.
     *
     * @param string $text
     */
    public function __construct(string $text) {
        $this->text = $text;
        $this->length = strlen($text);
    }

    /**
     * The next byte.
     *
     * @return string '' at the end
     */
    public function byte(): string {
        return $this->at < $this->length ? $this->text[$this->at] : '';
    }

    /**
     * Whether this text comes next.
     *
     * @param string $text
     * @return bool
     */
    public function sees(string $text): bool {
        return substr($this->text, $this->at, strlen($text)) === $text;
    }

    /**
     * Reads as many of these bytes as there are.
     *
     * @param string $bytes
     * @return string
     */
    public function take(string $bytes): string {
        $taken = substr($this->text, $this->at, strspn($this->text, $bytes, $this->at));
        $this->at += strlen($taken);
        return $taken;
    }

    /**
     * Reads what a regular expression matches here.
     *
     * @param string $pattern without delimiters
     * @return string '' when there is no match
     */
    public function take_match(string $pattern): string {
        if (!preg_match('~\G(?:' . $pattern . ')~', $this->text, $found, 0, $this->at)) {
            return '';
        }
        $this->at += strlen($found[0]);
        return $found[0];
    }

    /**
     * Skips white space as JSON has it.
     */
    public function skip_space(): void {
        $this->take(" \t\r\n");
    }

    /**
     * Ends the examination.
     *
     * @param int $at byte
     * @param string $what
     * @throws syntax_exception
     */
    public function fault(int $at, string $what): void {
        $before = substr($this->text, 0, $at);
        $line = substr_count($before, "\n") + 1;
        $last = strrpos($before, "\n");
        $rest = $last === false ? $before : substr($before, $last + 1);
        // Bytes that continue a character are none of their own, also where the text is no UTF-8.
        $column = strlen(preg_replace('~[\x80-\xbf]~', '', $rest)) + 1;
        throw new syntax_exception("line $line, column $column: $what");
    }

    /**
     * Ends the examination at the next byte.
     *
     * @param string $expected
     * @throws syntax_exception
     */
    public function unexpected(string $expected): void {
        $byte = $this->byte();
        if ($byte === '') {
            $this->fault($this->at, "expected $expected, but the template ends");
        }
        $visible = ord($byte) > 0x20 && ord($byte) < 0x7f;
        $this->fault($this->at, "expected $expected, not " . ($visible ? "'$byte'" : sprintf('the byte 0x%02x', ord($byte))));
    }

    /**
     * The first byte that belongs to no valid character.
     *
     * @return int the length when there is none
     */
    public function invalid_at(): int {
        if (mb_check_encoding($this->text, 'UTF-8')) {
            return $this->length;
        }
        $character = '[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}'
            . '|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}';
        for ($at = 0; preg_match('~\G(?:' . $character . ')~', $this->text, $found, 0, $at); $at += strlen($found[0])) {
            continue;
        }
        return $at;
    }
}
