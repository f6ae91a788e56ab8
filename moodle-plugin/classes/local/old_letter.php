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

use local_integrationhub\rule\registry as rules;

/**
 * A dead letter of version 2.0.0: it is a row and nothing else, for no broker has it.
 *
 * Sent again, its final payload goes to the workers as it is, by the rule that made it; the row then follows the new message.
 * A letter that no enabled rule can send stays as it was. Of two requests for one letter the row decides which gets it. The
 * message's id comes of the letter, so it is the same each time: where it is not known whether the broker has a message,
 * sending it again cannot make a second one of it.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class old_letter {
    /** Table. */
    private const TABLE = 'local_integrationhub_dlq';

    /** Deepest payload that may stand for its event. */
    private const MAXDEPTH = 32;

    /**
     * Whether a row is one that can be sent: the worker fleet has not written it.
     *
     * @param \stdClass $letter
     * @return bool
     */
    public static function is_one(\stdClass $letter): bool {
        $isown = (string) $letter->messageid === '' || $letter->messageid === self::id($letter);
        return $isown && !$letter->timemodified && $letter->state === 'dead';
    }

    /**
     * The id of a letter's message.
     *
     * @param \stdClass $letter
     * @return string
     */
    private static function id(\stdClass $letter): string {
        return uuid::derived((int) $letter->timecreated, config::site_id() . " dead letter $letter->id");
    }

    /**
     * The rule that a letter is sent by: its own, or else the first enabled one for its event and service.
     *
     * @param \stdClass $letter
     * @return \stdClass|null
     */
    public static function rule(\stdClass $letter): ?\stdClass {
        global $DB;
        $which = $letter->ruleid ? ['id' => $letter->ruleid]
            : ['eventname' => $letter->eventname, 'serviceid' => $letter->serviceid, 'enabled' => 1];
        $rows = $DB->get_records(rules::TABLE, $which, 'id', '*', 0, 1);
        $rule = reset($rows);
        return $rule && $rule->enabled ? $rule : null;
    }

    /**
     * Hands a letter to the workers.
     *
     * @param \stdClass $letter
     * @param int $replayid the request
     * @param broker $broker
     * @return bool whether they have it
     */
    public static function send(\stdClass $letter, int $replayid, broker $broker): bool {
        global $DB;
        $rule = self::rule($letter);
        if (!$rule) {
            return false;
        }
        $id = self::id($letter);
        // The workers may be done with it before we are: the row has its new name first.
        if (!self::claim($letter, $replayid, ['state' => 'replayed', 'messageid' => $id, 'ruleid' => $rule->id])) {
            return false;
        }
        $message = new message($letter->eventname, self::body($letter), (int) $letter->timecreated, true, $id);
        $message->republished = $letter->messageid === $id;
        $message->headers = [
            'x-mih-replay' => $replayid, 'x-mih-mode' => 'sent', 'x-mih-rendered' => (string) $letter->payload,
        ];
        $receipt = $broker->redeliver($message, (int) $letter->serviceid, (int) $rule->id);
        if (isset($receipt->safe[$id])) {
            return true;
        }
        $set = '} SET state = ?, timemodified = 0 WHERE id = ? AND replayid = ? AND state = ?';
        $DB->execute('UPDATE {' . self::TABLE . $set, ['dead', $letter->id, $replayid, 'replayed']);
        return false;
    }

    /**
     * Marks a letter as thrown away.
     *
     * @param \stdClass $letter
     * @param int $replayid the request
     * @return bool whether it was still there
     */
    public static function discard(\stdClass $letter, int $replayid): bool {
        return self::claim($letter, $replayid, ['state' => 'discarded']);
    }

    /**
     * Gives a letter that is still dead to a request: of several, one gets it.
     *
     * @param \stdClass $letter
     * @param int $replayid the request
     * @param array $values new values of the row
     * @return bool whether this request has it
     */
    private static function claim(\stdClass $letter, int $replayid, array $values): bool {
        global $DB;
        $values += ['replayid' => $replayid, 'timemodified' => time()];
        $sql = 'UPDATE {' . self::TABLE . '} SET ' . implode(' = ?, ', array_keys($values)) . " = ?
                 WHERE id = ? AND state = 'dead' AND timemodified = 0 AND COALESCE(messageid, '') IN (?, ?)";
        $DB->execute($sql, array_merge(array_values($values), [$letter->id, '', self::id($letter)]));
        $found = $DB->get_record(self::TABLE, ['id' => $letter->id], 'replayid, timemodified');
        return $found && (int) $found->replayid === $replayid && $found->timemodified;
    }

    /**
     * An event for the letter: its payload where that is one.
     *
     * @param \stdClass $letter
     * @return string JSON
     */
    private static function body(\stdClass $letter): string {
        $payload = json_decode((string) $letter->payload, true, self::MAXDEPTH);
        if (is_array($payload) && ($payload['eventname'] ?? '') === $letter->eventname && isset($payload['timecreated'])) {
            return (string) $letter->payload;
        }
        return json_encode(['eventname' => $letter->eventname, 'timecreated' => (int) $letter->timecreated]);
    }
}
