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

use local_integrationhub\event\dead_letters_discarded;
use local_integrationhub\event\dead_letters_replayed;
use local_integrationhub\event\replay_stopped;
use local_integrationhub\table\dead_filter;

/**
 * Asks the replayer to send dead letters again or to throw them away, and tells how far it is.
 *
 * The rows that ask stay: they are the record of who has asked for what. Letters of version 2.0.0 are settled at once. Any
 * other letter without an id cannot be chosen alone: the broker does not know it by one.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class replays {
    /** Table. */
    public const TABLE = 'local_integrationhub_replay';

    /** Actions. */
    public const ACTIONS = ['replay', 'discard'];

    /** Modes of a replay: the body as last sent, or what today's rule makes of the event. */
    public const MODES = ['sent', 'render'];

    /** Most letters that are asked for one by one. */
    public const MAXSINGLE = 200;

    /** Letters per second, unless something else is said. */
    public const RATE = 100;

    /** States in which a request may be stopped. */
    private const OPEN = ['requested', 'running'];

    /**
     * Asks for letters.
     *
     * @param string $action one of ACTIONS
     * @param int[] $ids rows of dead letters
     * @param array $options mode, rate, canary, stopafter
     * @return int how many
     */
    public static function request_chosen(string $action, array $ids, array $options = []): int {
        global $DB;
        $letters = $DB->get_records_list('local_integrationhub_dlq', 'id', array_slice($ids, 0, self::MAXSINGLE), 'id');
        $number = 0;
        foreach ($letters as $letter) {
            if (old_letter::is_one($letter)) {
                $number += (int) self::settle_old($action, $letter);
            } else if ($letter->state === 'dead' && (string) $letter->messageid !== '') {
                self::add($action, [
                    'serviceid' => $letter->serviceid, 'ruleid' => $letter->ruleid ?: null, 'messageid' => $letter->messageid,
                ], $options, $letter->messageid);
                $number++;
            }
        }
        return $number;
    }

    /**
     * Does at once what is asked for a letter of version 2.0.0, which the replayer does not know.
     *
     * @param string $action
     * @param \stdClass $letter
     * @return bool whether it was done
     */
    private static function settle_old(string $action, \stdClass $letter): bool {
        global $DB;
        if ($action !== 'discard' && !old_letter::rule($letter)) {
            return false;
        }
        $name = get_string('letter_number', 'local_integrationhub', $letter->id);
        $columns = ['serviceid' => $letter->serviceid, 'eventname' => $letter->eventname, 'state' => 'done', 'matched' => 1,
            'timestarted' => time(), 'timeended' => time()];
        $id = self::add($action, $columns, [], $name);
        $done = $action === 'discard'
            ? old_letter::discard($letter, $id) : old_letter::send($letter, $id, amqp_broker::instance());
        $end = $done ? ['moved' => 1] : ['state' => 'failed', 'error' => get_string('letter_not_taken', 'local_integrationhub')];
        $DB->update_record(self::TABLE, (object) (['id' => $id] + $end));
        return $done;
    }

    /**
     * Asks for all letters that a filter lets pass.
     *
     * @param string $action one of ACTIONS
     * @param dead_filter $filter
     * @param array $options mode, rate, canary, stopafter
     * @return int how many there are now
     * @throws \moodle_exception when there are too many that have to be asked for one by one
     */
    public static function request_all(string $action, dead_filter $filter, array $options = []): int {
        global $DB;
        [$where, $parameters] = $filter->sql();
        $from = "FROM {local_integrationhub_dlq} d WHERE $where";
        if (!$filter->is_exact()) {
            $ids = $DB->get_records_sql_menu("SELECT d.id, d.id AS same $from ORDER BY d.id", $parameters, 0, self::MAXSINGLE + 1);
            if (count($ids) > self::MAXSINGLE) {
                throw new \moodle_exception('error_too_many_letters', 'local_integrationhub', '', self::MAXSINGLE);
            }
            return self::request_chosen($action, array_keys($ids), $options);
        }
        $number = $DB->count_records_sql("SELECT COUNT(*) $from", $parameters);
        // One that has been asked for before and is as it was has its message's id already.
        $isold = "d.timemodified = 0 AND d.state = 'dead' AND (d.messageid IS NULL OR d.replayid IS NOT NULL)";
        $old = "SELECT d.id, d.id AS same $from AND $isold ORDER BY d.id";
        $old = $DB->get_records_sql_menu($old, $parameters, 0, self::MAXSINGLE + 1);
        self::add($action, $filter->columns(), $options, self::text((object) $filter->columns()));
        return $number - count($old) + ($old ? self::request_chosen($action, array_keys($old), $options) : 0);
    }

    /**
     * Sends letters again as they were sent, and waits until that is done.
     *
     * @param int[] $ids rows of dead letters
     * @param int $seconds to wait at most
     * @return array word and text, by id; the words are those of the script of 2.0.0
     * @throws \moodle_exception when there is no such letter
     */
    public static function carry_out(array $ids, int $seconds = 60): array {
        global $DB;
        $last = (int) $DB->get_field_sql('SELECT MAX(id) FROM {' . self::TABLE . '}');
        $told = [];
        foreach ($ids as $id) {
            $letter = $DB->get_record('local_integrationhub_dlq', ['id' => $id]);
            if (!$letter) {
                throw new \moodle_exception('error_no_letter', 'local_integrationhub', '', $id);
            }
            $told[$id] = self::request_chosen('replay', [$id]) ? ['SUCCESS', 'Replayed successfully.']
                : ['SKIP', get_string('letter_skipped', 'local_integrationhub', $letter->state)];
        }
        $end = time() + $seconds;
        $open = 'id > ? AND state IN (?, ?)';
        $parameters = array_merge([$last], self::OPEN);
        while ($DB->record_exists_select(self::TABLE, $open, $parameters) && time() < $end) {
            usleep(200000);
        }
        $left = $DB->get_fieldset_select(self::TABLE, 'messageid', "id > ? AND state <> 'done'", [$last]);
        foreach ($left ? $DB->get_records_list('local_integrationhub_dlq', 'messageid', $left, '', 'id') : [] as $letter) {
            if (isset($told[$letter->id])) {
                $told[$letter->id] = ['FAIL', 'MIH error: ' . get_string('letter_not_taken', 'local_integrationhub')];
            }
        }
        return $told;
    }

    /**
     * Has a request end; what was moved until then stays moved.
     *
     * @param int $id
     * @return bool whether it was still open
     */
    public static function stop(int $id): bool {
        global $DB;
        $replay = $DB->get_record(self::TABLE, ['id' => $id], '*', MUST_EXIST);
        if (!in_array($replay->state, self::OPEN, true)) {
            return false;
        }
        [$in, $parameters] = $DB->get_in_or_equal(self::OPEN);
        $DB->set_field_select(self::TABLE, 'state', 'stopped', "id = ? AND state $in", array_merge([$id], $parameters));
        replay_stopped::record($id, self::text($replay));
        return true;
    }

    /**
     * The latest requests, each with percent (null: not known) and isopen.
     *
     * @param int $limit
     * @return \stdClass[]
     */
    public static function latest(int $limit): array {
        global $DB;
        $replays = $DB->get_records(self::TABLE, null, 'id DESC', '*', 0, $limit);
        foreach ($replays as $replay) {
            $replay->isopen = in_array($replay->state, self::OPEN, true);
            $replay->percent = self::percent($replay);
        }
        return $replays;
    }

    /**
     * What a request is about, in words.
     *
     * @param \stdClass $replay
     * @return string
     */
    public static function text(\stdClass $replay): string {
        global $DB;
        $parts = [];
        if (!empty($replay->messageid)) {
            $parts[] = $replay->messageid;
        }
        if (!empty($replay->serviceid)) {
            $name = $DB->get_field('local_integrationhub_svc', 'name', ['id' => $replay->serviceid]);
            $parts[] = $name === false ? get_string('service_gone', 'local_integrationhub', $replay->serviceid) : $name;
        }
        if (!empty($replay->ruleid)) {
            $parts[] = get_string('rule_number', 'local_integrationhub', $replay->ruleid);
        }
        $parts[] = $replay->eventname ?? '';
        $parts[] = empty($replay->reason) ? '' : "\"$replay->reason\"";
        foreach (['timefrom' => 'time_from', 'timeto' => 'time_to'] as $column => $key) {
            if (!empty($replay->$column)) {
                $when = userdate($replay->$column, get_string('strftimedatetimeshort', 'langconfig'));
                $parts[] = get_string($key, 'local_integrationhub', $when);
            }
        }
        $text = implode(' · ', array_filter($parts, 'strlen'));
        return $text === '' ? get_string('replay_everything', 'local_integrationhub') : $text;
    }

    /**
     * How much is done: what was moved, of that and of what still has to be.
     *
     * @param \stdClass $replay
     * @return int|null
     */
    private static function percent(\stdClass $replay): ?int {
        global $DB;
        if (!$replay->isopen) {
            return $replay->state === 'done' ? 100 : null;
        }
        if ($replay->state === 'requested') {
            return 0;
        }
        $filter = new dead_filter(array_filter([
            'serviceid' => $replay->serviceid, 'ruleid' => $replay->ruleid, 'eventname' => $replay->eventname,
            'reason' => $replay->reason,
        ]));
        [$where, $parameters] = $filter->sql();
        $others = ['messageid' => 'messageid =', 'timefrom' => 'timecreated >=', 'timeto' => 'timecreated <='];
        foreach ($others as $name => $condition) {
            if ($replay->$name) {
                $where .= " AND d.$condition :exact$name";
                $parameters["exact$name"] = $replay->$name;
            }
        }
        // A letter that has failed again since the start waits for another request.
        $where .= ' AND d.timecreated <= :started';
        $parameters['started'] = (int) ($replay->timestarted ?: $replay->timecreated);
        $left = $DB->count_records_sql("SELECT COUNT(*) FROM {local_integrationhub_dlq} d WHERE $where", $parameters);
        $all = $replay->moved + $left;
        return $all ? (int) floor(100 * $replay->moved / $all) : 100;
    }

    /**
     * Adds a request.
     *
     * @param string $action
     * @param array $columns which letters
     * @param array $options
     * @param string $name what it is about, for the log
     * @return int id
     */
    private static function add(string $action, array $columns, array $options, string $name): int {
        global $DB, $USER;
        $now = time();
        $id = $DB->insert_record(self::TABLE, (object) ($columns + [
            'action' => $action === 'discard' ? 'discard' : 'replay',
            'mode' => ($options['mode'] ?? '') === 'render' ? 'render' : 'sent',
            'rate' => max(1, (int) ($options['rate'] ?? self::RATE)),
            'canary' => (int) !empty($options['canary']),
            'stopafter' => max(0, (int) ($options['stopafter'] ?? 0)),
            'userid' => $USER->id,
            'timecreated' => $now,
            'timemodified' => $now,
        ]));
        $event = $action === 'discard' ? dead_letters_discarded::class : dead_letters_replayed::class;
        $event::record($id, $name);
        return $id;
    }
}
