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

namespace local_integrationhub\external;

use core_external\external_api;
use core_external\external_function_parameters;
use core_external\external_multiple_structure;
use core_external\external_single_structure;
use core_external\external_value;
use local_integrationhub\local\page;
use local_integrationhub\local\statistics\period;
use local_integrationhub\local\status;
use local_integrationhub\output\dashboard_page;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../externalcompat.php');

/**
 * What the dashboard shows now.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class dashboard extends external_api {
    /**
     * What it takes.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters() {
        return new external_function_parameters([
            'period' => new external_value(PARAM_ALPHANUM, 'Period', VALUE_DEFAULT, period::FIRST),
            'serviceid' => new external_value(PARAM_INT, 'Service, 0: all', VALUE_DEFAULT, 0),
        ]);
    }

    /**
     * Looks.
     *
     * @param string $period
     * @param int $serviceid
     * @return array
     */
    public static function execute($period = period::FIRST, $serviceid = 0): array {
        global $PAGE;
        $values = self::validate_parameters(self::execute_parameters(), ['period' => $period, 'serviceid' => $serviceid]);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability(page::VIEW, $context);
        \core\session\manager::write_close();
        $shown = new dashboard_page(new status(), page::can_manage(), new period($values['period']), $values['serviceid']);
        $state = $shown->regions($PAGE->get_renderer('local_integrationhub'));
        $regions = [];
        foreach ($state['regions'] as $name => $html) {
            $regions[] = ['name' => $name, 'html' => $html];
        }
        $charts = array_map(function (array $chart): array {
            return array_intersect_key($chart, ['name' => 1, 'data' => 1, 'isempty' => 1]);
        }, $state['charts']);
        return ['regions' => $regions, 'charts' => $charts, 'updated' => $state['updated']];
    }

    /**
     * What it gives.
     *
     * @return external_single_structure
     */
    public static function execute_returns() {
        return new external_single_structure([
            'regions' => new external_multiple_structure(new external_single_structure([
                'name' => new external_value(PARAM_RAW, 'Part of the page'),
                'html' => new external_value(PARAM_RAW, 'What it shows'),
            ])),
            'charts' => new external_multiple_structure(new external_single_structure([
                'name' => new external_value(PARAM_RAW, 'Name'),
                'data' => new external_value(PARAM_RAW, 'Chart, as core\'s chart API writes it'),
                'isempty' => new external_value(PARAM_BOOL, 'Whether there is nothing to draw'),
            ])),
            'updated' => new external_value(PARAM_RAW, 'Time of day'),
        ]);
    }
}
