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

namespace local_integrationhub\local;

/**
 * The table of wanted events that the broker has not confirmed yet.
 *
 * What stays in it is published by the relay of the worker fleet, under the same message id.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class outbox {
    /** Table. */
    public const TABLE = 'local_integrationhub_outbox';

    /** First version of the plugin that has the table. */
    private const SINCE = 2026112200;

    /** Most ids in one statement. */
    private const CHUNK = 500;

    /**
     * Whether the table exists; not so between the copying of the new code and the upgrade of the database.
     *
     * @return bool
     */
    public static function exists(): bool {
        return (int) get_config('local_integrationhub', 'version') >= self::SINCE;
    }

    /**
     * Adds a row.
     *
     * @param message $message
     */
    public static function add(message $message): void {
        global $DB;
        $DB->insert_record(self::TABLE, self::row($message), false);
        $message->stored = true;
    }

    /**
     * Adds rows in as few statements as the database allows.
     *
     * @param message[] $messages
     */
    public static function add_many(array $messages): void {
        global $DB;
        $DB->insert_records(self::TABLE, array_map([self::class, 'row'], $messages));
        foreach ($messages as $message) {
            $message->stored = true;
        }
    }

    /**
     * Removes rows.
     *
     * @param string[] $ids message ids
     */
    public static function remove(array $ids): void {
        global $DB;
        foreach (array_chunk($ids, self::CHUNK) as $chunk) {
            $DB->delete_records_list(self::TABLE, 'messageid', $chunk);
        }
    }

    /**
     * Claims rows before they are published late: their age starts anew, so that the relay, which takes old rows only,
     * leaves them alone.
     *
     * @param string[] $ids message ids
     * @return array id => 1 of those that are still there; the others have been published by the relay
     */
    public static function claim(array $ids): array {
        global $DB;
        $present = [];
        foreach (array_chunk($ids, self::CHUNK) as $chunk) {
            [$insql, $params] = $DB->get_in_or_equal($chunk);
            $DB->set_field_select(self::TABLE, 'timecreated', time(), "messageid $insql", $params);
            $present += array_fill_keys($DB->get_fieldset_select(self::TABLE, 'messageid', "messageid $insql", $params), 1);
        }
        return $present;
    }

    /**
     * The row of a message.
     *
     * @param message $message
     * @return \stdClass
     */
    private static function row(message $message): \stdClass {
        return (object) [
            'messageid' => $message->id,
            'eventname' => $message->eventname,
            'payload' => $message->body,
            'timecreated' => $message->timecreated,
        ];
    }
}
