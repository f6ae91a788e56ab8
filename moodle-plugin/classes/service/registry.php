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

namespace local_integrationhub\service;

use local_integrationhub\event\service_breaker_reset;
use local_integrationhub\event\service_created;
use local_integrationhub\event\service_deleted;
use local_integrationhub\event\service_updated;
use local_integrationhub\local\change;
use local_integrationhub\local\secrets;
use local_integrationhub\local\service_fields;

/**
 * The services.
 *
 * Every change makes the wanted event names be read again, tells the worker fleet, and stands in Moodle's log.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class registry {
    /** Table. */
    public const TABLE = 'local_integrationhub_svc';

    /**
     * The enabled or disabled service of a name.
     *
     * @param string $name
     * @return \stdClass|false
     */
    public static function get_service(string $name) {
        global $DB;
        return $DB->get_record(self::TABLE, ['name' => $name]);
    }

    /**
     * The service of an id.
     *
     * @param int $id
     * @return \stdClass
     * @throws \dml_exception when there is none
     */
    public static function get_service_by_id(int $id): \stdClass {
        global $DB;
        return $DB->get_record(self::TABLE, ['id' => $id], '*', MUST_EXIST);
    }

    /**
     * All services, by name.
     *
     * @return \stdClass[]
     */
    public static function get_all_services(): array {
        global $DB;
        return $DB->get_records(self::TABLE, null, 'name ASC');
    }

    /**
     * Makes a service, enabled, with its circuit breaker.
     *
     * @param \stdClass $data
     * @return int id
     * @throws \moodle_exception when a field is not valid or the name is taken
     */
    public static function create_service(\stdClass $data): int {
        global $DB;
        $values = self::values($data) + service_fields::defaults() + ['name' => '', 'base_url' => ''];
        $values['enabled'] = 1;
        service_fields::validate($values);
        self::require_free_name($values['name'], 0);
        $values['timecreated'] = $values['timemodified'] = time();
        $transaction = $DB->start_delegated_transaction();
        $id = $DB->insert_record(self::TABLE, (object) $values);
        $DB->insert_record('local_integrationhub_cb', (object) ['serviceid' => $id, 'timemodified' => time()]);
        $transaction->allow_commit();
        change::announce();
        service_created::record($id, $values['name']);
        return $id;
    }

    /**
     * Changes the fields that are set.
     *
     * @param int $id
     * @param \stdClass $data
     * @return bool
     * @throws \moodle_exception when a field is not valid, the name is taken or there is no such service
     */
    public static function update_service(int $id, \stdClass $data): bool {
        global $DB;
        $old = self::get_service_by_id($id);
        $values = self::values($data);
        service_fields::validate($values, $old);
        if (isset($values['name'])) {
            self::require_free_name($values['name'], $id);
        }
        $done = $DB->update_record(self::TABLE, (object) ($values + ['id' => $id, 'timemodified' => time()]));
        change::announce();
        $changed = change::fields($values, $old);
        if ($changed) {
            service_updated::record($id, $old->name, $changed);
        }
        return $done;
    }

    /**
     * Closes the circuit breaker of a service; the fleet sees it at once.
     *
     * @param int $id
     */
    public static function reset_breaker(int $id): void {
        global $DB;
        $service = self::get_service_by_id($id);
        $table = 'local_integrationhub_cb';
        $row = ['serviceid' => $id, 'state' => 'closed', 'failure_count' => 0, 'trips' => 0, 'retryat' => null, 'holder' => null,
            'timemodified' => time()];
        $old = $DB->get_field($table, 'id', ['serviceid' => $id]);
        $old ? $DB->update_record($table, (object) ($row + ['id' => $old])) : $DB->insert_record($table, (object) $row);
        change::announce();
        service_breaker_reset::record($id, $service->name);
    }

    /**
     * Encrypts the secrets of a service that are not yet, with Moodle's own key.
     *
     * @param int $id
     * @return bool whether there were any
     */
    public static function encrypt_service(int $id): bool {
        $old = self::get_service_by_id($id);
        $values = array_intersect_key((array) $old, array_fill_keys(service_fields::SECRETS, 1) + ['base_url' => 1]);
        $values = array_diff_assoc(secrets::sealed($values, $old->type), $values);
        return $values && self::update_service($id, (object) $values);
    }

    /**
     * Deletes a service and all that hangs on it.
     *
     * @param int $id
     * @return bool
     */
    public static function delete_service(int $id): bool {
        global $DB;
        $name = $DB->get_field(self::TABLE, 'name', ['id' => $id]);
        $transaction = $DB->start_delegated_transaction();
        foreach (['cb', 'log', 'rules', 'dlq', 'stat', 'backlog', 'nonce'] as $table) {
            $DB->delete_records('local_integrationhub_' . $table, ['serviceid' => $id]);
        }
        $done = $DB->delete_records(self::TABLE, ['id' => $id]);
        $transaction->allow_commit();
        change::announce();
        if ($name !== false) {
            service_deleted::record($id, $name);
        }
        return $done;
    }

    /**
     * The fields of a record that a person may set.
     *
     * @param \stdClass $data
     * @return array
     */
    private static function values(\stdClass $data): array {
        return array_intersect_key((array) $data, array_fill_keys(service_fields::names(), 1));
    }

    /**
     * Whether no other service has this name.
     *
     * @param string $name
     * @param int $id the service itself; 0: a new one
     * @return bool
     */
    public static function is_free_name(string $name, int $id = 0): bool {
        $other = self::get_service($name);
        return !$other || (int) $other->id === $id;
    }

    /**
     * Refuses a name that another service has.
     *
     * @param string $name
     * @param int $id the service itself
     */
    private static function require_free_name(string $name, int $id): void {
        if (!self::is_free_name($name, $id)) {
            throw new \moodle_exception('error_name_exists', 'local_integrationhub');
        }
    }
}
