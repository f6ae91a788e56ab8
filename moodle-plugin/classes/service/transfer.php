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

use local_integrationhub\local\amqp_service_url;
use local_integrationhub\local\secrets;
use local_integrationhub\local\service_fields;
use local_integrationhub\rule\registry as rules;

/**
 * Copies of services: within the site, and from one site to another as JSON without any secret.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class transfer {
    /** What the JSON says of itself. */
    private const FORMAT = 'local_integrationhub/services';

    /** Its version. */
    private const VERSION = 1;

    /** Fields that each site decides for itself. A webhook that is open to all by its flag is closed until somebody opens it. */
    private const OWN = ['enabled', 'paused', 'inbound_open'];

    /** Fields of a rule that are transferred. */
    private const RULE = ['eventname', 'endpoint', 'http_method', 'payload_template', 'filter', 'enabled'];

    /**
     * Copies a service, its secrets included, without its rules.
     *
     * @param int $id
     * @return int id of the copy
     */
    public static function duplicate(int $id): int {
        $values = array_intersect_key((array) registry::get_service_by_id($id), array_fill_keys(service_fields::names(), 1));
        $values['name'] = self::free_name($values['name']);
        return registry::create_service((object) secrets::sealed($values, $values['type']));
    }

    /**
     * Services and their rules as JSON.
     *
     * @param int[]|null $ids null: all
     * @return string
     */
    public static function export(?array $ids = null): string {
        $services = [];
        foreach (registry::get_all_services() as $service) {
            if ($ids === null || in_array((int) $service->id, $ids, true)) {
                $services[] = self::exported($service);
            }
        }
        $data = ['format' => self::FORMAT, 'version' => self::VERSION, 'services' => $services];
        return json_encode($data, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE) . "\n";
    }

    /**
     * Makes the services and rules of an export. They are disabled, and closed to calls: their secrets are missing.
     *
     * All or nothing. A service whose name is taken gets another one.
     *
     * @param string $json
     * @return string[] names of the new services
     * @throws \moodle_exception naming what is wrong
     */
    public static function import(string $json): array {
        global $DB;
        $data = json_decode($json, true, 32);
        if (!is_array($data) || ($data['format'] ?? '') !== self::FORMAT || !is_array($data['services'] ?? null)) {
            throw new \moodle_exception('error_import', 'local_integrationhub');
        }
        if (($data['version'] ?? 0) !== self::VERSION) {
            throw new \moodle_exception('error_import_version', 'local_integrationhub');
        }
        $names = [];
        $transaction = $DB->start_delegated_transaction();
        try {
            foreach (array_values($data['services']) as $number => $service) {
                $names[] = self::imported(is_array($service) ? $service : [], $number + 1);
            }
            $transaction->allow_commit();
        } catch (\Throwable $e) {
            $transaction->rollback($e);
        }
        return $names;
    }

    /**
     * A name like this one that no service has.
     *
     * @param string $name
     * @return string
     */
    public static function free_name(string $name): string {
        $base = \core_text::substr($name, 0, 240);
        for ($free = $name, $number = 2; !registry::is_free_name($free); $number++) {
            $free = "$base-$number";
        }
        return $free;
    }

    /**
     * A service as it is exported.
     *
     * @param \stdClass $service
     * @return array
     */
    private static function exported(\stdClass $service): array {
        global $DB;
        $fields = array_diff(service_fields::names(), service_fields::SECRETS, self::OWN);
        $values = array_intersect_key((array) $service, array_fill_keys($fields, 1));
        if ($service->type === 'amqp') {
            $values['base_url'] = amqp_service_url::url(['pass' => ''] + amqp_service_url::parts($service->base_url));
        } else {
            $values['base_url'] = preg_replace('~(://[^/:@]*):[^/]*@~', '$1@', $service->base_url);
        }
        $values['rules'] = [];
        foreach ($DB->get_records(rules::TABLE, ['serviceid' => $service->id], 'id') as $rule) {
            $values['rules'][] = array_intersect_key((array) $rule, array_fill_keys(self::RULE, 1));
        }
        return $values;
    }

    /**
     * Makes a service of an export, with its rules.
     *
     * @param array $service
     * @param int $number of the service in the export, for messages
     * @return string its name
     */
    private static function imported(array $service, int $number): string {
        try {
            $fields = array_diff(service_fields::names(), service_fields::SECRETS, self::OWN);
            $values = array_filter(array_intersect_key($service, array_fill_keys($fields, 1)), 'is_scalar');
            $values['name'] = self::free_name((string) ($values['name'] ?? ''));
            $id = registry::create_service((object) $values);
            registry::update_service($id, (object) ['enabled' => 0]);
            foreach ((array) ($service['rules'] ?? []) as $rule) {
                $rule = array_filter(array_intersect_key((array) $rule, array_fill_keys(self::RULE, 1)), 'is_scalar');
                rules::create_rule((object) (['serviceid' => $id] + $rule));
            }
            return $values['name'];
        } catch (\moodle_exception $e) {
            $a = ['number' => $number, 'name' => $service['name'] ?? '', 'fault' => $e->getMessage()];
            throw new \moodle_exception('error_import_service', 'local_integrationhub', '', $a);
        }
    }
}
