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

use local_integrationhub\local\event_name;
use local_integrationhub\local\page;
use local_integrationhub\output\actions;
use local_integrationhub\rule\registry;

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/tablelib.php');

/**
 * The rules, with search, order, pages and a box for each to choose it.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class rules_table extends \table_sql {
    /** Rules of a page. */
    public const PAGE = 50;

    /** @var bool whether the user may change rules */
    private $canmanage;

    /** @var array routing keys that are bound: [serviceid][routing key] => true; null: not read yet */
    private $bound = null;

    /** @var bool whether only some rules are listed */
    private $isfiltered;

    /** @var \renderer_base */
    private $output;

    /**
     * Constructor.
     *
     * @param rules_filter $filter
     * @param bool $canmanage
     * @param \renderer_base $output
     */
    public function __construct(rules_filter $filter, bool $canmanage, \renderer_base $output) {
        parent::__construct('local_integrationhub_rules');
        $this->canmanage = $canmanage;
        $this->output = $output;
        $this->isfiltered = (bool) $filter->parameters();
        $columns = [
            'eventname' => get_string('col_event', 'local_integrationhub'),
            'servicename' => get_string('col_service', 'local_integrationhub'),
            'endpoint' => get_string('col_endpoint', 'local_integrationhub'),
            'enabled' => get_string('col_status', 'local_integrationhub'),
        ];
        if ($canmanage) {
            $all = new \core\output\checkbox_toggleall('local_integrationhub_rules', true, [
                'id' => 'ih-rules-all', 'name' => 'ih-rules-all', 'value' => 1,
                'label' => get_string('selectall'), 'labelclasses' => 'sr-only visually-hidden',
            ]);
            $actions = get_string('col_actions', 'local_integrationhub');
            $columns = ['choose' => $output->render($all)] + $columns
                + ['actions' => \html_writer::span($actions, 'sr-only visually-hidden')];
        }
        $this->define_columns(array_keys($columns));
        $this->define_headers(array_values($columns));
        $this->define_header_column('eventname');
        $this->no_sorting('choose');
        $this->no_sorting('actions');
        $this->sortable(true, 'eventname');
        $this->collapsible(false);
        $this->column_class('choose', 'local-integrationhub-choose');
        $this->column_class('servicename', 'd-none d-md-table-cell');
        $this->column_class('endpoint', 'd-none d-lg-table-cell local-integrationhub-break');
        $this->column_class('actions', 'text-right text-end');
        $this->set_attribute('id', 'ih-rules-table');
        $this->set_attribute('class', 'table local-integrationhub-table');
        [$where, $parameters] = $filter->sql();
        $this->set_sql(
            'r.*, s.name AS servicename, s.type AS servicetype, s.enabled AS serviceenabled, s.paused AS servicepaused',
            '{local_integrationhub_rules} r LEFT JOIN {local_integrationhub_svc} s ON s.id = r.serviceid',
            $where,
            $parameters
        );
        $this->define_baseurl(page::url('rules', $filter->parameters()));
    }

    /**
     * The box to choose a rule.
     *
     * @param \stdClass $rule
     * @return string HTML
     */
    public function col_choose($rule): string {
        return $this->output->render(new \core\output\checkbox_toggleall('local_integrationhub_rules', false, [
            'id' => "ih-rule-$rule->id", 'name' => 'ids[]', 'value' => $rule->id,
            // The template takes HTML.
            'label' => get_string('choose_rule', 'local_integrationhub', s($rule->eventname)),
            'labelclasses' => 'sr-only visually-hidden',
        ]));
    }

    /**
     * The event; on a phone also where it goes.
     *
     * @param \stdClass $rule
     * @return string HTML
     */
    public function col_eventname($rule): string {
        return $this->output->render_from_template('local_integrationhub/rule_event', [
            'url' => $this->canmanage ? page::url('rule', ['id' => $rule->id])->out(false) : '',
            'name' => self::event_title($rule->eventname),
            'class' => $rule->eventname,
            'service' => (string) $rule->servicename,
            'endpoint' => self::call($rule),
            'hasfilter' => trim((string) $rule->filter) !== '',
        ]);
    }

    /**
     * The service.
     *
     * @param \stdClass $rule
     * @return string HTML
     */
    public function col_servicename($rule): string {
        return s($rule->servicename ?? get_string('service_gone', 'local_integrationhub', $rule->serviceid));
    }

    /**
     * Method and endpoint.
     *
     * @param \stdClass $rule
     * @return string HTML
     */
    public function col_endpoint($rule): string {
        return s(self::call($rule));
    }

    /**
     * Whether it works, and why not.
     *
     * @param \stdClass $rule
     * @return string HTML
     */
    public function col_enabled($rule): string {
        return $this->output->render_from_template('local_integrationhub/badge', $this->state($rule));
    }

    /**
     * What can be done with a rule.
     *
     * @param \stdClass $rule
     * @return string HTML
     */
    public function col_actions($rule): string {
        $id = (int) $rule->id;
        $onoff = $rule->enabled ? 'disable' : 'enable';
        return actions::menu($this->output, get_string('actions_of', 'local_integrationhub', $rule->eventname), [
            [page::url('rule', ['id' => $id]), 'edit_action', []],
            actions::change('rule_action', $id, $onoff, $onoff),
            actions::change('rule_action', $id, 'duplicate', 'duplicate'),
            actions::change('rule_action', $id, 'delete', 'delete_action'),
        ]);
    }

    /**
     * What people call an event, or all events of a component.
     *
     * @param string $eventname
     * @return string
     */
    public static function event_title(string $eventname): string {
        if (substr($eventname, -2) === '\*') {
            $component = substr($eventname, 1, strpos($eventname, '\\', 1) - 1);
            return get_string('all_events_of', 'local_integrationhub', $component);
        }
        return registry::get_event_display_name($eventname);
    }

    /**
     * How the service is called.
     *
     * @param \stdClass $rule
     * @return string
     */
    private static function call(\stdClass $rule): string {
        $endpoint = (string) $rule->endpoint;
        return trim(($rule->servicetype === 'rest' ? $rule->http_method : '') . ' ' . ($endpoint === '' ? '/' : $endpoint));
    }

    /**
     * The state of a rule.
     *
     * @param \stdClass $rule
     * @return array of the template badge
     */
    private function state(\stdClass $rule): array {
        $badge = function (string $key, string $icon, string $class, string $note = ''): array {
            return ['text' => get_string($key, 'local_integrationhub'), 'icon' => $icon, 'class' => $class, 'note' => $note];
        };
        if (!$rule->enabled) {
            return $badge('status_disabled', 'fa-circle-o', 'secondary', (string) $rule->disabledreason);
        }
        if (!$rule->serviceenabled) {
            return $badge('status_service_disabled', 'fa-circle-o', 'secondary');
        }
        if ($rule->servicepaused) {
            return $badge('status_service_paused', 'fa-pause', 'warning');
        }
        if (!$this->is_bound($rule)) {
            return $badge('status_not_bound', 'fa-clock-o', 'warning', get_string('status_not_bound_note', 'local_integrationhub'));
        }
        return $badge('status_active', 'fa-check', 'success');
    }

    /**
     * Whether the worker fleet has bound the service's queue for the rule's event: only then does it count as active.
     *
     * @param \stdClass $rule
     * @return bool
     */
    private function is_bound(\stdClass $rule): bool {
        global $DB;
        if ($this->bound === null) {
            $this->bound = [];
            $services = array_unique(array_column(is_array($this->rawdata) ? $this->rawdata : [], 'serviceid'));
            if ($services) {
                [$in, $parameters] = $DB->get_in_or_equal($services);
                $where = "timebound IS NOT NULL AND serviceid $in";
                foreach ($DB->get_records_select('local_integrationhub_binding', $where, $parameters) as $row) {
                    $this->bound[$row->serviceid][$row->routingkey] = true;
                }
            }
        }
        return isset($this->bound[$rule->serviceid][event_name::routing_key($rule->eventname)]);
    }

    /**
     * Nothing to show: says what to do next.
     */
    public function print_nothing_to_display() {
        echo $this->output->render_from_template('local_integrationhub/norules', ['isfiltered' => $this->isfiltered]);
    }
}
