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
use local_integrationhub\local\config;
use local_integrationhub\local\page;
use local_integrationhub\service\registry as services;
use local_integrationhub\table\log_filter;
use local_integrationhub\table\log_table;

/**
 * The log of what was sent and what came in, with search.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class events_page implements named_templatable, \renderable {
    /** @var log_filter */
    private $filter;

    /**
     * Constructor.
     *
     * @param log_filter $filter
     */
    public function __construct(log_filter $filter) {
        $this->filter = $filter;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/events';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $table = new log_table($this->filter, $output);
        ob_start();
        $table->out(max(1, config::number('latest_events_limit')), false);
        $html = ob_get_clean();
        $values = $this->filter->values;
        $outcomes = ['' => get_string('outcome_any', 'local_integrationhub')];
        foreach (log_filter::OUTCOMES as $outcome) {
            $outcomes[$outcome] = get_string("outcome_$outcome", 'local_integrationhub');
        }
        $directions = ['' => get_string('direction_any', 'local_integrationhub')];
        foreach (['outbound', 'inbound'] as $direction) {
            $directions[$direction] = get_string("direction_$direction", 'local_integrationhub');
        }
        $names = ['' => get_string('service_any', 'local_integrationhub')];
        $names += array_column(services::get_all_services(), 'name', 'id');
        return [
            'url' => page::url('events')->out(false),
            'search' => $values['search'] ?? '',
            'services' => self::options($names, $values['serviceid'] ?? ''),
            'outcomes' => self::options($outcomes, $values['outcome'] ?? ''),
            'directions' => self::options($directions, $values['direction'] ?? ''),
            'isfiltered' => (bool) $values,
            'table' => $html,
        ];
    }

    /**
     * Choices of a list.
     *
     * @param string[] $names by value
     * @param string|int $current
     * @return array
     */
    private static function options(array $names, $current): array {
        $options = [];
        foreach ($names as $value => $name) {
            $options[] = ['value' => $value, 'name' => $name, 'selected' => (string) $value === (string) $current];
        }
        return $options;
    }
}
