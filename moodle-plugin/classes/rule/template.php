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
 * Checks templates of payloads, endpoints, headers and routing keys as the worker compiles them.
 *
 * The worker's rules are told in its dispatcher/template.h; tests/cases is run from both sides.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class template {
    /** Longest template, in bytes. */
    private const MAX_LENGTH = 65536;

    /** Deepest JSON. */
    private const MAX_DEPTH = 32;

    /** Most filters of one placeholder. */
    private const MAX_FILTERS = 8;

    /** Longest argument of a filter, in bytes. */
    private const MAX_ARGUMENT = 1024;

    /** The filters there are. */
    private const FILTERS = ['default', 'string', 'upper', 'lower', 'urlencode', 'iso8601', 'sha256', 'json'];

    /** @var source */
    private $source;

    /**
     * Checks a JSON template.
     *
     * @param string $text
     * @throws syntax_exception
     */
    public static function check_json(string $text): void {
        $template = self::begin($text);
        $template->value(0);
        $template->source->skip_space();
        if ($template->source->byte() !== '') {
            $template->source->unexpected('nothing after the JSON value');
        }
    }

    /**
     * Checks a text template.
     *
     * @param string $text
     * @throws syntax_exception
     */
    public static function check_text(string $text): void {
        $template = self::begin($text);
        while (($next = strpos($text, '{{', $template->source->at)) !== false) {
            $template->source->at = $next;
            $template->placeholder();
        }
    }

    /**
     * Whether a rule's template stands for the whole event.
     *
     * @param string|null $text
     * @return bool
     */
    public static function is_none(?string $text): bool {
        return preg_match('~^[ \t\r\n\v\f]*0?[ \t\r\n\v\f]*$~D', (string) $text) === 1;
    }

    /**
     * What holds for all templates.
     *
     * @param string $text
     * @return template
     */
    private static function begin(string $text): template {
        $template = new self();
        $template->source = new source($text);
        if ($template->source->length > self::MAX_LENGTH) {
            $template->source->fault(self::MAX_LENGTH, 'the template is longer than ' . self::MAX_LENGTH . ' bytes');
        }
        $bad = $template->source->invalid_at();
        if ($bad < $template->source->length) {
            $template->source->fault($bad, sprintf('the byte 0x%02x is not valid UTF-8', ord($text[$bad])));
        }
        return $template;
    }

    /**
     * A JSON value or a placeholder.
     *
     * @param int $depth
     */
    private function value(int $depth): void {
        $source = $this->source;
        $source->skip_space();
        $byte = $source->byte();
        if ($source->sees('{{')) {
            $this->placeholder();
        } else if ($byte === '{' || $byte === '[') {
            $this->container($byte, $depth);
        } else if ($byte === '"') {
            $this->string();
        } else if ($byte === '-' || ctype_digit($byte)) {
            $this->number();
        } else if ($source->take_match('true|false|null') === '') {
            $source->unexpected('a JSON value or a placeholder');
        }
    }

    /**
     * An object or a list.
     *
     * @param string $open
     * @param int $depth
     */
    private function container(string $open, int $depth): void {
        $source = $this->source;
        if ($depth === self::MAX_DEPTH) {
            $source->fault($source->at, 'nested deeper than ' . self::MAX_DEPTH . ' levels');
        }
        $close = $open === '{' ? '}' : ']';
        $source->at++;
        $source->skip_space();
        if ($source->byte() === $close) {
            $source->at++;
            return;
        }
        while (true) {
            if ($open === '{') {
                $this->key();
            }
            $this->value($depth + 1);
            $source->skip_space();
            $byte = $source->byte();
            if ($byte !== ',' && $byte !== $close) {
                $source->unexpected("',' or '$close'");
            }
            $source->at++;
            if ($byte === $close) {
                return;
            }
        }
    }

    /**
     * A key and its colon.
     */
    private function key(): void {
        $source = $this->source;
        $source->skip_space();
        if ($source->byte() !== '"') {
            $source->unexpected('a key in double quotes');
        }
        $this->string();
        $source->skip_space();
        if ($source->byte() !== ':') {
            $source->unexpected("':'");
        }
        $source->at++;
    }

    /**
     * A string, with placeholders in it.
     */
    private function string(): void {
        $source = $this->source;
        $opened = $source->at++;
        while ($source->byte() !== '"') {
            if ($source->sees('{{')) {
                $this->placeholder();
                continue;
            }
            $byte = $source->byte();
            if ($byte === '') {
                $source->fault($opened, 'this string is not closed');
            }
            if (ord($byte) < 0x20) {
                $source->fault($source->at, sprintf('the byte 0x%02x must be escaped in a string', ord($byte)));
            }
            if ($byte === '\\') {
                $this->escape();
            } else {
                $source->at++;
            }
        }
        $source->at++;
    }

    /**
     * What begins with a backslash.
     */
    private function escape(): void {
        $source = $this->source;
        $start = $source->at++;
        if ($source->byte() !== 'u') {
            if ($source->byte() === '' || strpos('"\\/bfnrt', $source->byte()) === false) {
                $source->unexpected('one of " \\ / b f n r t u after the backslash');
            }
            $source->at++;
            return;
        }
        $source->at++;
        $unit = $this->hex4();
        if ($unit >= 0xd800 && $unit <= 0xdbff && $source->sees('\u')) {
            $source->at += 2;
            $low = $this->hex4();
            if ($low >= 0xdc00 && $low <= 0xdfff) {
                return;
            }
        }
        if ($unit >= 0xd800 && $unit <= 0xdfff) {
            $source->fault($start, 'this is half a surrogate pair');
        }
    }

    /**
     * Four hexadecimal digits.
     *
     * @return int
     */
    private function hex4(): int {
        $digits = $this->source->take_match('[0-9A-Fa-f]{1,4}');
        if (strlen($digits) < 4) {
            $this->source->unexpected('four hexadecimal digits after \u');
        }
        return hexdec($digits);
    }

    /**
     * A number.
     */
    private function number(): void {
        $start = $this->source->at;
        $text = $this->source->take('+-.0123456789eE');
        if (!number::is_number($text)) {
            $this->source->fault($start, substr($text, 0, 40) . ' is not a JSON number');
        }
        if (number::trouble($text) !== '') {
            $this->source->fault($start, 'the number ' . substr($text, 0, 40) . ' is out of range');
        }
    }

    /**
     * What stands between two pairs of braces.
     */
    private function placeholder(): void {
        $source = $this->source;
        $start = $source->at;
        $source->at += 2;
        $source->skip_space();
        $this->path();
        $source->skip_space();
        for ($n = 0; $source->byte() === '|'; $n++) {
            $source->at++;
            $this->filter($n);
            $source->skip_space();
        }
        if ($source->byte() === '') {
            $source->fault($start, 'this "{{" has no "}}"');
        }
        if (!$source->sees('}}')) {
            $source->unexpected('"}}" or "|"');
        }
        $source->at += 2;
    }

    /**
     * A path.
     */
    private function path(): void {
        $source = $this->source;
        $start = $source->at;
        $keys = [];
        do {
            $at = $source->at;
            $key = $source->take_match(path::KEY);
            if ($key === '') {
                $source->unexpected('a path such as userid or other.key');
            }
            if (count($keys) === path::MAX_KEYS) {
                $source->fault($at, 'a path may have ' . path::MAX_KEYS . ' keys at most');
            }
            $keys[] = $key;
        } while ($source->take_match('\.') !== '');
        $trouble = path::trouble($keys);
        if ($trouble !== '') {
            $source->fault($start, $trouble);
        }
    }

    /**
     * A filter behind its bar.
     *
     * @param int $before how many stand before it
     */
    private function filter(int $before): void {
        $source = $this->source;
        $source->skip_space();
        $start = $source->at;
        $name = $source->take_match('[0-9A-Za-z]+');
        if ($name === '') {
            $source->unexpected('the name of a filter');
        }
        if (!in_array($name, self::FILTERS, true)) {
            $source->fault($start, 'there is no filter ' . substr($name, 0, 20) . '; there are ' . implode(', ', self::FILTERS));
        }
        if ($before === self::MAX_FILTERS) {
            $source->fault($start, self::MAX_FILTERS . ' filters at most');
        }
        $source->skip_space();
        $hasargument = $source->byte() === ':';
        if ($hasargument !== ($name === 'default')) {
            $source->fault($start, "the filter $name " . ($hasargument ? 'does not take' : 'needs') . ' an argument');
        }
        if ($hasargument) {
            $source->at++;
            $this->argument();
        }
    }

    /**
     * What stands behind a filter's colon.
     */
    private function argument(): void {
        $source = $this->source;
        $source->skip_space();
        $start = $source->at;
        $quote = $source->byte();
        if ($quote !== '"' && $quote !== "'") {
            $text = $source->take_match('[0-9A-Za-z_.+\x80-\xff-]+');
            if ($text === '') {
                $source->unexpected('an argument: "text", \'text\', a word or a number');
            }
        } else {
            $text = $this->quoted($start, $quote);
        }
        if (strlen($text) > self::MAX_ARGUMENT) {
            $source->fault($start, 'an argument may have ' . self::MAX_ARGUMENT . ' bytes at most');
        }
    }

    /**
     * An argument in quotes.
     *
     * @param int $start
     * @param string $quote
     * @return string
     */
    private function quoted(int $start, string $quote): string {
        $source = $this->source;
        $text = '';
        $source->at++;
        while ($source->byte() !== '' && $source->byte() !== $quote) {
            if ($source->byte() === '\\') {
                $source->at++;
                if ($source->byte() === '' || strpos('"\'\\', $source->byte()) === false) {
                    $source->unexpected('a quote or a backslash after the backslash');
                }
            }
            $text .= $source->byte();
            $source->at++;
        }
        if ($source->byte() === '') {
            $source->fault($start, 'this quote is not closed');
        }
        $source->at++;
        return $text;
    }
}
