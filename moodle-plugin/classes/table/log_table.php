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

use local_integrationhub\local\page;
use local_integrationhub\output\badges;

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/tablelib.php');

/**
 * The log of requests, the latest first.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class log_table extends \table_sql {
    /** @var bool whether only some are listed */
    private $isfiltered;

    /** @var \renderer_base */
    private $output;

    /**
     * Constructor.
     *
     * @param log_filter $filter
     * @param \renderer_base $output
     */
    public function __construct(log_filter $filter, \renderer_base $output) {
        parent::__construct('local_integrationhub_log');
        $this->output = $output;
        $this->isfiltered = (bool) $filter->values;
        $columns = [
            'timecreated' => 'col_time', 'eventname' => 'col_event', 'servicename' => 'col_service', 'success' => 'col_status',
            'latency_ms' => 'col_latency_ms', 'attempt_count' => 'col_attempts',
        ];
        $this->define_columns(array_keys($columns));
        $this->define_headers(array_map(function (string $key): string {
            return get_string($key, 'local_integrationhub');
        }, array_values($columns)));
        $this->define_header_column('timecreated');
        $this->sortable(true, 'timecreated', SORT_DESC);
        $this->collapsible(false);
        $this->column_class('eventname', 'local-integrationhub-break local-integrationhub-wide');
        $this->column_class('servicename', 'd-none d-md-table-cell');
        $this->column_class('latency_ms', 'd-none d-lg-table-cell');
        $this->column_class('attempt_count', 'd-none d-lg-table-cell');
        $this->set_attribute('id', 'ih-log-table');
        $this->set_attribute('class', 'table local-integrationhub-table');
        [$where, $parameters] = $filter->sql();
        $this->set_sql(
            'l.*, s.name AS servicename',
            '{local_integrationhub_log} l LEFT JOIN {local_integrationhub_svc} s ON s.id = l.serviceid',
            $where,
            $parameters
        );
        $this->define_baseurl(page::url('events', $filter->values));
    }

    /**
     * When.
     *
     * @param \stdClass $row
     * @return string HTML
     */
    public function col_timecreated($row): string {
        $when = userdate($row->timecreated, get_string('strftimedatetimeshortaccurate', 'langconfig'));
        if ((string) $row->messageid === '') {
            return $when;
        }
        return \html_writer::link(page::url('trace', ['messageid' => $row->messageid]), $when);
    }

    /**
     * The event and the request.
     *
     * @param \stdClass $row
     * @return string HTML
     */
    public function col_eventname($row): string {
        $isinbound = $row->direction === 'inbound';
        return $this->output->render_from_template('local_integrationhub/log_event', [
            'name' => (string) $row->eventname === '' ? '' : rules_table::event_title($row->eventname),
            'class' => (string) $row->eventname,
            'call' => $isinbound ? $row->endpoint : trim("$row->http_method $row->endpoint"),
            'isinbound' => $isinbound,
            'service' => self::service($row),
        ]);
    }

    /**
     * The service.
     *
     * @param \stdClass $row
     * @return string HTML
     */
    public function col_servicename($row): string {
        return s(self::service($row));
    }

    /**
     * How it ended.
     *
     * @param \stdClass $row
     * @return string HTML
     */
    public function col_success($row): string {
        return $this->output->render_from_template('local_integrationhub/log_outcome', [
            'outcome' => badges::outcome($row),
            'status' => (int) $row->http_status ?: '',
            'error' => (string) $row->error_message,
        ]);
    }

    /**
     * The service's name.
     *
     * @param \stdClass $row
     * @return string
     */
    private static function service(\stdClass $row): string {
        return $row->servicename ?? get_string('service_gone', 'local_integrationhub', $row->serviceid);
    }

    /**
     * Nothing to show: says why.
     */
    public function print_nothing_to_display() {
        $key = $this->isfiltered ? 'no_events_found' : 'no_events_logged';
        echo $this->output->render_from_template('local_integrationhub/note', ['text' => get_string($key, 'local_integrationhub')]);
    }
}
