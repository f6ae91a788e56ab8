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

namespace local_integrationhub\local\inbound;

use local_integrationhub\local\gateway\network;

/**
 * Who may call, and how often.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class limits {
    /** Table of what was seen of late: ids of signed calls, calls of services with a rate limit, messages that failed. */
    public const TABLE = 'local_integrationhub_nonce';

    /** Seconds after which a call that is being handled may be taken up by its repeat. */
    public const LEASE = 120;

    /** What the entries of calls begin with; no id of a signed call does. */
    private const RATE = 'rate-';

    /** What the entries of messages that could not be handled begin with. */
    private const FAILURE = 'fail-';

    /**
     * Refuses a call from an address that is not in the service's list.
     *
     * @param \stdClass $service
     * @param string $address
     * @throws refusal
     */
    public static function require_address(\stdClass $service, string $address): void {
        $networks = network::parse_list((string) $service->ip_whitelist);
        if (!$networks) {
            return;
        }
        $bytes = network::bytes($address);
        if ($bytes === null || !network::any_holds($networks, $bytes)) {
            throw new refusal(403, 'webhook_address_refused', null, true);
        }
    }

    /**
     * Refuses a call when there were too many of late.
     *
     * @param \stdClass $service
     * @throws refusal
     */
    public static function require_rate(\stdClass $service): void {
        global $DB;
        $most = (int) $service->rate_limit_requests;
        if ($most <= 0) {
            return;
        }
        $since = time() - max(1, (int) $service->rate_limit_window);
        // Written before it is counted: of calls at the same moment, too, no more than these pass.
        $nonce = self::RATE . bin2hex(random_bytes(16));
        $row = ['serviceid' => $service->id, 'nonce' => $nonce, 'timestamp' => time(), 'timecreated' => time()];
        $own = $DB->insert_record(self::TABLE, (object) $row);
        $select = 'serviceid = :serviceid AND ' . $DB->sql_like('nonce', ':rate');
        $recent = ['serviceid' => $service->id, 'rate' => self::RATE . '%', 'since' => $since, 'own' => $own];
        if ($DB->count_records_select(self::TABLE, "$select AND timestamp > :since AND id <= :own", $recent) > $most) {
            $DB->delete_records(self::TABLE, ['id' => $own]);
            throw new refusal(429, 'webhook_too_many');
        }
        unset($recent['own']);
        $DB->delete_records_select(self::TABLE, "$select AND timestamp <= :since", $recent);
    }

    /**
     * Takes an id, so that one call of it at a time is handled, and none after one that succeeded.
     *
     * @param int $serviceid
     * @param string $id
     * @return string|null for finish() or release(); null: it has been handled
     * @throws refusal while another call of it is handled
     */
    public static function take(int $serviceid, string $id): ?string {
        global $DB;
        $key = ['serviceid' => $serviceid, 'nonce' => $id];
        $holder = bin2hex(random_bytes(16));
        $until = time() + self::LEASE;
        $row = $DB->get_record(self::TABLE, $key);
        if (!$row) {
            try {
                $DB->insert_record(self::TABLE, (object) ($key + ['timestamp' => $until, 'timecreated' => time(),
                    'holder' => $holder]), false);
                return $holder;
            } catch (\dml_write_exception $e) {
                // Of two at the same moment the database takes one. Any other trouble leaves no row.
                if (!$DB->record_exists(self::TABLE, $key)) {
                    throw $e;
                }
            }
        }
        // Who died with it, or takes too long, loses it. Moodle does not tell how many rows a statement has changed.
        $sql = 'UPDATE {' . self::TABLE . '} SET holder = ?, timestamp = ?
                 WHERE serviceid = ? AND nonce = ? AND holder IS NOT NULL AND timestamp < ?';
        $DB->execute($sql, [$holder, $until, $serviceid, $id, time()]);
        $row = $DB->get_record(self::TABLE, $key);
        if ($row && $row->holder === null) {
            return null;
        }
        if (!$row || $row->holder !== $holder) {
            throw new refusal(503, 'webhook_busy');
        }
        return $holder;
    }

    /**
     * The call of an id has been handled: it counts no more.
     *
     * @param int $serviceid
     * @param string $id
     * @param string $holder
     */
    public static function finish(int $serviceid, string $id, string $holder): void {
        global $DB;
        $DB->set_field(self::TABLE, 'holder', null, ['serviceid' => $serviceid, 'nonce' => $id, 'holder' => $holder]);
    }

    /**
     * The call of an id could not be handled, and may come again.
     *
     * @param int $serviceid
     * @param string $id
     * @param string $holder
     */
    public static function release(int $serviceid, string $id, string $holder): void {
        global $DB;
        $DB->delete_records(self::TABLE, ['serviceid' => $serviceid, 'nonce' => $id, 'holder' => $holder]);
    }

    /**
     * Notes that a message could not be handled.
     *
     * @param int $serviceid
     * @param string $key what tells the message from others
     * @return bool whether it was noted before
     */
    public static function note_failure(int $serviceid, string $key): bool {
        global $DB;
        $row = ['serviceid' => $serviceid, 'nonce' => self::failure($key)];
        if ($DB->record_exists(self::TABLE, $row)) {
            return true;
        }
        $DB->insert_record(self::TABLE, (object) ($row + ['timestamp' => time(), 'timecreated' => time()]), false);
        return false;
    }

    /**
     * The message will not come again.
     *
     * @param int $serviceid
     * @param string $key
     */
    public static function forget_failure(int $serviceid, string $key): void {
        global $DB;
        $DB->delete_records(self::TABLE, ['serviceid' => $serviceid, 'nonce' => self::failure($key)]);
    }

    /**
     * The entry of a message.
     *
     * @param string $key
     * @return string
     */
    private static function failure(string $key): string {
        return substr(self::FAILURE . hash('sha256', $key), 0, 64);
    }

    /**
     * Deletes what is so old that no call can be refused because of it.
     *
     * @param int $seconds
     */
    public static function forget(int $seconds): void {
        global $DB;
        $DB->delete_records_select(self::TABLE, 'timecreated < ?', [time() - $seconds]);
    }
}
