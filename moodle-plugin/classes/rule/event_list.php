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

/**
 * The events of the site by component, for people to choose from, and what each holds.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class event_list {
    /** Keys of every event. */
    private const KEYS = [
        'eventname', 'component', 'action', 'target', 'objecttable', 'objectid', 'crud', 'edulevel', 'contextid', 'contextlevel',
        'contextinstanceid', 'userid', 'courseid', 'relateduserid', 'anonymous', 'other', 'timecreated', 'ip', 'origin',
        'realuserid',
    ];

    /** Most characters of an example. */
    private const EXAMPLE = 60;

    /**
     * The events, grouped: name of the component, wildcard of all its events, and events with class and name.
     *
     * @return array[]
     */
    public static function groups(): array {
        $groups = [];
        foreach (registry::get_all_events_dynamic() as $class => $name) {
            $component = substr($class, 1, strpos($class, '\\', 1) - 1);
            $groups[$component]['events'][] = ['class' => $class, 'name' => $name];
        }
        foreach ($groups as $component => $group) {
            $groups[$component] = $group + [
                'component' => $component,
                'name' => self::component_name($component),
                'wildcard' => "\\$component\\event\\*",
            ];
        }
        \core_collator::asort_array_of_arrays_by_key($groups, 'name');
        // Core's own events first: rules begin with them.
        $core = array_intersect_key($groups, ['core' => 1]);
        return array_values($core + $groups);
    }

    /**
     * The paths that may be used for an event, with an example of each where one has happened.
     *
     * @param string $eventname
     * @return array[] groups with name and fields, each with path and example
     */
    public static function fields(string $eventname): array {
        $data = recent_events::latest($eventname);
        $groups = ['fields_event' => self::KEYS, 'fields_other' => self::other($data)];
        foreach (path::FIELDS as $root => $fields) {
            $groups["fields_$root"] = array_map(function (string $field) use ($root): string {
                return "$root.$field";
            }, $fields);
        }
        $groups['fields_user'] = array_merge($groups['fields_user'], self::profile('user'));
        $groups['fields_relateduser'] = array_merge($groups['fields_relateduser'], self::profile('relateduser'));
        $result = [];
        foreach (array_filter($groups) as $name => $paths) {
            $fields = array_map(function (string $path) use ($data): array {
                return ['path' => $path, 'example' => $data ? self::example($data, $path) : ''];
            }, array_values($paths));
            $result[] = ['name' => get_string($name, 'local_integrationhub'), 'fields' => $fields];
        }
        return $result;
    }

    /**
     * What people call a component.
     *
     * @param string $component
     * @return string
     */
    private static function component_name(string $component): string {
        if ($component === 'core' || strncmp($component, 'core_', 5) === 0) {
            $core = get_string('component_core', 'local_integrationhub');
            return $component === 'core' ? $core : "$core (" . substr($component, 5) . ')';
        }
        $strings = get_string_manager();
        return $strings->string_exists('pluginname', $component) ? get_string('pluginname', $component) : $component;
    }

    /**
     * The paths below other.
     *
     * @param event_data|null $data
     * @return string[]
     */
    private static function other(?event_data $data): array {
        $other = $data ? $data->value(['other']) : value::NONE;
        $paths = [];
        foreach ($other['type'] === 'object' ? $other['members'] : [] as [$key]) {
            if (preg_match('~^' . path::KEY . '$~D', $key['text'])) {
                $paths[] = "other.{$key['text']}";
            }
        }
        return $paths;
    }

    /**
     * The paths of custom profile fields.
     *
     * @param string $root
     * @return string[]
     */
    private static function profile(string $root): array {
        global $DB;
        return array_map(function (string $name) use ($root): string {
            return "$root.profile.$name";
        }, $DB->get_fieldset_select('user_info_field', 'shortname', '1 = 1 ORDER BY sortorder'));
    }

    /**
     * The value of a path as JSON, its beginning.
     *
     * @param event_data $data
     * @param string $path
     * @return string
     */
    private static function example(event_data $data, string $path): string {
        $json = value::json($data->value(explode('.', $path)));
        $text = (string) json_encode(json_decode($json), JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
        return \core_text::strlen($text) > self::EXAMPLE ? \core_text::substr($text, 0, self::EXAMPLE) . '…' : $text;
    }
}
