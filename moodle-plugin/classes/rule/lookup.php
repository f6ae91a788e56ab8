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
 * Finds what templates and conditions may know of people, courses and activities, for previews: the fields that path names.
 *
 * The worker reads the same columns of the same tables.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class lookup {
    /**
     * Fields and values.
     *
     * @param string $kind user, profile, course, cm or site
     * @param int $id
     * @return array|null null for nobody
     */
    public static function find(string $kind, int $id): ?array {
        switch ($kind) {
            case 'user':
                return self::row('user', path::FIELDS['user'], ['id' => $id, 'deleted' => 0]);
            case 'profile':
                return self::profile($id);
            case 'course':
                return self::course($id);
            case 'cm':
                return self::activity($id);
        }
        return self::row('course', path::FIELDS['site'], ['id' => SITEID]);
    }

    /**
     * A row of a table.
     *
     * @param string $table
     * @param string[] $fields
     * @param array $conditions
     * @return array|null
     */
    private static function row(string $table, array $fields, array $conditions): ?array {
        global $DB;
        $row = $DB->get_record($table, $conditions, implode(',', $fields));
        return $row ? (array) $row : null;
    }

    /**
     * The custom profile fields of a user, by their short names.
     *
     * @param int $id
     * @return array|null
     */
    private static function profile(int $id): ?array {
        global $DB;
        if (!$DB->record_exists('user', ['id' => $id, 'deleted' => 0])) {
            return null;
        }
        $sql = "SELECT f.shortname, COALESCE(d.data, f.defaultdata) AS data
                  FROM {user_info_field} f
             LEFT JOIN {user_info_data} d ON d.fieldid = f.id AND d.userid = ?";
        return $DB->get_records_sql_menu($sql, [$id]);
    }

    /**
     * A course and its category.
     *
     * @param int $id
     * @return array|null
     */
    private static function course(int $id): ?array {
        $fields = ['course' => ['category'], 'category' => []];
        foreach (path::FIELDS['course'] as $field) {
            $parts = explode('.', $field);
            $fields[count($parts) > 1 ? 'category' : 'course'][] = end($parts);
        }
        $course = self::row('course', $fields['course'], ['id' => $id]);
        if ($course) {
            $course['category'] = self::row('course_categories', $fields['category'], ['id' => $course['category']]);
        }
        return $course;
    }

    /**
     * An activity.
     *
     * @param int $id of the course module
     * @return array|null
     */
    private static function activity(int $id): ?array {
        global $DB;
        $sql = "SELECT cm.*, m.name AS modname FROM {course_modules} cm JOIN {modules} m ON m.id = cm.module WHERE cm.id = ?";
        $cm = $DB->get_record_sql($sql, [$id]);
        if (!$cm) {
            return null;
        }
        $cm->name = $DB->get_field($cm->modname, 'name', ['id' => $cm->instance]) ?: null;
        return array_intersect_key((array) $cm, array_fill_keys(path::FIELDS['cm'], 1));
    }
}
