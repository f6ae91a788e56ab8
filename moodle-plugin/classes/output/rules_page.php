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

namespace local_integrationhub\output;

use core\output\named_templatable;
use local_integrationhub\local\page;
use local_integrationhub\rule\action;
use local_integrationhub\service\registry as services;
use local_integrationhub\table\rules_filter;
use local_integrationhub\table\rules_table;

/**
 * The list of rules.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class rules_page implements named_templatable, \renderable {
    /** @var rules_filter */
    private $filter;

    /** @var bool whether the user may change rules */
    private $canmanage;

    /**
     * Constructor.
     *
     * @param rules_filter $filter
     * @param bool $canmanage
     */
    public function __construct(rules_filter $filter, bool $canmanage) {
        $this->filter = $filter;
        $this->canmanage = $canmanage;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/rules';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $services = services::get_all_services();
        $option = function (string $value, string $name, string $current): array {
            return ['value' => $value, 'name' => $name, 'selected' => $value === $current];
        };
        $states = [];
        foreach (['' => 'state_any', 'enabled' => 'state_enabled', 'disabled' => 'state_disabled'] as $value => $key) {
            $states[] = $option((string) $value, get_string($key, 'local_integrationhub'), $this->filter->state);
        }
        $table = new rules_table($this->filter, $this->canmanage, $output);
        ob_start();
        $table->out(rules_table::PAGE, false);
        $html = ob_get_clean();
        $any = [$option('0', get_string('service_any', 'local_integrationhub'), (string) $this->filter->serviceid)];
        return [
            'canadd' => $this->canmanage && $services,
            'noservices' => !$services,
            'servicesurl' => page::url('services')->out(false),
            'addurl' => page::url('rule', array_filter(['serviceid' => $this->filter->serviceid]))->out(false),
            'url' => page::url('rules')->out(false),
            'search' => $this->filter->search,
            'services' => array_merge($any, array_map(function (\stdClass $service) use ($option): array {
                return $option((string) $service->id, $service->name, (string) $this->filter->serviceid);
            }, array_values($services))),
            'states' => $states,
            'isfiltered' => (bool) $this->filter->parameters(),
            'table' => $html,
            'bulk' => $this->canmanage && $table->totalrows > 0,
            'bulkurl' => page::url('rule_action')->out(false),
            'sesskey' => sesskey(),
            'actions' => array_map(function (string $name) use ($option): array {
                return $option($name, get_string($name === 'delete' ? 'delete_action' : $name, 'local_integrationhub'), '');
            }, action::ALL),
        ];
    }
}
