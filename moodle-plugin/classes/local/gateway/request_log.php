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

namespace local_integrationhub\local\gateway;

use local_integrationhub\local\config;

/**
 * Writes the table of recent requests, as 2.0.0 did, without a secret; keeps it at the size that the setting says.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class request_log {
    /** Table. */
    public const TABLE = 'local_integrationhub_log';

    /** Most refusals of a service that are written in a minute. */
    private const MAXREFUSALS = 5;

    /** The part of the table that refusals may fill: anybody can cause them. */
    private const REFUSALPART = 10;

    /** Most characters of an error. */
    private const MAXERROR = 1000;

    /** Most characters of an endpoint. */
    private const MAXENDPOINT = 1333;

    /**
     * A request that was sent.
     *
     * @param \stdClass $service
     * @param string $endpoint
     * @param string $method
     * @param array $result of the transport
     */
    public static function sent(\stdClass $service, string $endpoint, string $method, array $result): void {
        self::write($service, [
            'endpoint' => $endpoint,
            'http_method' => $method,
            'http_status' => $result['http_code'],
            'latency_ms' => $result['latency'],
            'attempt_count' => $result['attempts'],
            'success' => (int) $result['success'],
            'error_message' => $result['error'],
        ]);
    }

    /**
     * A request that the breaker has refused.
     *
     * @param \stdClass $service
     * @param string $endpoint
     * @param string $method
     */
    public static function refused(\stdClass $service, string $endpoint, string $method): void {
        self::write($service, [
            'endpoint' => $endpoint,
            'http_method' => $method,
            'http_status' => null,
            'latency_ms' => 0,
            'attempt_count' => 0,
            'success' => 0,
            'error_message' => 'Circuit breaker is OPEN',
        ]);
    }

    /**
     * A call that came in.
     *
     * @param \stdClass $service
     * @param string $source webhook or amqp
     * @param string|null $error null: it was handled
     */
    public static function inbound(\stdClass $service, string $source, ?string $error = null): void {
        self::write($service, [
            'endpoint' => $source,
            'http_method' => 'INBOUND',
            'http_status' => null,
            'latency_ms' => null,
            'attempt_count' => 1,
            'success' => (int) ($error === null),
            'error_message' => $error,
            'direction' => 'inbound',
        ]);
    }

    /**
     * A call that was refused. Anybody can call, so only some are written, and they push out nothing but their like.
     *
     * @param \stdClass $service
     * @param int $status
     * @param string $reason
     */
    public static function turned_away(\stdClass $service, int $status, string $reason): void {
        global $DB;
        $select = "direction = 'inbound' AND http_status IS NOT NULL";
        $recent = "$select AND serviceid = ? AND timecreated > ?";
        if ($DB->count_records_select(self::TABLE, $recent, [$service->id, time() - MINSECS]) >= self::MAXREFUSALS) {
            return;
        }
        self::write($service, [
            'endpoint' => 'webhook',
            'http_method' => 'INBOUND',
            'http_status' => $status,
            'latency_ms' => null,
            'attempt_count' => 1,
            'success' => 0,
            'error_message' => $reason,
            'direction' => 'inbound',
        ]);
        $most = config::number('max_log_entries');
        $kept = max(1, intdiv($most, self::REFUSALPART));
        $old = $most > 0 ? $DB->get_records_select(self::TABLE, $select, [], 'id DESC', 'id', $kept, 1) : [];
        if ($old) {
            $DB->delete_records_select(self::TABLE, "$select AND id <= ?", [reset($old)->id]);
        }
    }

    /**
     * Writes a row.
     *
     * @param \stdClass $service
     * @param array $values
     */
    private static function write(\stdClass $service, array $values): void {
        global $DB;
        $values['endpoint'] = \core_text::substr(secrets::mask($values['endpoint'], $service), 0, self::MAXENDPOINT);
        $values['http_method'] = \core_text::substr($values['http_method'], 0, 10);
        if ($values['error_message'] !== null) {
            $error = fix_utf8(secrets::mask($values['error_message'], $service));
            $values['error_message'] = \core_text::substr($error, 0, self::MAXERROR);
        }
        $id = $DB->insert_record(self::TABLE, (object) ($values + ['serviceid' => $service->id, 'timecreated' => time()]));
        self::purge((int) $id);
    }

    /**
     * Deletes the oldest rows, once in so many rows that a twentieth too many may stand.
     *
     * @param int $id of the row just written
     */
    private static function purge(int $id): void {
        global $DB;
        $most = config::number('max_log_entries');
        if ($most <= 0 || $id % max(1, intdiv($most, 20)) !== 0) {
            return;
        }
        $rows = $DB->get_records_select(self::TABLE, 'id <= ?', [$id], 'id DESC', 'id', $most, 1);
        if ($rows) {
            $DB->delete_records_select(self::TABLE, 'id <= ?', [reset($rows)->id]);
        }
    }
}
