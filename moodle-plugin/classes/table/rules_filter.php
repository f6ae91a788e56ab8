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
 * Which rules are listed.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class rules_filter {
    /** @var string part of the event's name, the endpoint or the service's name */
    public $search;

    /** @var int service; 0: any */
    public $serviceid;

    /** @var string enabled, disabled or '' for both */
    public $state;

    /**
     * Constructor.
     *
     * @param string $search
     * @param int $serviceid
     * @param string $state
     */
    public function __construct(string $search = '', int $serviceid = 0, string $state = '') {
        $this->search = trim($search);
        $this->serviceid = $serviceid;
        $this->state = in_array($state, ['enabled', 'disabled'], true) ? $state : '';
    }

    /**
     * The filter of this page's address.
     *
     * @return self
     */
    public static function of_page(): self {
        return new self(
            optional_param('search', '', PARAM_RAW_TRIMMED),
            optional_param('serviceid', 0, PARAM_INT),
            optional_param('state', '', PARAM_ALPHA)
        );
    }

    /**
     * Parameters of the page's address.
     *
     * @return array
     */
    public function parameters(): array {
        return array_filter(['search' => $this->search, 'serviceid' => $this->serviceid, 'state' => $this->state]);
    }

    /**
     * The condition of a query; r is the rules' table, s the services'.
     *
     * @return array SQL and parameters
     */
    public function sql(): array {
        global $DB;
        $where = ['1 = 1'];
        $parameters = [];
        if ($this->search !== '') {
            $any = [];
            foreach (['r.eventname', 'r.endpoint', 's.name'] as $number => $column) {
                $any[] = $DB->sql_like($column, ":search$number", false);
                // A backslash is the escape character of LIKE, and part of every event's name.
                $parameters["search$number"] = '%' . $DB->sql_like_escape(str_replace('\\', '\\\\', $this->search)) . '%';
            }
            $where[] = '(' . implode(' OR ', $any) . ')';
        }
        if ($this->serviceid) {
            $where[] = 'r.serviceid = :serviceid';
            $parameters['serviceid'] = $this->serviceid;
        }
        if ($this->state !== '') {
            $where[] = 'r.enabled = :enabled';
            $parameters['enabled'] = (int) ($this->state === 'enabled');
        }
        return [implode(' AND ', $where), $parameters];
    }
}
