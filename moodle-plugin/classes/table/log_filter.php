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
 * Which requests of the log are listed.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class log_filter {
    /** Ways of a request to end. */
    public const OUTCOMES = ['delivered', 'failed', 'retry', 'dead'];

    /** Parameters of the page's address: type. */
    private const PARAMETERS = [
        'search' => PARAM_RAW_TRIMMED, 'serviceid' => PARAM_INT, 'ruleid' => PARAM_INT, 'outcome' => PARAM_ALPHA,
        'direction' => PARAM_ALPHA,
    ];

    /** @var array values by parameter; what does not matter is missing */
    public $values = [];

    /**
     * Constructor.
     *
     * @param array $values by parameter
     */
    public function __construct(array $values = []) {
        $this->values = array_filter(array_intersect_key($values, self::PARAMETERS));
        if (!in_array($this->values['outcome'] ?? '', self::OUTCOMES, true)) {
            unset($this->values['outcome']);
        }
        if (!in_array($this->values['direction'] ?? '', ['inbound', 'outbound'], true)) {
            unset($this->values['direction']);
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
            $values[$name] = optional_param($name, $type === PARAM_INT ? 0 : '', $type);
        }
        return new self($values);
    }

    /**
     * The condition of a query; l is the log.
     *
     * @return array SQL and parameters
     */
    public function sql(): array {
        global $DB;
        $where = ['1 = 1'];
        $parameters = [];
        foreach (['serviceid', 'ruleid', 'direction'] as $name) {
            if (isset($this->values[$name])) {
                $where[] = "l.$name = :$name";
                $parameters[$name] = $this->values[$name];
            }
        }
        $outcome = $this->values['outcome'] ?? '';
        if ($outcome === 'delivered' || $outcome === 'failed') {
            $where[] = 'l.success = ' . (int) ($outcome === 'delivered');
        } else if ($outcome !== '') {
            $where[] = 'l.outcome = :outcome';
            $parameters['outcome'] = $outcome;
        }
        if (isset($this->values['search'])) {
            $any = [];
            foreach (['eventname', 'endpoint', 'messageid', 'error_message'] as $number => $column) {
                $any[] = $DB->sql_like("l.$column", ":search$number", false);
                // A backslash is the escape character of LIKE, and part of every event's name.
                $text = str_replace('\\', '\\\\', $this->values['search']);
                $parameters["search$number"] = '%' . $DB->sql_like_escape($text) . '%';
            }
            $where[] = '(' . implode(' OR ', $any) . ')';
        }
        return [implode(' AND ', $where), $parameters];
    }
}
