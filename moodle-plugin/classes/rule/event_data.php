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
 * The values of an event's paths: its own keys, and what is looked up.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class event_data {
    /** @var string the event's JSON, byte for byte */
    public $json;

    /** @var array the event */
    private $event;

    /** @var callable|null finds what is looked up */
    private $lookup;

    /** @var array[] what was looked up, by kind and id */
    private $known = [];

    /** Deepest event. */
    private const MAX_DEPTH = 32;

    /**
     * Constructor.
     *
     * @param string $json of the event
     * @param callable|null $lookup gets a kind (user, profile, course, cm, site) and an id; gives fields, null for nobody
     * @throws syntax_exception
     */
    public function __construct(string $json, ?callable $lookup = null) {
        $this->json = $json;
        $this->event = json_reader::read(new source($json), self::MAX_DEPTH);
        $this->lookup = $lookup;
    }

    /**
     * The value at a path.
     *
     * @param string[] $keys
     * @return array node
     */
    public function value(array $keys): array {
        $node = $this->event;
        if (isset(path::FIELDS[$keys[0]])) {
            [$kind, $id] = $this->subject($keys);
            $keys = array_slice($keys, $kind === 'profile' ? 2 : 1);
            $node = $this->found($kind, $id);
        }
        foreach ($keys as $key) {
            $node = value::member($node, $key);
        }
        return $node;
    }

    /**
     * Whom a path is about.
     *
     * @param string[] $keys
     * @return array kind and id
     */
    private function subject(array $keys): array {
        if ($keys[0] === 'site') {
            return ['site', 1];
        }
        if ($keys[0] === 'cm') {
            return ['cm', $this->number('contextlevel') === 70 ? $this->number('contextinstanceid') : 0];
        }
        $id = $this->number(['user' => 'userid', 'relateduser' => 'relateduserid', 'course' => 'courseid'][$keys[0]]);
        if ($keys[0] === 'course') {
            return ['course', $id];
        }
        return [($keys[1] ?? '') === 'profile' ? 'profile' : 'user', $id];
    }

    /**
     * A number of the event.
     *
     * @param string $key
     * @return int
     */
    private function number(string $key): int {
        return (int) value::text(value::member($this->event, $key));
    }

    /**
     * What is known of somebody or something.
     *
     * @param string $kind
     * @param int $id
     * @return array node
     */
    private function found(string $kind, int $id): array {
        if (!isset($this->known["$kind $id"])) {
            $fields = $this->lookup && $id ? ($this->lookup)($kind, $id) : null;
            $this->known["$kind $id"] = $fields === null ? value::NONE : value::of_php($fields);
        }
        return $this->known["$kind $id"];
    }
}
