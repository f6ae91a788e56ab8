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
use local_integrationhub\local\secrets;
use local_integrationhub\rule\preview;
use local_integrationhub\rule\registry;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../externalcompat.php');

/**
 * The request that a rule makes of a recent event, and how many events it would have matched.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class preview_rule extends external_api {
    /**
     * What it takes.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters() {
        return new external_function_parameters([
            'eventname' => new external_value(PARAM_RAW_TRIMMED, 'Event class or wildcard'),
            'serviceid' => new external_value(PARAM_INT, 'Service'),
            'http_method' => new external_value(PARAM_ALPHA, 'Method', VALUE_DEFAULT, 'POST'),
            'endpoint' => new external_value(PARAM_RAW, 'Endpoint', VALUE_DEFAULT, ''),
            'payload_template' => new external_value(PARAM_RAW, 'Template', VALUE_DEFAULT, ''),
            'filter' => new external_value(PARAM_RAW, 'Condition', VALUE_DEFAULT, ''),
        ]);
    }

    /**
     * Tries the rule.
     *
     * @param string $eventname
     * @param int $serviceid
     * @param string $method
     * @param string $endpoint
     * @param string $template
     * @param string $filter
     * @return array
     */
    public static function execute($eventname, $serviceid, $method = 'POST', $endpoint = '', $template = '', $filter = ''): array {
        $values = self::validate_parameters(self::execute_parameters(), [
            'eventname' => $eventname, 'serviceid' => $serviceid, 'http_method' => $method, 'endpoint' => $endpoint,
            'payload_template' => $template, 'filter' => $filter,
        ]);
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability(page::MANAGE, $context);
        \core\session\manager::write_close();
        $preview = preview::of($values);
        $faults = [];
        foreach ($preview->faults as $field => $text) {
            $faults[] = ['field' => $field, 'label' => self::label($field), 'text' => $text];
        }
        $headers = [];
        foreach ($preview->request->headers ?? [] as $name => $value) {
            $headers[] = ['name' => $name, 'value' => $value];
        }
        return [
            'faults' => $faults,
            'hasevent' => $preview->hasevent,
            'matches' => $preview->matches,
            'error' => $preview->error,
            'method' => $preview->request->method ?? '',
            'url' => secrets::masked($preview->request->url ?? ''),
            'headers' => $headers,
            'body' => $preview->request->body ?? '',
            'event' => self::pretty($preview->event),
            'happened' => $preview->count['happened'],
            'matched' => $preview->count['matched'],
            'tried' => $preview->count['tried'],
        ];
    }

    /**
     * JSON for people.
     *
     * @param string $json
     * @return string
     */
    private static function pretty(string $json): string {
        $data = json_decode($json);
        return $data === null ? $json : json_encode($data, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    }

    /**
     * What people call a field.
     *
     * @param string $field
     * @return string
     */
    private static function label(string $field): string {
        $keys = ['eventname' => 'rule_event', 'serviceid' => 'rule_service', 'http_method' => 'rule_method',
            'endpoint' => 'rule_endpoint', 'payload_template' => 'rule_template', 'filter' => 'rule_filter'];
        return get_string($keys[$field], 'local_integrationhub');
    }

    /**
     * What it gives.
     *
     * @return external_single_structure
     */
    public static function execute_returns() {
        $text = function (string $what): external_value {
            return new external_value(PARAM_RAW, $what);
        };
        return new external_single_structure([
            'faults' => new external_multiple_structure(new external_single_structure([
                'field' => $text('Field that is wrong'), 'label' => $text('What people call it'), 'text' => $text('What is wrong'),
            ])),
            'hasevent' => new external_value(PARAM_BOOL, 'Whether such an event has happened'),
            'matches' => new external_value(PARAM_BOOL, 'Whether the condition is true for it'),
            'error' => $text('Why the event makes no request'),
            'method' => $text('Method'),
            'url' => $text('Address'),
            'headers' => new external_multiple_structure(new external_single_structure([
                'name' => $text('Name'), 'value' => $text('Value, without secrets'),
            ])),
            'body' => $text('Body, exactly as it would be sent'),
            'event' => $text('The event as JSON'),
            'happened' => new external_value(PARAM_INT, 'Such events in the last 7 days'),
            'matched' => new external_value(PARAM_INT, 'Those that the condition is true for'),
            'tried' => new external_value(PARAM_INT, 'As many of them were tried'),
        ]);
    }
}
