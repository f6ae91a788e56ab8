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

namespace local_integrationhub\privacy;

use core_privacy\local\metadata\collection;
use core_privacy\local\request\approved_contextlist;
use core_privacy\local\request\approved_userlist;
use core_privacy\local\request\contextlist;
use core_privacy\local\request\transform;
use core_privacy\local\request\userlist;
use core_privacy\local\request\writer;

/**
 * What the plugin knows about people: events that wait in the outbox, deliveries that 2.0.0 had queued, dead letters, the log
 * of requests, who asked for replays, and what it sends to others.
 *
 * An event concerns its actor (userid), the one it is about (relateduserid) and the one behind a "log in as" (realuserid);
 * class people tells whom a text concerns. A row of the log concerns those whom the dead letter of the same message does.
 *
 * Deletion: what lies at the broker as a dead letter is discarded there by the worker fleet, which is asked to; its row stays,
 * emptied, until that is done and the row is cleaned up. A replay names the administrator who asked for it; it is the record
 * of what was sent again or discarded, so that it stays, without the name.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class provider implements
    \core_privacy\local\metadata\provider,
    \core_privacy\local\request\core_userlist_provider,
    \core_privacy\local\request\plugin\provider {
    /** Tables whose rows are about people: the column that tells whom, and those that are exported. */
    private const TABLES = [
        'local_integrationhub_outbox' => ['payload', ['eventname', 'payload', 'timecreated']],
        'local_integrationhub_dlq' => [
            'payload', ['eventname', 'payload', 'timecreated', 'endpoint', 'error_message', 'response', 'state'],
        ],
        'task_adhoc' => ['customdata', ['customdata', 'nextruntime']],
    ];

    /** Dead letters. */
    private const DEAD = 'local_integrationhub_dlq';

    /** Requests: their rows name an event by its message. */
    private const LOG = 'local_integrationhub_log';

    /** Who asked for a replay of dead letters. */
    private const REPLAYS = 'local_integrationhub_replay';

    /** Tasks of 2.0.0, of all those in Moodle's table. */
    private const TASK = '\local_integrationhub\task\dispatch_event_task';

    /**
     * Says what is stored and sent.
     *
     * @param collection $collection
     * @return collection
     */
    public static function get_metadata(collection $collection): collection {
        $event = [
            'eventname' => 'privacy:metadata:events:eventname',
            'payload' => 'privacy:metadata:events:payload',
            'timecreated' => 'privacy:metadata:events:timecreated',
        ];
        $collection->add_database_table('local_integrationhub_outbox', $event, 'privacy:metadata:outbox');
        $collection->add_database_table(self::DEAD, $event + [
            'endpoint' => 'privacy:metadata:dlq:endpoint',
            'response' => 'privacy:metadata:dlq:response',
        ], 'privacy:metadata:dlq');
        $task = ['customdata' => 'privacy:metadata:events:payload'];
        $collection->add_database_table('task_adhoc', $task, 'privacy:metadata:tasks');
        $collection->add_database_table(self::LOG, [
            'messageid' => 'privacy:metadata:log:messageid',
            'eventname' => 'privacy:metadata:events:eventname',
            'endpoint' => 'privacy:metadata:log:endpoint',
            'error_message' => 'privacy:metadata:log:error_message',
            'timecreated' => 'privacy:metadata:events:timecreated',
        ], 'privacy:metadata:log');
        $collection->add_database_table(self::REPLAYS, [
            'userid' => 'privacy:metadata:replay:userid',
            'action' => 'privacy:metadata:replay:action',
            'timecreated' => 'privacy:metadata:replay:timecreated',
        ], 'privacy:metadata:replay');
        $collection->add_external_location_link('broker', $event, 'privacy:metadata:broker');
        $collection->add_external_location_link('external_services', [
            'userid' => 'privacy:metadata:external_services:userid',
            'courseid' => 'privacy:metadata:external_services:courseid',
            'objectid' => 'privacy:metadata:external_services:objectid',
            'eventname' => 'privacy:metadata:external_services:eventname',
            'payload' => 'privacy:metadata:external_services:payload',
        ], 'privacy:metadata:external_services');
        return $collection;
    }

    /**
     * The system context, when something concerns the user.
     *
     * @param int $userid
     * @return contextlist
     */
    public static function get_contexts_for_userid(int $userid): contextlist {
        global $DB;
        $list = new contextlist();
        if ($DB->record_exists(self::REPLAYS, ['userid' => $userid])) {
            $list->add_system_context();
            return $list;
        }
        foreach (array_keys(self::TABLES) as $table) {
            foreach (self::rows($table, self::users([$userid])) as $ignored) {
                $list->add_system_context();
                return $list;
            }
        }
        return $list;
    }

    /**
     * The users whom something in the system context concerns.
     *
     * @param userlist $userlist
     */
    public static function get_users_in_context(userlist $userlist) {
        global $DB;
        if (!$userlist->get_context() instanceof \context_system) {
            return;
        }
        $ids = [];
        $emails = [];
        foreach (self::TABLES as $table => [$column]) {
            foreach (self::rows($table) as $row) {
                $people = new people((string) $row->$column);
                $ids += array_fill_keys($people->ids(), 1);
                $emails += array_fill_keys($people->emails(), 1);
            }
        }
        $userlist->add_users(array_keys($ids));
        foreach (array_chunk(array_keys($emails), 500) as $chunk) {
            [$insql, $params] = $DB->get_in_or_equal($chunk, SQL_PARAMS_NAMED);
            $userlist->add_from_sql('id', "SELECT id FROM {user} WHERE LOWER(email) $insql", $params);
        }
        $userlist->add_from_sql('userid', 'SELECT userid FROM {' . self::REPLAYS . '} WHERE userid IS NOT NULL', []);
    }

    /**
     * Exports what concerns the user.
     *
     * @param approved_contextlist $contextlist
     */
    public static function export_user_data(approved_contextlist $contextlist) {
        global $DB;
        $context = \context_system::instance();
        if (!in_array($context->id, $contextlist->get_contextids())) {
            return;
        }
        $userid = (int) $contextlist->get_user()->id;
        $replays = $DB->get_records(self::REPLAYS, ['userid' => $userid], 'id', 'id, action, timecreated');
        self::export($context, self::REPLAYS, 'replays', $replays, ['action', 'timecreated']);
        $messages = [];
        foreach (self::TABLES as $table => [, $columns]) {
            $rows = iterator_to_array(self::rows($table, self::users([$userid])), false);
            self::export($context, $table, 'events', $rows, $columns);
            $messages = array_merge($messages, array_filter(array_column($rows, 'messageid')));
        }
        $columns = ['eventname', 'timecreated', 'endpoint', 'http_method', 'http_status', 'error_message'];
        self::export($context, self::LOG, 'requests', self::requests($messages), $columns);
    }

    /**
     * Writes rows of one table.
     *
     * @param \context $context
     * @param string $table
     * @param string $name of the list
     * @param \stdClass[] $rows
     * @param string[] $columns
     */
    private static function export(\context $context, string $table, string $name, array $rows, array $columns): void {
        if (!$rows) {
            return;
        }
        $list = array_map(function (\stdClass $row) use ($columns): \stdClass {
            $data = new \stdClass();
            foreach ($columns as $column) {
                $istime = $column === 'timecreated' || $column === 'nextruntime';
                $data->$column = $istime ? transform::datetime((int) $row->$column) : $row->$column;
            }
            return $data;
        }, array_values($rows));
        $path = array_map(function (string $key): string {
            return get_string($key, 'local_integrationhub');
        }, ['pluginname', 'privacy:path:' . $table]);
        writer::with_context($context)->export_data($path, (object) [$name => $list]);
    }

    /**
     * Deletes everything in the system context.
     *
     * @param \context $context
     */
    public static function delete_data_for_all_users_in_context(\context $context) {
        global $DB;
        if (!$context instanceof \context_system) {
            return;
        }
        foreach ($DB->get_fieldset_sql('SELECT DISTINCT serviceid FROM {' . self::DEAD . "} WHERE state = 'dead'") as $serviceid) {
            // What dies after this is not ours to throw away.
            self::request_discard(['serviceid' => $serviceid, 'timeto' => time()]);
        }
        $DB->delete_records(self::DEAD);
        $DB->delete_records(self::LOG);
        $DB->delete_records('local_integrationhub_outbox');
        $DB->delete_records('task_adhoc', ['classname' => self::TASK]);
        $DB->set_field_select(self::REPLAYS, 'userid', null, 'userid IS NOT NULL');
    }

    /**
     * Deletes what concerns one user.
     *
     * @param approved_contextlist $contextlist
     */
    public static function delete_data_for_user(approved_contextlist $contextlist) {
        if (in_array(\context_system::instance()->id, $contextlist->get_contextids())) {
            self::delete([(int) $contextlist->get_user()->id]);
        }
    }

    /**
     * Deletes what concerns some users.
     *
     * @param approved_userlist $userlist
     */
    public static function delete_data_for_users(approved_userlist $userlist) {
        if ($userlist->get_context() instanceof \context_system) {
            self::delete(array_map('intval', $userlist->get_userids()));
        }
    }

    /**
     * Deletes the rows that concern any of these users, and their names where rows stay.
     *
     * @param int[] $userids
     */
    private static function delete(array $userids): void {
        global $DB;
        foreach ($userids as $userid) {
            $DB->set_field(self::REPLAYS, 'userid', null, ['userid' => $userid]);
        }
        $users = self::users($userids);
        foreach (array_keys(self::TABLES) as $table) {
            $rows = iterator_to_array(self::rows($table, $users), false);
            foreach (array_chunk(array_filter(array_column($rows, 'messageid')), 500) as $chunk) {
                $DB->delete_records_list(self::LOG, 'messageid', $chunk);
            }
            foreach ($rows as $row) {
                if ($table === self::DEAD && self::is_at_broker($row)) {
                    self::request_discard(['serviceid' => $row->serviceid, 'messageid' => $row->messageid]);
                    $empty = ['id' => $row->id, 'payload' => null, 'response' => null, 'error_message' => null, 'endpoint' => null];
                    $DB->update_record($table, (object) $empty);
                } else {
                    $DB->delete_records($table, ['id' => $row->id]);
                }
            }
        }
    }

    /**
     * The rows of the log that tell of messages.
     *
     * @param string[] $ids
     * @return \stdClass[]
     */
    private static function requests(array $ids): array {
        global $DB;
        $rows = [];
        foreach (array_chunk($ids, 500) as $chunk) {
            $rows += $DB->get_records_list(self::LOG, 'messageid', $chunk, 'id');
        }
        return $rows;
    }

    /**
     * Whether the broker has what a row tells of. Rows of 2.0.0 have no message.
     *
     * @param \stdClass $row of the dead letters
     * @return bool
     */
    private static function is_at_broker(\stdClass $row): bool {
        return in_array($row->state, ['dead', 'replayed'], true) && (string) $row->messageid !== '';
    }

    /**
     * Asks the fleet to discard dead letters at the broker.
     *
     * @param array $filter
     */
    private static function request_discard(array $filter): void {
        global $DB;
        $now = ['timecreated' => time(), 'timemodified' => time()];
        $DB->insert_record(self::REPLAYS, (object) (['action' => 'discard', 'state' => 'requested'] + $filter + $now));
    }

    /**
     * Users with their e-mail addresses, which a deleted one has no longer.
     *
     * @param int[] $ids
     * @return string[] address by id
     */
    private static function users(array $ids): array {
        global $DB;
        $users = array_fill_keys($ids, '');
        foreach (array_chunk($ids, 500) as $chunk) {
            foreach ($DB->get_records_list('user', 'id', $chunk, '', 'id, email') as $user) {
                $users[$user->id] = $user->email;
            }
        }
        return $users;
    }

    /**
     * The rows of a table that concern any of these users, one after the other.
     *
     * @param string $table
     * @param string[]|null $users e-mail address by id; null: every row
     * @return \Generator
     */
    private static function rows(string $table, ?array $users = null): \Generator {
        global $DB;
        [$column] = self::TABLES[$table];
        $rows = $DB->get_recordset($table, $table === 'task_adhoc' ? ['classname' => self::TASK] : [], 'id');
        try {
            foreach ($rows as $row) {
                if ($users === null || (new people((string) $row->$column))->include_any($users)) {
                    yield $row;
                }
            }
        } finally {
            $rows->close();
        }
    }
}
