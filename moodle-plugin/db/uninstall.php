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
 * What Moodle does not do by itself when the plugin is uninstalled.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Drops the table that only the development branch of 2.0.0 had: install.xml does not know it.
 *
 * @return bool
 */
function xmldb_local_integrationhub_uninstall() {
    global $DB;
    $table = new xmldb_table('local_integrationhub_nonce');
    if ($DB->get_manager()->table_exists($table)) {
        $DB->get_manager()->drop_table($table);
    }
    return true;
}
