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
 * Whether a condition is true for an event, as the worker decides it, for previews. The condition must have been checked before.
 *
 * The worker's rules are told in its dispatcher/condition.h; tests/cases is decided by both.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class matcher {
    /** Bytes of a text that a regular expression looks at. */
    private const REGEX_TEXT = 4096;

    /** Steps of a regular expression. */
    private const REGEX_STEPS = '100000';

    /** Deepest condition. */
    private const MAX_DEPTH = 32;

    /** @var array|null the condition; null takes every event */
    private $root = null;

    /** @var event_data */
    private $data;

    /**
     * Constructor.
     *
     * @param string|null $condition
     */
    public function __construct(?string $condition) {
        if (!condition::is_none($condition)) {
            $this->root = json_reader::read(new source((string) $condition), self::MAX_DEPTH);
        }
    }

    /**
     * Whether the event is wanted.
     *
     * @param event_data $data
     * @return bool
     * @throws syntax_exception when a regular expression takes too long
     */
    public function matches(event_data $data): bool {
        $this->data = $data;
        return $this->root === null || $this->is_true($this->root, []);
    }

    /**
     * Whether a part of the condition is true.
     *
     * @param array $node
     * @param string[] $keys the path around it
     * @return bool
     */
    private function is_true(array $node, array $keys): bool {
        if ($node['type'] !== 'object') {
            return $this->leaf('$eq', $node, $keys);
        }
        foreach ($node['members'] as [$key, $value]) {
            $name = $key['text'];
            $istrue = $name[0] === '$' ? $this->operator($name, $value, $keys)
                : $this->is_true($value, array_merge($keys, explode('.', $name)));
            if (!$istrue) {
                return false;
            }
        }
        return true;
    }

    /**
     * Whether an operator says yes.
     *
     * @param string $name
     * @param array $value
     * @param string[] $keys
     * @return bool
     */
    private function operator(string $name, array $value, array $keys): bool {
        if ($name === '$not') {
            return !$this->is_true($value, $keys);
        }
        if ($name !== '$and' && $name !== '$or') {
            return $this->leaf($name, $value, $keys);
        }
        foreach ($value['items'] as $item) {
            if ($this->is_true($item, $keys) === ($name === '$or')) {
                return $name === '$or';
            }
        }
        return $name === '$and';
    }

    /**
     * Whether the value at a path passes a test.
     *
     * @param string $name
     * @param array $value
     * @param string[] $keys
     * @return bool
     */
    private function leaf(string $name, array $value, array $keys): bool {
        $found = $this->data->value($keys);
        switch ($name) {
            case '$eq':
            case '$neq':
                return self::equal($found, $value) === ($name === '$eq');
            case '$in':
            case '$nin':
                return self::is_among($found, $value['items']) === ($name === '$in');
            case '$exist':
                return ($found['type'] !== 'null') === ($value['type'] === 'true');
            case '$startsWith':
            case '$endsWith':
            case '$regex':
                return in_array($found['type'], ['string', 'number'], true) && self::text_test($name, $found['text'], $value);
        }
        $order = self::order($found, $value);
        $wanted = ['$gt' => [1], '$gte' => [0, 1], '$lt' => [-1], '$lte' => [-1, 0]][$name];
        return $order !== null && in_array($order, $wanted, true);
    }

    /**
     * Whether two values are equal.
     *
     * @param array $one
     * @param array $other
     * @return bool
     */
    private static function equal(array $one, array $other): bool {
        $types = [$one['type'], $other['type']];
        if ($types === ['string', 'string']) {
            return $one['text'] === $other['text'];
        }
        if (in_array('number', $types, true)) {
            return self::is_number($one) && self::is_number($other) && value::compare_numbers($one['text'], $other['text']) === 0;
        }
        return $types[0] === $types[1] && in_array($types[0], ['null', 'true', 'false'], true);
    }

    /**
     * Whether a value is equal to one of a list.
     *
     * @param array $value
     * @param array[] $list
     * @return bool
     */
    private static function is_among(array $value, array $list): bool {
        foreach ($list as $item) {
            if (self::equal($value, $item)) {
                return true;
            }
        }
        return false;
    }

    /**
     * The order of two values.
     *
     * @param array $one
     * @param array $other
     * @return int|null -1, 0 or 1; null when there is none
     */
    private static function order(array $one, array $other): ?int {
        if (self::is_number($one) && self::is_number($other)) {
            return value::compare_numbers($one['text'], $other['text']);
        }
        return [$one['type'], $other['type']] === ['string', 'string'] ? strcmp($one['text'], $other['text']) <=> 0 : null;
    }

    /**
     * Whether a value is a number, or a text that is one.
     *
     * @param array $node
     * @return bool
     */
    private static function is_number(array $node): bool {
        return $node['type'] === 'number' || $node['type'] === 'string' && number::is_number($node['text']);
    }

    /**
     * Whether a text passes a test.
     *
     * @param string $name
     * @param string $text
     * @param array $value
     * @return bool
     */
    private static function text_test(string $name, string $text, array $value): bool {
        $part = $value['text'];
        if ($name === '$startsWith') {
            return strncmp($text, $part, strlen($part)) === 0;
        }
        if ($name === '$endsWith') {
            return $part === '' || substr($text, -strlen($part)) === $part;
        }
        if (strlen($text) > self::REGEX_TEXT) {
            throw new syntax_exception('the text is too long for a regular expression');
        }
        $before = [ini_set('pcre.backtrack_limit', self::REGEX_STEPS), ini_set('pcre.jit', '0')];
        $found = @preg_match("\x01$part\x01u", $text);
        ini_set('pcre.backtrack_limit', $before[0]);
        ini_set('pcre.jit', $before[1]);
        if ($found === false) {
            throw new syntax_exception('the regular expression takes too long on this text');
        }
        return $found === 1;
    }
}
