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
 * Paths of templates and conditions: keys of the event, or fields that the worker looks up in Moodle's tables.
 *
 * The fields are those of the worker; tests/cases holds both against each other.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class path {
    /** Most keys of a path. */
    public const MAX_KEYS = 32;

    /** Keys consist of these, as a regular expression. */
    public const KEY = '[0-9A-Za-z_\x80-\xff-]+';

    /** Fields of people. */
    private const USER = [
        'address', 'alternatename', 'auth', 'city', 'country', 'department', 'email', 'firstname', 'firstnamephonetic', 'id',
        'idnumber', 'institution', 'lang', 'lastname', 'lastnamephonetic', 'middlename', 'phone1', 'phone2', 'suspended',
        'timecreated', 'timezone', 'username',
    ];

    /** First key of what is looked up => its fields. */
    public const FIELDS = [
        'user' => self::USER,
        'relateduser' => self::USER,
        'course' => [
            'category.id', 'category.idnumber', 'category.name', 'category.parent', 'category.path', 'category.visible',
            'enddate', 'format', 'fullname', 'id', 'idnumber', 'lang', 'shortname', 'startdate', 'timecreated', 'visible',
        ],
        'cm' => ['added', 'course', 'id', 'idnumber', 'instance', 'modname', 'name', 'visible'],
        'site' => ['fullname', 'shortname'],
    ];

    /**
     * What is wrong with a path.
     *
     * @param string[] $keys
     * @return string '' when nothing is
     */
    public static function trouble(array $keys): string {
        $root = $keys[0];
        if (!isset(self::FIELDS[$root])) {
            return '';
        }
        if (in_array($root, ['user', 'relateduser'], true) && ($keys[1] ?? '') === 'profile') {
            return count($keys) === 3 ? '' : "$root.profile needs the short name of one profile field";
        }
        $fields = self::FIELDS[$root];
        if (in_array(implode('.', array_slice($keys, 1)), $fields, true)) {
            return '';
        }
        $begin = count($keys) > 1 ? 'there is no ' . implode('.', $keys) . "; $root has " : "$root needs a field: ";
        return $begin . implode(', ', $fields);
    }
}
