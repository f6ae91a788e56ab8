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
use local_integrationhub\local\service_fields;
use local_integrationhub\service\registry;
use local_integrationhub\service\wsdl_operations as reader;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../externalcompat.php');

/**
 * The operations of a WSDL, for the forms of services and rules.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class wsdl_operations extends external_api {
    /**
     * What it takes.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters() {
        return new external_function_parameters([
            'url' => new external_value(PARAM_RAW_TRIMMED, 'Address of the WSDL; empty: that of the service', VALUE_DEFAULT, ''),
            'serviceid' => new external_value(PARAM_INT, 'Service whose credentials are used at its own address', VALUE_DEFAULT, 0),
        ]);
    }

    /**
     * Fetches the WSDL.
     *
     * @param string $url
     * @param int $serviceid
     * @return array
     */
    public static function execute($url = '', $serviceid = 0): array {
        $parameters = self::validate_parameters(self::execute_parameters(), ['url' => $url, 'serviceid' => $serviceid]);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability(page::MANAGE, $context);
        try {
            return ['error' => '', 'operations' => self::operations($parameters['url'], $parameters['serviceid'])];
        } catch (\moodle_exception $e) {
            return ['error' => $e->getMessage(), 'operations' => []];
        }
    }

    /**
     * The operations; a service's credentials go to its own address only.
     *
     * @param string $url
     * @param int $serviceid
     * @return string[]
     */
    private static function operations(string $url, int $serviceid): array {
        $service = $serviceid ? registry::get_service_by_id($serviceid) : null;
        $url = $url === '' && $service ? $service->base_url : $url;
        service_fields::validate_url($url, 'soap');
        return reader::of_url($url, $service && $service->base_url === $url ? $service : null);
    }

    /**
     * What it gives.
     *
     * @return external_single_structure
     */
    public static function execute_returns() {
        return new external_single_structure([
            'error' => new external_value(PARAM_RAW, 'Why there are none; empty when there are'),
            'operations' => new external_multiple_structure(new external_value(PARAM_RAW, 'Name of an operation')),
        ]);
    }
}
