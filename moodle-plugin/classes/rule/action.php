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
 * What can be done with one rule or several besides editing them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class action {
    /** All actions. */
    public const ALL = ['enable', 'disable', 'duplicate', 'delete'];

    /** Fields of a rule that its copy gets. */
    private const COPIED = ['eventname', 'serviceid', 'endpoint', 'http_method', 'payload_template', 'filter'];

    /** @var \stdClass[] the rules */
    private $rules = [];

    /** @var string what is to be done */
    public $name;

    /**
     * Constructor.
     *
     * @param int[] $ids of the rules; those that are gone are left out
     * @param string $name of the action
     * @throws \moodle_exception when there is no such action, or no rule
     */
    public function __construct(array $ids, string $name) {
        global $DB;
        if (!in_array($name, self::ALL, true)) {
            throw new \moodle_exception('invalidaction', 'error');
        }
        $this->rules = $ids ? $DB->get_records_list(registry::TABLE, 'id', $ids, 'eventname, id') : [];
        if (!$this->rules) {
            throw new \moodle_exception('error_no_rule_chosen', 'local_integrationhub');
        }
        $this->name = $name;
    }

    /**
     * The ids of the rules.
     *
     * @return int[]
     */
    public function ids(): array {
        return array_map('intval', array_keys($this->rules));
    }

    /**
     * Does it.
     *
     * @return string what to tell the user
     */
    public function perform(): string {
        foreach ($this->rules as $rule) {
            $this->perform_on($rule);
        }
        return get_string("rule_{$this->name}_done", 'local_integrationhub', count($this->rules));
    }

    /**
     * Does it with one rule.
     *
     * @param \stdClass $rule
     */
    private function perform_on(\stdClass $rule): void {
        if ($this->name === 'delete') {
            registry::delete_rule((int) $rule->id);
        } else if ($this->name === 'duplicate') {
            $copy = array_intersect_key((array) $rule, array_fill_keys(self::COPIED, 1));
            registry::create_rule((object) (['enabled' => 0] + $copy));
        } else {
            registry::update_rule((int) $rule->id, (object) ['enabled' => (int) ($this->name === 'enable')]);
        }
    }

    /**
     * What the user is asked before.
     *
     * @return array of the template question
     */
    public function question(): array {
        $names = array_map(function (\stdClass $rule): string {
            return $rule->eventname . ($rule->endpoint ? " → $rule->endpoint" : '');
        }, array_values($this->rules));
        if ($this->name === 'delete') {
            $names[] = get_string('rule_delete_dead', 'local_integrationhub');
        }
        return [
            'question' => get_string("rule_{$this->name}_question", 'local_integrationhub', count($this->rules)),
            'consequences' => $names,
        ];
    }
}
