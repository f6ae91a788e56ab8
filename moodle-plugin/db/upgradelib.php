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

/**
 * Helpers of the upgrade steps.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Creates a table as install.xml has it, unless it exists.
 *
 * @param database_manager $dbman
 * @param string $name
 */
function local_integrationhub_install_missing_table(database_manager $dbman, string $name): void {
    if (!$dbman->table_exists($name)) {
        $dbman->install_one_table_from_xmldb_file(__DIR__ . '/install.xml', $name);
    }
}

/**
 * Adds the fields that a table does not have yet.
 *
 * @param database_manager $dbman
 * @param string $name of the table
 * @param xmldb_field[] $fields
 */
function local_integrationhub_add_missing_fields(database_manager $dbman, string $name, array $fields): void {
    $table = new xmldb_table($name);
    foreach ($fields as $field) {
        if (!$dbman->field_exists($table, $field)) {
            $dbman->add_field($table, $field);
        }
    }
}

/**
 * Adds the indexes that a table does not have yet.
 *
 * @param database_manager $dbman
 * @param string $name of the table
 * @param xmldb_index[] $indexes
 */
function local_integrationhub_add_missing_indexes(database_manager $dbman, string $name, array $indexes): void {
    $table = new xmldb_table($name);
    foreach ($indexes as $index) {
        if (!$dbman->index_exists($table, $index)) {
            $dbman->add_index($table, $index);
        }
    }
}
