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

namespace local_integrationhub\table;

/**
 * Which dead letters are listed, and which of them a replay is to take.
 *
 * The replayer knows fewer conditions than the list: letters that are chosen by others are asked for one by one.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class dead_filter {
    /** States of a letter. */
    public const STATES = ['dead', 'replayed', 'delivered', 'discarded', 'dropped'];

    /** Parameters of the page's address: type. */
    private const PARAMETERS = [
        'serviceid' => PARAM_INT, 'ruleid' => PARAM_INT, 'eventname' => PARAM_RAW_TRIMMED, 'reason' => PARAM_RAW_TRIMMED,
        'status' => PARAM_INT, 'userid' => PARAM_INT, 'courseid' => PARAM_INT, 'from' => PARAM_RAW_TRIMMED,
        'to' => PARAM_RAW_TRIMMED, 'text' => PARAM_RAW_TRIMMED, 'state' => PARAM_ALPHA,
    ];

    /** Most characters of the texts that a replay can be told. */
    private const MAXTEXT = 255;

    /** @var array values by parameter; what does not matter is missing */
    public $values = [];

    /**
     * Constructor.
     *
     * @param array $values by parameter; state: one of STATES, any, or missing for dead
     */
    public function __construct(array $values = []) {
        foreach (array_intersect_key($values, self::PARAMETERS) as $name => $value) {
            $value = is_string($value) ? trim($value) : (int) $value;
            $isdate = in_array($name, ['from', 'to'], true);
            if ($value !== '' && $value !== 0 && (!$isdate || self::day((string) $value) !== null)) {
                $this->values[$name] = $value;
            }
        }
        $others = array_merge(array_diff(self::STATES, ['dead']), ['any']);
        if (!in_array($this->values['state'] ?? '', $others, true)) {
            unset($this->values['state']);
        }
    }

    /**
     * The filter of this page's address.
     *
     * @return self
     */
    public static function of_page(): self {
        $values = [];
        foreach (self::PARAMETERS as $name => $type) {
            $values[$name] = optional_param($name, '', $type);
        }
        return new self($values);
    }

    /**
     * The state of the letters: one of STATES or any.
     *
     * @return string
     */
    public function state(): string {
        return $this->values['state'] ?? 'dead';
    }

    /**
     * The condition of a query; d is the table of dead letters.
     *
     * @return array SQL and parameters
     */
    public function sql(): array {
        global $DB;
        $where = ['1 = 1'];
        $parameters = [];
        foreach (['serviceid' => 'serviceid', 'ruleid' => 'ruleid', 'status' => 'http_status'] as $name => $column) {
            if (isset($this->values[$name])) {
                $where[] = "d.$column = :$name";
                $parameters[$name] = $this->values[$name];
            }
        }
        if ($this->state() !== 'any') {
            $where[] = 'd.state = :state';
            $parameters['state'] = $this->state();
        }
        foreach (['from' => '>=', 'to' => '<='] as $name => $operator) {
            if (isset($this->values[$name])) {
                $where[] = "d.timecreated $operator :time$name";
                $parameters["time$name"] = $this->time($name);
            }
        }
        $this->add_eventname($where, $parameters);
        $this->add_texts($where, $parameters);
        foreach (['userid' => '(related|real)?userid', 'courseid' => 'courseid'] as $name => $keys) {
            if (isset($this->values[$name])) {
                $where[] = 'd.payload ' . $DB->sql_regex() . " :$name";
                $parameters[$name] = "\"$keys\": ?\"?{$this->values[$name]}\"?[,}]";
            }
        }
        return [implode(' AND ', $where), $parameters];
    }

    /**
     * How many letters it lets pass.
     *
     * @return int
     */
    public function count(): int {
        global $DB;
        [$where, $parameters] = $this->sql();
        return $DB->count_records_sql("SELECT COUNT(*) FROM {local_integrationhub_dlq} d WHERE $where", $parameters);
    }

    /**
     * Whether the replayer can be told the same: then one request takes them all.
     *
     * @return bool
     */
    public function is_exact(): bool {
        $others = array_diff_key($this->values, array_fill_keys(['serviceid', 'ruleid', 'eventname', 'reason', 'from', 'to'], 1));
        $texts = [$this->values['eventname'] ?? '', $this->values['reason'] ?? ''];
        return !$others && max(array_map(['core_text', 'strlen'], $texts)) <= self::MAXTEXT;
    }

    /**
     * What the replayer is told.
     *
     * @return array columns of the table of replays
     */
    public function columns(): array {
        return [
            'serviceid' => $this->values['serviceid'] ?? null,
            'ruleid' => $this->values['ruleid'] ?? null,
            'eventname' => $this->values['eventname'] ?? null,
            'reason' => $this->values['reason'] ?? null,
            'timefrom' => isset($this->values['from']) ? $this->time('from') : null,
            'timeto' => isset($this->values['to']) ? $this->time('to') : null,
        ];
    }

    /**
     * The condition for the event's name; an asterisk at its end stands for anything.
     *
     * @param string[] $where
     * @param array $parameters
     */
    private function add_eventname(array &$where, array &$parameters): void {
        global $DB;
        $name = $this->values['eventname'] ?? '';
        if ($name === '') {
            return;
        }
        if (substr($name, -1) === '*') {
            $where[] = $DB->sql_like('d.eventname', ':eventname');
            $parameters['eventname'] = self::escaped(substr($name, 0, -1)) . '%';
        } else {
            $where[] = 'd.eventname = :eventname';
            $parameters['eventname'] = $name;
        }
    }

    /**
     * The conditions for what is searched for in texts.
     *
     * @param string[] $where
     * @param array $parameters
     */
    private function add_texts(array &$where, array &$parameters): void {
        global $DB;
        $columns = ['reason' => ['error_message'], 'text' => ['payload', 'response', 'endpoint', 'messageid', 'error_message']];
        foreach (array_intersect_key($columns, $this->values) as $name => $columns) {
            $any = [];
            foreach ($columns as $number => $column) {
                $any[] = $DB->sql_like("d.$column", ":$name$number", false);
                $parameters["$name$number"] = '%' . self::escaped($this->values[$name]) . '%';
            }
            $where[] = '(' . implode(' OR ', $any) . ')';
        }
    }

    /**
     * A text as a part of a pattern; a backslash is the escape character of LIKE, and part of every event's name.
     *
     * @param string $text
     * @return string
     */
    private static function escaped(string $text): string {
        global $DB;
        return $DB->sql_like_escape(str_replace('\\', '\\\\', $text));
    }

    /**
     * The first or last second of a day.
     *
     * @param string $name from or to
     * @return int
     */
    private function time(string $name): int {
        $day = self::day($this->values[$name]);
        return $name === 'from' ? $day->getTimestamp() : $day->modify('+1 day')->getTimestamp() - 1;
    }

    /**
     * The beginning of a day of the user's.
     *
     * @param string $text year-month-day
     * @return \DateTimeImmutable|null null: it is none
     */
    private static function day(string $text): ?\DateTimeImmutable {
        $day = \DateTimeImmutable::createFromFormat('!Y-m-d', $text, \core_date::get_user_timezone_object());
        return $day && $day->format('Y-m-d') === $text ? $day : null;
    }
}
