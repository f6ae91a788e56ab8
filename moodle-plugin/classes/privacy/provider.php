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
use core_privacy\local\request\userlist;
use core_privacy\local\request\writer;

/**
 * What the plugin knows about people: events that wait in the outbox, dead letters, and what it sends to others.
 *
 * An event concerns its actor (userid), the one it is about (relateduserid) and the one behind a "log in as" (realuserid).
 * A dead letter holds what an administrator's template made of an event; it counts as somebody's when a key of one of
 * these names holds that person's id. A replay names the administrator who asked for it; it is the record of what was
 * sent again or discarded, so that it stays, without the name, when that person's data is deleted.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class provider implements
    \core_privacy\local\metadata\provider,
    \core_privacy\local\request\core_userlist_provider,
    \core_privacy\local\request\plugin\provider {
    /** Tables with events: column of the JSON text by table. */
    private const TABLES = [
        'local_integrationhub_outbox' => 'payload',
        'local_integrationhub_dlq' => 'payload',
    ];

    /** Who asked for a replay of dead letters. */
    private const REPLAYS = 'local_integrationhub_replay';

    /** Keys that name a person. */
    private const KEYS = ['userid', 'relateduserid', 'realuserid'];

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
        $collection->add_database_table('local_integrationhub_dlq', $event + [
            'endpoint' => 'privacy:metadata:dlq:endpoint',
            'response' => 'privacy:metadata:dlq:response',
        ], 'privacy:metadata:dlq');
        $collection->add_database_table('local_integrationhub_replay', [
            'userid' => 'privacy:metadata:replay:userid',
            'action' => 'privacy:metadata:replay:action',
            'timecreated' => 'privacy:metadata:replay:timecreated',
        ], 'privacy:metadata:replay');
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
            foreach (self::rows($table, [$userid]) as $ignored) {
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
        foreach (self::TABLES as $table => $column) {
            $rows = $DB->get_recordset($table, null, '', 'id, ' . $column);
            foreach ($rows as $row) {
                $ids += array_fill_keys(self::people((string) $row->$column), 1);
            }
            $rows->close();
        }
        $userlist->add_users(array_keys($ids));
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
        $replays = $DB->get_records(self::REPLAYS, ['userid' => $contextlist->get_user()->id], 'id', 'id, action, timecreated');
        if ($replays) {
            $export = array_map(function (\stdClass $row): \stdClass {
                $time = \core_privacy\local\request\transform::datetime($row->timecreated);
                return (object) ['action' => $row->action, 'timecreated' => $time];
            }, array_values($replays));
            writer::with_context($context)->export_data(self::path(self::REPLAYS), (object) ['replays' => $export]);
        }
        foreach (array_keys(self::TABLES) as $table) {
            $events = [];
            foreach (self::rows($table, [(int) $contextlist->get_user()->id]) as $row) {
                $events[] = (object) [
                    'eventname' => $row->eventname,
                    'payload' => $row->payload,
                    'timecreated' => \core_privacy\local\request\transform::datetime($row->timecreated),
                ];
            }
            if ($events) {
                writer::with_context($context)->export_data(self::path($table), (object) ['events' => $events]);
            }
        }
    }

    /**
     * Where an export stands.
     *
     * @param string $table
     * @return string[]
     */
    private static function path(string $table): array {
        return array_map(function (string $key): string {
            return get_string($key, 'local_integrationhub');
        }, ['pluginname', 'privacy:path:' . $table]);
    }

    /**
     * Deletes everything in the system context.
     *
     * @param \context $context
     */
    public static function delete_data_for_all_users_in_context(\context $context) {
        global $DB;
        if ($context instanceof \context_system) {
            foreach (array_keys(self::TABLES) as $table) {
                $DB->delete_records($table);
            }
            $DB->set_field_select(self::REPLAYS, 'userid', null, 'userid IS NOT NULL');
        }
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
        foreach (array_keys(self::TABLES) as $table) {
            $ids = [];
            foreach (self::rows($table, $userids) as $row) {
                $ids[] = $row->id;
            }
            foreach (array_chunk($ids, 500) as $chunk) {
                $DB->delete_records_list($table, 'id', $chunk);
            }
        }
    }

    /**
     * The rows of a table that concern any of these users, one after the other.
     *
     * @param string $table
     * @param int[] $userids
     * @return \Generator
     */
    private static function rows(string $table, array $userids): \Generator {
        global $DB;
        $column = self::TABLES[$table];
        $rows = $DB->get_recordset($table);
        try {
            foreach ($rows as $row) {
                if (array_intersect($userids, self::people((string) $row->$column))) {
                    yield $row;
                }
            }
        } finally {
            $rows->close();
        }
    }

    /**
     * The people whom a JSON text names.
     *
     * @param string $json
     * @return int[]
     */
    private static function people(string $json): array {
        $data = json_decode($json, true);
        $people = [];
        if (is_array($data)) {
            array_walk_recursive($data, function ($value, $key) use (&$people): void {
                if (in_array($key, self::KEYS, true) && is_numeric($value) && $value > 0) {
                    $people[] = (int) $value;
                }
            });
        }
        return $people;
    }
}
