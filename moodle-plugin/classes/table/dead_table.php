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
 * Dead letters, the latest first, with a box for each to choose it.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class dead_table extends \table_sql {
    /** Letters of a page. */
    public const PAGE = 50;

    /** Most characters of a reason in the list. */
    private const MAXREASON = 160;

    /** @var bool whether only some are listed */
    private $isfiltered;

    /** @var \renderer_base */
    private $output;

    /**
     * Constructor.
     *
     * @param dead_filter $filter
     * @param bool $canreplay
     * @param \renderer_base $output
     */
    public function __construct(dead_filter $filter, bool $canreplay, \renderer_base $output) {
        parent::__construct('local_integrationhub_dead');
        $this->output = $output;
        $this->isfiltered = (bool) $filter->values;
        $columns = [
            'timecreated' => get_string('col_died', 'local_integrationhub'),
            'eventname' => get_string('col_event', 'local_integrationhub'),
            'error_message' => get_string('col_reason', 'local_integrationhub'),
            'attempts' => get_string('col_attempts', 'local_integrationhub'),
            'state' => get_string('col_status', 'local_integrationhub'),
        ];
        if ($canreplay && $filter->state() === 'dead') {
            $all = new \core\output\checkbox_toggleall('local_integrationhub_dead', true, [
                'id' => 'ih-dead-all', 'name' => 'ih-dead-all', 'value' => 1,
                'label' => get_string('selectall'), 'labelclasses' => 'sr-only visually-hidden',
            ]);
            $columns = ['choose' => $output->render($all)] + $columns;
        }
        $this->define_columns(array_keys($columns));
        $this->define_headers(array_values($columns));
        $this->define_header_column('timecreated');
        $this->no_sorting('choose');
        $this->no_sorting('error_message');
        $this->sortable(true, 'timecreated', SORT_DESC);
        $this->collapsible(false);
        $this->column_class('choose', 'local-integrationhub-choose');
        $this->column_class('error_message', 'd-none d-md-table-cell local-integrationhub-break');
        $this->column_class('attempts', 'd-none d-lg-table-cell');
        $this->set_attribute('id', 'ih-dead-table');
        $this->set_attribute('class', 'table local-integrationhub-table');
        [$where, $parameters] = $filter->sql();
        $this->set_sql(
            'd.id, d.eventname, d.serviceid, d.ruleid, d.messageid, d.error_message, d.attempts, d.state, d.timecreated,
             s.name AS servicename',
            '{local_integrationhub_dlq} d LEFT JOIN {local_integrationhub_svc} s ON s.id = d.serviceid',
            $where,
            $parameters
        );
        $this->define_baseurl(page::url('queue', $filter->values));
    }

    /**
     * The box to choose a letter.
     *
     * @param \stdClass $letter
     * @return string HTML
     */
    public function col_choose($letter): string {
        return $this->output->render(new \core\output\checkbox_toggleall('local_integrationhub_dead', false, [
            'id' => "ih-letter-$letter->id", 'name' => 'ids[]', 'value' => $letter->id,
            // The template takes HTML; an event's name is whatever a message says it is.
            'label' => get_string('choose_letter', 'local_integrationhub', s("$letter->eventname $letter->id")),
            'labelclasses' => 'sr-only visually-hidden',
        ]));
    }

    /**
     * When it was given up, with the way to all about it.
     *
     * @param \stdClass $letter
     * @return string HTML
     */
    public function col_timecreated($letter): string {
        $when = userdate($letter->timecreated, get_string('strftimedatetimeshortaccurate', 'langconfig'));
        return \html_writer::link(page::url('letter', ['id' => $letter->id]), $when);
    }

    /**
     * The event, and where it should have gone; on a phone also why it did not.
     *
     * @param \stdClass $letter
     * @return string HTML
     */
    public function col_eventname($letter): string {
        return $this->output->render_from_template('local_integrationhub/letter_event', [
            'name' => rules_table::event_title($letter->eventname),
            'class' => $letter->eventname,
            'service' => $letter->servicename ?? get_string('service_gone', 'local_integrationhub', $letter->serviceid),
            'ruleid' => (int) $letter->ruleid,
            'reason' => self::reason($letter),
        ]);
    }

    /**
     * Why it was given up.
     *
     * @param \stdClass $letter
     * @return string HTML
     */
    public function col_error_message($letter): string {
        return s(self::reason($letter));
    }

    /**
     * What became of it.
     *
     * @param \stdClass $letter
     * @return string HTML
     */
    public function col_state($letter): string {
        return $this->output->render_from_template('local_integrationhub/badge', badges::letter($letter->state));
    }

    /**
     * The reason, shortened.
     *
     * @param \stdClass $letter
     * @return string
     */
    private static function reason(\stdClass $letter): string {
        return shorten_text((string) $letter->error_message, self::MAXREASON, true);
    }

    /**
     * Nothing to show: says why.
     */
    public function print_nothing_to_display() {
        $key = $this->isfiltered ? 'no_dlq_items_found' : 'no_dlq_items';
        echo $this->output->render_from_template('local_integrationhub/note', ['text' => get_string($key, 'local_integrationhub')]);
    }
}
