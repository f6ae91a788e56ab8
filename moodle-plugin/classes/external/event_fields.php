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
use local_integrationhub\local\event_name;
use local_integrationhub\local\page;
use local_integrationhub\rule\event_list;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../externalcompat.php');

/**
 * The paths that a template or a condition may use for an event.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class event_fields extends external_api {
    /**
     * What it takes.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters() {
        return new external_function_parameters([
            'eventname' => new external_value(PARAM_RAW_TRIMMED, 'Event class or wildcard'),
        ]);
    }

    /**
     * Lists the paths.
     *
     * @param string $eventname
     * @return array
     */
    public static function execute($eventname): array {
        $parameters = self::validate_parameters(self::execute_parameters(), ['eventname' => $eventname]);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability(page::MANAGE, $context);
        $name = event_name::normalise($parameters['eventname']);
        return ['groups' => $name === null ? [] : event_list::fields($name)];
    }

    /**
     * What it gives.
     *
     * @return external_single_structure
     */
    public static function execute_returns() {
        return new external_single_structure([
            'groups' => new external_multiple_structure(new external_single_structure([
                'name' => new external_value(PARAM_RAW, 'What the paths are about'),
                'fields' => new external_multiple_structure(new external_single_structure([
                    'path' => new external_value(PARAM_RAW, 'Path'),
                    'example' => new external_value(PARAM_RAW, 'Its value in the latest event, as JSON; empty when there is none'),
                ])),
            ])),
        ]);
    }
}
