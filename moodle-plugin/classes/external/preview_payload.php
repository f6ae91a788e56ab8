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
use local_integrationhub\local\event_name;
use local_integrationhub\local\page;
use local_integrationhub\rule\event_data;
use local_integrationhub\rule\recent_events;
use local_integrationhub\rule\renderer;
use local_integrationhub\rule\syntax_exception;
use local_integrationhub\rule\template;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../externalcompat.php');

/**
 * What a template makes of the latest event of a kind, or of an empty one: the function of version 2.0.0.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class preview_payload extends external_api {
    /**
     * What it takes.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters() {
        return new external_function_parameters([
            'template' => new external_value(PARAM_RAW, 'Template'),
            'eventname' => new external_value(PARAM_TEXT, 'Event class', VALUE_DEFAULT, ''),
        ]);
    }

    /**
     * Fills in the template.
     *
     * @param string $template
     * @param string $eventname
     * @return array
     */
    public static function execute($template, $eventname = ''): array {
        $values = self::validate_parameters(self::execute_parameters(), ['template' => $template, 'eventname' => $eventname]);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability(page::MANAGE, $context);
        $name = event_name::normalise($values['eventname']);
        $latest = $name === null ? null : recent_events::latest($name);
        $data = $latest ?? new event_data((string) json_encode(['eventname' => (string) $name]));
        try {
            template::check_json(template::is_none($values['template']) ? 'null' : $values['template']);
            $raw = template::is_none($values['template']) ? $data->json : renderer::json($values['template'], $data);
        } catch (syntax_exception $e) {
            return ['success' => false, 'payload' => '', 'raw' => '', 'error' => clean_param($e->getMessage(), PARAM_TEXT)];
        }
        $pretty = json_encode(json_decode($raw), JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        return ['success' => true, 'payload' => $pretty, 'raw' => $raw, 'error' => ''];
    }

    /**
     * What it gives.
     *
     * @return external_single_structure
     */
    public static function execute_returns() {
        return new external_single_structure([
            'success' => new external_value(PARAM_BOOL, 'Whether the template is valid'),
            'payload' => new external_value(PARAM_RAW, 'The payload, indented'),
            'raw' => new external_value(PARAM_RAW, 'The payload as it would be sent'),
            'error' => new external_value(PARAM_TEXT, 'What is wrong'),
        ]);
    }
}
