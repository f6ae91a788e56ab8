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
 * Reads JSON as strictly as the worker does, and notes where everything stands.
 *
 * A node is an array: type (null, false, true, number, string, array, object), at (its first byte), and text (of numbers and of
 * strings, decoded), items (of arrays: nodes) or members (of objects: pairs of key node and value node).
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class json_reader {
    /** @var source */
    private $source;

    /** @var int most levels */
    private $maxdepth;

    /** What is expected behind a member or an item. */
    private const AFTER = ['}' => 'expected , or } in an object', ']' => 'expected , or ] in a list'];

    /**
     * Reads a whole text.
     *
     * @param source $source
     * @param int $maxdepth
     * @return array node
     * @throws syntax_exception
     */
    public static function read(source $source, int $maxdepth): array {
        $reader = new self();
        $reader->source = $source;
        $reader->maxdepth = $maxdepth;
        $reader->need('no text at all');
        $node = $reader->value(0);
        $source->skip_space();
        if ($source->byte() !== '') {
            $source->fault($source->at, 'more text after the value');
        }
        return $node;
    }

    /**
     * Skips white space, behind which something must come.
     *
     * @param string $otherwise
     * @return string the next byte
     */
    private function need(string $otherwise = 'the text ends early'): string {
        $this->source->skip_space();
        $byte = $this->source->byte();
        if ($byte === '') {
            $this->source->fault($this->source->at, $this->source->at === 0 ? $otherwise : 'the text ends early');
        }
        return $byte;
    }

    /**
     * A value.
     *
     * @param int $depth
     * @return array node
     */
    private function value(int $depth): array {
        $byte = $this->need();
        if ($byte === '{' || $byte === '[') {
            return $this->container($byte, $depth);
        }
        if ($byte === '"') {
            return $this->string(false);
        }
        return $byte === '-' || ctype_digit($byte) ? $this->number() : $this->word();
    }

    /**
     * An object or a list.
     *
     * @param string $open
     * @param int $depth
     * @return array node
     */
    private function container(string $open, int $depth): array {
        $node = ['type' => $open === '{' ? 'object' : 'array', 'at' => $this->source->at, 'members' => [], 'items' => []];
        if ($depth === $this->maxdepth) {
            $this->source->fault($this->source->at, 'too many levels');
        }
        $close = $open === '{' ? '}' : ']';
        $this->source->at++;
        if ($this->need() === $close) {
            $this->source->at++;
            return $node;
        }
        while (true) {
            if ($open === '{') {
                $node['members'][] = $this->member($depth + 1);
            } else {
                $node['items'][] = $this->value($depth + 1);
            }
            $byte = $this->need();
            if ($byte !== ',' && $byte !== $close) {
                $this->source->fault($this->source->at, self::AFTER[$close]);
            }
            $this->source->at++;
            if ($byte === $close) {
                return $node;
            }
            $this->need();
        }
    }

    /**
     * A key and its value.
     *
     * @param int $depth
     * @return array[] two nodes
     */
    private function member(int $depth): array {
        if ($this->need() !== '"') {
            $this->source->fault($this->source->at, 'expected a key in double quotes');
        }
        $key = $this->string(true);
        $this->source->skip_space();
        if ($this->source->byte() !== ':') {
            $this->source->fault($this->source->at, 'expected a colon after the key');
        }
        $this->source->at++;
        return [$key, $this->value($depth)];
    }

    /**
     * A string.
     *
     * @param bool $iskey
     * @return array node
     */
    private function string(bool $iskey): array {
        $source = $this->source;
        $node = ['type' => 'string', 'at' => $source->at++, 'text' => ''];
        while (true) {
            $node['text'] .= $source->take_match('[^"\x5c\x00-\x1f\x80-\xff]+');
            $byte = $source->byte();
            if ($byte === '"') {
                $source->at++;
                return $node;
            }
            $node['text'] .= $byte === '\\' ? $this->escape($iskey) : $this->character($byte);
        }
    }

    /**
     * A character outside of ASCII.
     *
     * @param string $byte its first byte
     * @return string
     */
    private function character(string $byte): string {
        $source = $this->source;
        if ($byte === '') {
            $source->fault($source->at, 'the text ends in a string');
        }
        if (ord($byte) < 0x20) {
            $source->fault($source->at, 'a control character in a string');
        }
        $piece = new source(substr($source->text, $source->at, 4));
        $character = '';
        for ($length = 2; $length <= 4 && $character === ''; $length++) {
            $candidate = substr($piece->text, 0, $length);
            $character = (new source($candidate))->invalid_at() === strlen($candidate) ? $candidate : '';
        }
        if ($character === '') {
            $source->fault($source->at, 'invalid UTF-8');
        }
        $character = mb_substr($character, 0, 1, 'UTF-8');
        $source->at += strlen($character);
        return $character;
    }

    /**
     * What begins with a backslash.
     *
     * @param bool $iskey
     * @return string
     */
    private function escape(bool $iskey): string {
        $source = $this->source;
        $start = $source->at++;
        $letter = $source->byte();
        if ($letter === '') {
            $source->fault($source->at, 'the text ends in a string');
        }
        if ($letter === 'u') {
            return $this->unicode($start, $iskey);
        }
        $simple = ['"' => '"', '\\' => '\\', '/' => '/', 'b' => "\x08", 'f' => "\f", 'n' => "\n", 'r' => "\r", 't' => "\t"];
        if (!isset($simple[$letter])) {
            $source->fault($start, 'an unknown escape');
        }
        $source->at++;
        return $simple[$letter];
    }

    /**
     * What begins with \u, and the second half of a pair.
     *
     * @param int $start
     * @param bool $iskey
     * @return string
     */
    private function unicode(int $start, bool $iskey): string {
        $source = $this->source;
        $source->at++;
        $digits = $source->take_match('[0-9A-Fa-f]{4}');
        if ($digits === '') {
            $source->fault($start, '\u without four hexadecimal digits');
        }
        $unit = hexdec($digits);
        if ($unit === 0 && $iskey) {
            $source->fault($start, '\u0000 in a key');
        }
        if ($unit < 0xd800 || $unit > 0xdfff) {
            return mb_chr($unit, 'UTF-8');
        }
        $low = $unit < 0xdc00 ? $source->take_match('\x5cu[dD][c-fC-F][0-9A-Fa-f]{2}') : '';
        if ($low === '') {
            $source->fault($start, 'half of a surrogate pair');
        }
        return mb_chr(0x10000 + (($unit - 0xd800) << 10) + hexdec(substr($low, 2)) - 0xdc00, 'UTF-8');
    }

    /**
     * A number.
     *
     * @return array node
     */
    private function number(): array {
        $source = $this->source;
        $start = $source->at;
        // Also what has no digits behind its point or exponent, which makes it none.
        $text = $source->take_match('-?[0-9]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?');
        if (!number::is_number($text)) {
            $source->fault($start, 'not a number of JSON');
        }
        $trouble = number::trouble($text);
        if ($trouble !== '') {
            $source->fault($start, $trouble);
        }
        return ['type' => 'number', 'at' => $start, 'text' => $text];
    }

    /**
     * A word.
     *
     * @return array node
     */
    private function word(): array {
        $start = $this->source->at;
        $word = $this->source->take_match('true|false|null');
        if ($word === '') {
            $this->source->fault($start, 'not a value of JSON');
        }
        return ['type' => $word, 'at' => $start];
    }
}
