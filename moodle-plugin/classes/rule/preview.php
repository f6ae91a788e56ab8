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

namespace local_integrationhub\rule;

use local_integrationhub\local\event_name;
use local_integrationhub\service\registry as services;

/**
 * What a rule would do, before it is saved.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class preview {
    /**
     * Tries a rule on the latest event of its kind.
     *
     * @param array $values of the rule
     * @return \stdClass faults (field => text), hasevent, event (JSON), matches, request, error, count
     */
    public static function of(array $values): \stdClass {
        $result = (object) [
            'faults' => [], 'hasevent' => false, 'event' => '', 'matches' => false, 'request' => null, 'error' => '',
            'count' => ['happened' => 0, 'matched' => 0, 'tried' => 0],
        ];
        foreach (registry::faults($values) as $field => $fault) {
            $result->faults[$field] = self::fault_text($fault);
        }
        if ($result->faults) {
            return $result;
        }
        $eventname = event_name::normalise($values['eventname']);
        $result->count = recent_events::count($eventname, $values['filter']);
        $data = recent_events::latest($eventname);
        if ($data) {
            $result->hasevent = true;
            $result->event = $data->json;
            self::try_on($data, $values, $result);
        }
        return $result;
    }

    /**
     * What a fault says where its field is known.
     *
     * @param \moodle_exception $fault
     * @return string
     */
    public static function fault_text(\moodle_exception $fault): string {
        return $fault->errorcode === 'error_syntax' ? \core_text::strtoupper($fault->a['fault'][0]) . substr($fault->a['fault'], 1)
            : $fault->getMessage();
    }

    /**
     * Tries a rule on an event.
     *
     * @param event_data $data
     * @param array $values
     * @param \stdClass $result
     */
    private static function try_on(event_data $data, array $values, \stdClass $result): void {
        try {
            $result->matches = (new matcher($values['filter']))->matches($data);
            $service = services::get_service_by_id((int) $values['serviceid']);
            $result->request = request::of((object) $values, $service, $data);
        } catch (syntax_exception $e) {
            $result->error = $e->getMessage();
        }
    }
}
