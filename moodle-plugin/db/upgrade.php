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
 * Upgrade steps.
 *
 * Every addition is guarded: sites may come from any release of the PHP-only plugin, with or without the columns of
 * its development branch, and a step that is run again must find nothing to do.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * Brings the tables and the settings to this version.
 *
 * @param int $oldversion the version that is installed
 * @return bool
 */
function xmldb_local_integrationhub_upgrade($oldversion) {
    global $DB;
    require_once(__DIR__ . '/upgradelib.php');

    $dbman = $DB->get_manager();

    if ($oldversion < 2026021803) {
        $table = new xmldb_table('local_integrationhub_rules');
        $field = new xmldb_field('http_method', XMLDB_TYPE_CHAR, '10', null, XMLDB_NOTNULL, null, 'POST', 'endpoint');
        if (!$dbman->field_exists($table, $field)) {
            $dbman->add_field($table, $field);
        }
        upgrade_plugin_savepoint(true, 2026021803, 'local', 'integrationhub');
    }

    if ($oldversion < 2026112200) {
        $table = new xmldb_table('local_integrationhub_svc');
        $field = new xmldb_field('max_concurrency', XMLDB_TYPE_INTEGER, '5', null, XMLDB_NOTNULL, null, '16', 'timemodified');
        if (!$dbman->field_exists($table, $field)) {
            $dbman->add_field($table, $field);
        }
        foreach (['outbox', 'binding', 'worker'] as $name) {
            local_integrationhub_install_missing_table($dbman, 'local_integrationhub_' . $name);
        }
        upgrade_plugin_savepoint(true, 2026112200, 'local', 'integrationhub');
    }

    if ($oldversion < 2026112500) {
        // Services that exist keep their few retries: the days of long retries are the default of new ones only.
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_svc', [
            new xmldb_field('rate_limit', XMLDB_TYPE_INTEGER, '5', null, XMLDB_NOTNULL, null, '0', 'max_concurrency'),
            new xmldb_field('long_retries', XMLDB_TYPE_INTEGER, '1', null, XMLDB_NOTNULL, null, '0', 'rate_limit'),
            new xmldb_field('paused', XMLDB_TYPE_INTEGER, '1', null, XMLDB_NOTNULL, null, '0', 'long_retries'),
        ]);
        $field = new xmldb_field('long_retries', XMLDB_TYPE_INTEGER, '1', null, XMLDB_NOTNULL, null, '1', 'rate_limit');
        $dbman->change_field_default(new xmldb_table('local_integrationhub_svc'), $field);
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_cb', [
            new xmldb_field('trips', XMLDB_TYPE_INTEGER, '5', null, XMLDB_NOTNULL, null, '0', 'timemodified'),
            new xmldb_field('retryat', XMLDB_TYPE_INTEGER, '10', null, null, null, null, 'trips'),
            new xmldb_field('holder', XMLDB_TYPE_CHAR, '100', null, null, null, null, 'retryat'),
        ]);
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_dlq', [
            new xmldb_field('messageid', XMLDB_TYPE_CHAR, '127', null, null, null, null, 'timecreated'),
            new xmldb_field('ruleid', XMLDB_TYPE_INTEGER, '10', null, null, null, null, 'messageid'),
            new xmldb_field('endpoint', XMLDB_TYPE_CHAR, '1333', null, null, null, null, 'ruleid'),
            new xmldb_field('http_method', XMLDB_TYPE_CHAR, '10', null, null, null, null, 'endpoint'),
            new xmldb_field('attempts', XMLDB_TYPE_INTEGER, '5', null, XMLDB_NOTNULL, null, '0', 'http_method'),
            new xmldb_field('http_status', XMLDB_TYPE_INTEGER, '5', null, null, null, null, 'attempts'),
            new xmldb_field('response', XMLDB_TYPE_TEXT, null, null, null, null, null, 'http_status'),
            new xmldb_field('state', XMLDB_TYPE_CHAR, '10', null, XMLDB_NOTNULL, null, 'dead', 'response'),
            new xmldb_field('timefirst', XMLDB_TYPE_INTEGER, '10', null, null, null, null, 'state'),
            new xmldb_field('timemodified', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '0', 'timefirst'),
            new xmldb_field('replayid', XMLDB_TYPE_INTEGER, '10', null, null, null, null, 'timemodified'),
        ]);
        local_integrationhub_add_missing_indexes($dbman, 'local_integrationhub_dlq', [
            new xmldb_index('serviceid_state', XMLDB_INDEX_NOTUNIQUE, ['serviceid', 'state']),
            new xmldb_index('messageid', XMLDB_INDEX_NOTUNIQUE, ['messageid']),
            new xmldb_index('replayid', XMLDB_INDEX_NOTUNIQUE, ['replayid']),
        ]);
        local_integrationhub_install_missing_table($dbman, 'local_integrationhub_replay');
        upgrade_plugin_savepoint(true, 2026112500, 'local', 'integrationhub');
    }

    if ($oldversion < 2026112501) {
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_rules', [
            new xmldb_field('timedisabled', XMLDB_TYPE_INTEGER, '10', null, null, null, null, 'timemodified'),
            new xmldb_field('disabledreason', XMLDB_TYPE_TEXT, null, null, null, null, null, 'timedisabled'),
        ]);
        upgrade_plugin_savepoint(true, 2026112501, 'local', 'integrationhub');
    }

    if ($oldversion < 2026112503) {
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_svc', [
            new xmldb_field('auth_user', XMLDB_TYPE_CHAR, '255', null, null, null, null, 'paused'),
            new xmldb_field('auth_header', XMLDB_TYPE_CHAR, '100', null, null, null, null, 'auth_user'),
            new xmldb_field('auth_url', XMLDB_TYPE_CHAR, '1333', null, null, null, null, 'auth_header'),
            new xmldb_field('auth_scope', XMLDB_TYPE_CHAR, '255', null, null, null, null, 'auth_url'),
            new xmldb_field('client_cert', XMLDB_TYPE_TEXT, null, null, null, null, null, 'auth_scope'),
            new xmldb_field('headers', XMLDB_TYPE_TEXT, null, null, null, null, null, 'client_cert'),
            new xmldb_field('body_type', XMLDB_TYPE_CHAR, '10', null, XMLDB_NOTNULL, null, 'json', 'headers'),
            new xmldb_field('content_type', XMLDB_TYPE_CHAR, '100', null, null, null, null, 'body_type'),
            new xmldb_field('signing_secret', XMLDB_TYPE_TEXT, null, null, null, null, null, 'content_type'),
            new xmldb_field('signing_secret_old', XMLDB_TYPE_TEXT, null, null, null, null, null, 'signing_secret'),
            new xmldb_field('soap_version', XMLDB_TYPE_CHAR, '5', null, null, null, null, 'signing_secret_old'),
            new xmldb_field('soap_headers', XMLDB_TYPE_TEXT, null, null, null, null, null, 'soap_version'),
        ]);
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_rules', [
            new xmldb_field('filter', XMLDB_TYPE_TEXT, null, null, null, null, null, 'disabledreason'),
        ]);
        upgrade_plugin_savepoint(true, 2026112503, 'local', 'integrationhub');
    }

    if ($oldversion < 2026112506) {
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_log', [
            new xmldb_field('ruleid', XMLDB_TYPE_INTEGER, '10', null, null, null, null, 'direction'),
            new xmldb_field('messageid', XMLDB_TYPE_CHAR, '127', null, null, null, null, 'ruleid'),
            new xmldb_field('eventname', XMLDB_TYPE_CHAR, '255', null, null, null, null, 'messageid'),
            new xmldb_field('outcome', XMLDB_TYPE_CHAR, '10', null, null, null, null, 'eventname'),
        ]);
        local_integrationhub_add_missing_indexes($dbman, 'local_integrationhub_log', [
            new xmldb_index('messageid', XMLDB_INDEX_NOTUNIQUE, ['messageid']),
        ]);
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_worker', [
            new xmldb_field('retried', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '0', 'memory'),
            new xmldb_field('elected', XMLDB_TYPE_INTEGER, '1', null, XMLDB_NOTNULL, null, '0', 'retried'),
        ]);
        foreach (['stat', 'batch', 'backlog'] as $name) {
            local_integrationhub_install_missing_table($dbman, 'local_integrationhub_' . $name);
        }
        upgrade_plugin_savepoint(true, 2026112506, 'local', 'integrationhub');
    }

    if ($oldversion < 2026112507) {
        // Some of these are there already where the development branch of 2.0.0 was installed.
        $inbound = new xmldb_field('inbound_open', XMLDB_TYPE_INTEGER, '1', null, XMLDB_NOTNULL, null, '0', 'inbound_window');
        $isnew = !$dbman->field_exists(new xmldb_table('local_integrationhub_svc'), $inbound);
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_svc', [
            new xmldb_field('ip_whitelist', XMLDB_TYPE_TEXT, null, null, null, null, null, 'soap_headers'),
            new xmldb_field('hmac_secret', XMLDB_TYPE_TEXT, null, null, null, null, null, 'ip_whitelist'),
            new xmldb_field('hmac_algo', XMLDB_TYPE_CHAR, '20', null, XMLDB_NOTNULL, null, 'sha256', 'hmac_secret'),
            new xmldb_field('hmac_header', XMLDB_TYPE_CHAR, '100', null, XMLDB_NOTNULL, null, 'X-Hub-Signature-256', 'hmac_algo'),
            new xmldb_field('rate_limit_requests', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '0', 'hmac_header'),
            new xmldb_field('rate_limit_window', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '60', 'rate_limit_requests'),
            new xmldb_field('inbound_max_bytes', XMLDB_TYPE_INTEGER, '10', null, XMLDB_NOTNULL, null, '0', 'rate_limit_window'),
            new xmldb_field('inbound_window', XMLDB_TYPE_INTEGER, '5', null, XMLDB_NOTNULL, null, '0', 'inbound_max_bytes'),
            $inbound,
        ]);
        if ($isnew) {
            // Services without a token were open to anybody; they stay so until an administrator closes them.
            $empty = $DB->sql_compare_text('auth_token', 1) . " = ''";
            $DB->set_field_select('local_integrationhub_svc', 'inbound_open', 1, "auth_token IS NULL OR $empty");
        }
        local_integrationhub_install_missing_table($dbman, 'local_integrationhub_nonce');
        upgrade_plugin_savepoint(true, 2026112507, 'local', 'integrationhub');
    }

    if ($oldversion < 2026112510) {
        local_integrationhub_add_missing_fields($dbman, 'local_integrationhub_nonce', [
            new xmldb_field('holder', XMLDB_TYPE_CHAR, '32', null, null, null, null, 'timecreated'),
        ]);
        upgrade_plugin_savepoint(true, 2026112510, 'local', 'integrationhub');
    }

    return true;
}
