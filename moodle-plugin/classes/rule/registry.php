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

use local_integrationhub\event\rule_created;
use local_integrationhub\event\rule_deleted;
use local_integrationhub\event\rule_updated;
use local_integrationhub\local\change;
use local_integrationhub\local\event_name;

/**
 * The rules: which event goes to which service, and how.
 *
 * Every change makes the wanted event names be read again, tells the worker fleet, and stands in Moodle's log.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class registry {
    /** Table. */
    public const TABLE = 'local_integrationhub_rules';

    /** HTTP methods of a rule; AMQP and SOAP rules keep POST. */
    public const METHODS = ['POST', 'GET', 'PUT', 'PATCH', 'DELETE'];

    /** Fields that a person may set. */
    private const FIELDS = ['eventname', 'serviceid', 'endpoint', 'http_method', 'payload_template', 'filter', 'enabled'];

    /**
     * The rule of an id.
     *
     * @param int $id
     * @return \stdClass|false
     */
    public static function get_rule(int $id) {
        global $DB;
        return $DB->get_record(self::TABLE, ['id' => $id]);
    }

    /**
     * All rules, by event name.
     *
     * @return \stdClass[]
     */
    public static function get_all_rules(): array {
        global $DB;
        return $DB->get_records(self::TABLE, null, 'eventname ASC, id ASC');
    }

    /**
     * Makes a rule.
     *
     * @param \stdClass $data
     * @return int id
     * @throws \moodle_exception when a field is not valid
     */
    public static function create_rule(\stdClass $data): int {
        global $DB;
        $values = self::values($data) + ['eventname' => '', 'serviceid' => 0, 'http_method' => 'POST', 'enabled' => 1];
        $values = self::validated($values);
        $values['timecreated'] = $values['timemodified'] = time();
        $id = $DB->insert_record(self::TABLE, (object) $values);
        change::announce();
        rule_created::record($id, $values['eventname']);
        return $id;
    }

    /**
     * Changes the fields that are set.
     *
     * @param int $id
     * @param \stdClass $data
     * @throws \moodle_exception when a field is not valid or there is no such rule
     */
    public static function update_rule(int $id, \stdClass $data): void {
        global $DB;
        $old = $DB->get_record(self::TABLE, ['id' => $id], '*', MUST_EXIST);
        $values = self::validated(self::values($data), (int) $old->serviceid);
        if (!empty($values['enabled'])) {
            // Why the worker fleet had disabled it is of the past.
            $values += ['timedisabled' => null, 'disabledreason' => null];
        }
        $DB->update_record(self::TABLE, (object) ($values + ['id' => $id, 'timemodified' => time()]));
        change::announce();
        $changed = change::fields($values, $old);
        if ($changed) {
            rule_updated::record($id, $old->eventname, $changed);
        }
    }

    /**
     * What is wrong with a rule: one of 2.0.0, or written by SQL, was never checked.
     *
     * @param \stdClass $rule
     * @return string|null null: nothing
     */
    public static function fault(\stdClass $rule): ?string {
        try {
            self::validated(self::values($rule));
            return null;
        } catch (\moodle_exception $e) {
            return $e->getMessage();
        }
    }

    /**
     * Deletes a rule; its dead letters stay.
     *
     * @param int $id
     */
    public static function delete_rule(int $id): void {
        global $DB;
        $name = $DB->get_field(self::TABLE, 'eventname', ['id' => $id]);
        $DB->delete_records(self::TABLE, ['id' => $id]);
        change::announce();
        if ($name !== false) {
            rule_deleted::record($id, $name);
        }
    }

    /**
     * What people call an event.
     *
     * @param string $classname
     * @return string the class name when Moodle does not know the event
     */
    public static function get_event_display_name(string $classname): string {
        $classname = '\\' . ltrim($classname, '\\');
        if (!is_subclass_of($classname, \core\event\base::class)) {
            return $classname;
        }
        try {
            return $classname::get_name();
        } catch (\Throwable $e) {
            return $classname;
        }
    }

    /**
     * The events of this site that can be triggered.
     *
     * @return string[] class name with its leading backslash => name for people
     */
    public static function get_all_events_dynamic(): array {
        global $CFG;
        $events = [];
        // The files of deprecated events complain as soon as they are loaded; core's own list of events does the same.
        $debug = $CFG->debug ?? 0;
        $CFG->debug = 0;
        try {
            foreach (array_keys(\core_component::get_component_classes_in_namespace(null, 'event')) as $classname) {
                if (self::can_be_triggered($classname)) {
                    $events['\\' . $classname] = self::get_event_display_name($classname);
                }
            }
        } finally {
            $CFG->debug = $debug;
        }
        \core_collator::asort($events);
        return $events;
    }

    /**
     * Whether a class is an event that may still happen.
     *
     * @param string $classname
     * @return bool
     */
    private static function can_be_triggered(string $classname): bool {
        return is_subclass_of($classname, \core\event\base::class) && !(new \ReflectionClass($classname))->isAbstract()
            && !$classname::is_deprecated();
    }

    /**
     * The events that most integrations begin with.
     *
     * @return string[] class name with its leading backslash => name for people
     */
    public static function get_common_events(): array {
        $events = [];
        foreach (['user_created', 'user_loggedin', 'user_enrolment_created', 'course_completed', 'course_viewed'] as $name) {
            $events['\core\event\\' . $name] = self::get_event_display_name('\core\event\\' . $name);
        }
        return $events;
    }

    /**
     * The fields of a record that a person may set.
     *
     * @param \stdClass $data
     * @return array
     */
    private static function values(\stdClass $data): array {
        return array_intersect_key((array) $data, array_fill_keys(self::FIELDS, 1));
    }

    /**
     * What cannot work.
     *
     * @param array $values of the fields that are set
     * @param int $serviceid of the rule, when it is not among them
     * @return \moodle_exception[] by name of the field
     */
    public static function faults(array $values, int $serviceid = 0): array {
        global $DB;
        $service = (int) ($values['serviceid'] ?? $serviceid);
        $israw = $DB->get_field('local_integrationhub_svc', 'body_type', ['id' => $service]) === 'raw';
        $faults = [];
        foreach (self::FIELDS as $field) {
            if (!isset($values[$field])) {
                continue;
            }
            try {
                self::validate($field, (string) $values[$field], $israw);
            } catch (syntax_exception $e) {
                $a = ['field' => $field, 'fault' => $e->getMessage()];
                $faults[$field] = new \moodle_exception('error_syntax', 'local_integrationhub', '', $a);
            } catch (\moodle_exception $e) {
                $faults[$field] = $e;
            }
        }
        return $faults;
    }

    /**
     * Refuses what cannot work and brings the rest into its form.
     *
     * @param array $values of the fields that are set
     * @param int $serviceid of the rule, when it is not among them
     * @return array
     * @throws \moodle_exception naming what is wrong
     */
    private static function validated(array $values, int $serviceid = 0): array {
        foreach (self::faults($values, $serviceid) as $fault) {
            throw $fault;
        }
        if (isset($values['eventname'])) {
            $values['eventname'] = event_name::normalise($values['eventname']);
        }
        if (isset($values['http_method'])) {
            $values['http_method'] = strtoupper($values['http_method']);
        }
        return $values;
    }

    /**
     * Refuses a value that the workers could not use.
     *
     * @param string $field
     * @param string $value
     * @param bool $israw whether the service's bodies are plain text
     * @throws syntax_exception naming line, column and what was expected
     * @throws \moodle_exception
     */
    private static function validate(string $field, string $value, bool $israw): void {
        global $DB;
        if ($field === 'eventname' && event_name::normalise($value) === null) {
            throw new \moodle_exception('error_eventname', 'local_integrationhub', '', $value);
        }
        if ($field === 'serviceid' && !$DB->record_exists('local_integrationhub_svc', ['id' => $value])) {
            throw new \moodle_exception('service_not_found', 'local_integrationhub', '', $value);
        }
        if ($field === 'http_method' && !in_array(strtoupper($value), self::METHODS, true)) {
            $a = ['name' => 'http_method', 'value' => strtoupper($value), 'accepted' => implode(', ', self::METHODS)];
            throw new \moodle_exception('error_choice', 'local_integrationhub', '', $a);
        }
        if ($field === 'endpoint') {
            if (\core_text::strlen($value) > 255 || preg_match('~[\x00-\x1f\x7f]~', $value)) {
                throw new \moodle_exception('error_endpoint', 'local_integrationhub');
            }
            template::check_text($value);
        } else if ($field === 'payload_template' && !template::is_none($value)) {
            $israw ? template::check_text($value) : template::check_json($value);
        } else if ($field === 'filter') {
            condition::check($value);
        }
    }
}
