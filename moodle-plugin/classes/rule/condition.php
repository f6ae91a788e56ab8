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
 * Checks a rule's filter, a JSON condition, as the worker compiles it.
 *
 * The worker's rules are told in its dispatcher/condition.h; tests/cases is run from both sides.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class condition {
    /** Longest condition, in bytes. */
    private const MAX_LENGTH = 65536;

    /** Deepest JSON. */
    private const MAX_DEPTH = 32;

    /** Most parts. */
    private const MAX_TESTS = 256;

    /** Most values of a list. */
    private const MAX_VALUES = 1000;

    /** Longest regular expression, in bytes. */
    private const MAX_REGEX = 1024;

    /** Operators. */
    private const OPERATORS = [
        '$and', '$endsWith', '$eq', '$exist', '$gt', '$gte', '$in', '$lt', '$lte', '$neq', '$nin', '$not', '$or', '$regex',
        '$startsWith',
    ];

    /** Operators that take one value => the types it may have, and how that is told. */
    private const TAKES = [
        '$endsWith' => [['string'], 'a text'],
        '$startsWith' => [['string'], 'a text'],
        '$regex' => [['string'], 'a text that is a regular expression'],
        '$exist' => [['true', 'false'], 'true or false'],
        '$gt' => [['number', 'string'], 'a number or a text'],
        '$gte' => [['number', 'string'], 'a number or a text'],
        '$lt' => [['number', 'string'], 'a number or a text'],
        '$lte' => [['number', 'string'], 'a number or a text'],
        '$eq' => [['string', 'number', 'true', 'false', 'null'], 'a text, a number, true, false or null'],
        '$neq' => [['string', 'number', 'true', 'false', 'null'], 'a text, a number, true, false or null'],
    ];

    /** @var source */
    private $source;

    /** @var int parts so far */
    private $tests = 0;

    /** @var string[] the path around what is examined */
    private $keys = [];

    /** @var int where its last key stands */
    private $pathat = 0;

    /**
     * Checks a condition.
     *
     * @param string $text
     * @throws syntax_exception
     */
    public static function check(string $text): void {
        if (self::is_none($text)) {
            return;
        }
        $condition = new self();
        $condition->source = new source($text);
        if (strlen($text) > self::MAX_LENGTH) {
            $condition->source->fault(self::MAX_LENGTH, 'the condition is longer than ' . self::MAX_LENGTH . ' bytes');
        }
        $root = json_reader::read($condition->source, self::MAX_DEPTH);
        if ($root['type'] !== 'object' || $root['members']) {
            $condition->add($root);
        }
    }

    /**
     * Whether a rule takes every event.
     *
     * @param string|null $text
     * @return bool
     */
    public static function is_none(?string $text): bool {
        return trim((string) $text, " \t\r\n\v\f") === '';
    }

    /**
     * A condition.
     *
     * @param array $node
     */
    private function add(array $node): void {
        if ($node['type'] === 'object') {
            $this->members($node);
            return;
        }
        if (!$this->keys) {
            $this->source->fault($node['at'], 'expected an object with paths and operators');
        }
        if ($node['type'] === 'array') {
            $what = 'expected a value or an object with operators: a list stands behind $in';
            $this->source->fault($node['at'], $what);
        }
        $this->leaf('$eq', $node['at'], $node);
    }

    /**
     * The members of an object.
     *
     * @param array $object
     */
    private function members(array $object): void {
        if (!$object['members']) {
            $this->source->fault($object['at'], 'expected a path or an operator in this object');
        }
        $places = [];
        foreach ($object['members'] as [$key]) {
            $places['k' . $key['text']][] = $key['at'];
        }
        foreach ($object['members'] as [$key, $value]) {
            $same = $places['k' . $key['text']];
            if (count($same) > 1) {
                $this->source->fault(end($same), 'this key stands twice in its object');
            }
            if (substr($key['text'], 0, 1) === '$') {
                $this->operator($key, $value);
            } else {
                $this->nested($key, $value);
            }
        }
    }

    /**
     * What stands behind a path.
     *
     * @param array $key
     * @param array $value
     */
    private function nested(array $key, array $value): void {
        [$keys, $pathat] = [$this->keys, $this->pathat];
        $this->pathat = $key['at'];
        foreach (explode('.', $key['text']) as $name) {
            if (!preg_match('~^' . path::KEY . '$~D', $name)) {
                $this->source->fault($key['at'], 'expected a path such as userid or other.key');
            }
            if (count($this->keys) === path::MAX_KEYS) {
                $this->source->fault($key['at'], 'a path may have ' . path::MAX_KEYS . ' keys at most');
            }
            $this->keys[] = $name;
        }
        $this->add($value);
        [$this->keys, $this->pathat] = [$keys, $pathat];
    }

    /**
     * An operator.
     *
     * @param array $key
     * @param array $value
     */
    private function operator(array $key, array $value): void {
        $name = $key['text'];
        if (!in_array($name, self::OPERATORS, true)) {
            preg_match('~^\$[A-Za-z]{0,20}~', $name, $shown);
            $what = 'there is no operator ' . $shown[0] . '; there are ' . implode(', ', self::OPERATORS);
            $this->source->fault($key['at'], $what);
        }
        if ($name === '$not') {
            $this->count($key['at']);
            $this->add($value);
        } else if ($name === '$and' || $name === '$or') {
            $this->count($key['at']);
            $this->conditions($value);
        } else if (!$this->keys) {
            $this->source->fault($key['at'], "expected a path around $name");
        } else {
            $this->leaf($name, $key['at'], $value);
        }
    }

    /**
     * A list of conditions.
     *
     * @param array $list
     */
    private function conditions(array $list): void {
        if ($list['type'] !== 'array' || !$list['items']) {
            $this->source->fault($list['at'], 'expected a list of conditions');
        }
        foreach ($list['items'] as $item) {
            $this->count($item['at']);
            $this->add($item);
        }
    }

    /**
     * A test of the value at the path.
     *
     * @param string $name
     * @param int $at
     * @param array $value
     */
    private function leaf(string $name, int $at, array $value): void {
        $this->count($at);
        $trouble = path::trouble($this->keys);
        if ($trouble !== '') {
            $this->source->fault($this->pathat, $trouble);
        }
        if ($name === '$in' || $name === '$nin') {
            $this->values($value);
            return;
        }
        [$types, $told] = self::TAKES[$name];
        if (!in_array($value['type'], $types, true)) {
            $this->source->fault($value['at'], "expected $told");
        }
        if ($name === '$regex') {
            $this->regex($value);
        }
    }

    /**
     * A list of values.
     *
     * @param array $list
     */
    private function values(array $list): void {
        if ($list['type'] !== 'array' || !$list['items']) {
            $this->source->fault($list['at'], 'expected a list of texts, numbers, true, false or null');
        }
        foreach ($list['items'] as $number => $item) {
            if (in_array($item['type'], ['object', 'array'], true)) {
                $this->source->fault($item['at'], 'expected a text, a number, true, false or null');
            }
            if ($number === self::MAX_VALUES) {
                $this->source->fault($item['at'], 'a list may have ' . self::MAX_VALUES . ' values at most');
            }
        }
    }

    /**
     * A regular expression.
     *
     * @param array $value
     */
    private function regex(array $value): void {
        $pattern = $value['text'];
        if (strlen($pattern) > self::MAX_REGEX) {
            $this->source->fault($value['at'], 'the regular expression is longer than ' . self::MAX_REGEX . ' bytes');
        }
        if (preg_match('~[\x00-\x1f]~', $pattern, $found, PREG_OFFSET_CAPTURE)) {
            $this->source->fault($value['at'], 'the regular expression holds a control character at its byte ' . $found[0][1]);
        }
        preg_match('~\\\\*$~D', $pattern, $found);
        if (strlen($found[0]) % 2 === 1) {
            // It would take the delimiter with it.
            $what = 'the regular expression is wrong at its byte ' . strlen($pattern) . ': \\ at end of pattern';
            $this->source->fault($value['at'], $what);
        }
        error_clear_last();
        // A delimiter that no pattern holds.
        $result = @preg_match("\x01$pattern\x01u", '');
        $error = error_get_last()['message'] ?? '';
        if (preg_match('~Compilation failed: (.*) at offset (\d+)$~D', $error, $found)) {
            $this->source->fault($value['at'], "the regular expression is wrong at its byte $found[2]: $found[1]");
        }
        if ($result === false && $error !== '') {
            $this->source->fault($value['at'], "the regular expression is wrong: $error");
        }
        // The worker refuses what cuts characters apart.
        if (preg_match('~(?<!\\\\)(?:\\\\\\\\)*\\\\C~', $pattern, $found, PREG_OFFSET_CAPTURE)) {
            $at = $found[0][1] + strlen($found[0][0]);
            $what = "the regular expression is wrong at its byte $at: using \\C is disabled by the application";
            $this->source->fault($value['at'], $what);
        }
    }

    /**
     * One more part.
     *
     * @param int $at
     */
    private function count(int $at): void {
        if ($this->tests++ === self::MAX_TESTS) {
            $this->source->fault($at, 'a condition may have ' . self::MAX_TESTS . ' parts at most');
        }
    }
}
