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

use local_integrationhub\local\wanted_events;

/**
 * Makes services and rules for tests.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class local_integrationhub_generator extends component_generator_base {
    /** @var int services made */
    private $services = 0;

    /**
     * Makes a service.
     *
     * @param array $record
     * @return stdClass
     */
    public function create_service(array $record = []): stdClass {
        global $DB;
        $this->services++;
        $record += [
            'name' => 'service' . $this->services,
            'base_url' => 'http://127.0.0.1:9/',
            'enabled' => 1,
        ];
        $record['id'] = $DB->insert_record('local_integrationhub_svc', (object) $record);
        wanted_events::invalidate();
        return $DB->get_record('local_integrationhub_svc', ['id' => $record['id']], '*', MUST_EXIST);
    }

    /**
     * Makes a rule, and a service when none is given.
     *
     * @param array $record
     * @return stdClass
     */
    public function create_rule(array $record): stdClass {
        global $DB;
        $record += [
            'serviceid' => $record['serviceid'] ?? $this->create_service()->id,
            'enabled' => 1,
        ];
        $record['id'] = $DB->insert_record('local_integrationhub_rules', (object) $record);
        wanted_events::invalidate();
        return $DB->get_record('local_integrationhub_rules', ['id' => $record['id']], '*', MUST_EXIST);
    }
}
