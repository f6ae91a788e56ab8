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
use core_external\external_single_structure;
use core_external\external_value;
use local_integrationhub\local\page;
use local_integrationhub\rule\test_send as sender;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../externalcompat.php');

/**
 * Has a worker send the latest event by a rule.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class test_send extends external_api {
    /**
     * What it takes.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters() {
        return new external_function_parameters(['ruleid' => new external_value(PARAM_INT, 'Rule, as it was saved')]);
    }

    /**
     * Sends.
     *
     * @param int $ruleid
     * @return array
     */
    public static function execute($ruleid): array {
        $values = self::validate_parameters(self::execute_parameters(), ['ruleid' => $ruleid]);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability(page::MANAGE, $context);
        \core\session\manager::write_close();
        try {
            $messageid = (new sender())->send($values['ruleid']);
            return ['messageid' => sender::seal($messageid, $values['ruleid']), 'error' => ''];
        } catch (\moodle_exception $e) {
            return ['messageid' => '', 'error' => $e->getMessage()];
        }
    }

    /**
     * What it gives.
     *
     * @return external_single_structure
     */
    public static function execute_returns() {
        return new external_single_structure([
            'messageid' => new external_value(PARAM_RAW, 'What test_result is asked with; empty: it was not sent'),
            'error' => new external_value(PARAM_RAW, 'Why it was not sent'),
        ]);
    }
}
