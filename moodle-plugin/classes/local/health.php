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

use local_integrationhub\local\gateway\network;

/**
 * Facts about how the hub is doing, for Moodle's status page and for the messages to administrators.
 *
 * Times that workers have written are the database's, so that a clock of the web server's that is wrong raises no alarm.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class health {
    /** Seconds after which a worker process that was not seen counts as gone: it writes every two. */
    public const WORKERAGE = 60;

    /** Seconds that requests may be under way without any progress, beyond the longest time-out. */
    public const STUCKAGE = 120;

    /**
     * Whether anybody expects something of the fleet: some enabled rule of an enabled service.
     *
     * @return bool
     */
    public static function is_used(): bool {
        global $DB;
        $sql = "SELECT 1
                  FROM {local_integrationhub_rules} r
                  JOIN {local_integrationhub_svc} s ON s.id = r.serviceid
                 WHERE r.enabled = 1 AND s.enabled = 1";
        return $DB->record_exists_sql($sql);
    }

    /**
     * Worker processes that were seen lately.
     *
     * @return \stdClass[] rows, with `stuck` where requests are under way and nothing moves
     */
    public static function workers(): array {
        global $DB;
        $now = self::now();
        $workers = $DB->get_records_select('local_integrationhub_worker', 'timeseen > ?', [$now - self::WORKERAGE], 'host, pid');
        $longest = (int) $DB->get_field_sql('SELECT MAX(timeout) FROM {local_integrationhub_svc}');
        foreach ($workers as $worker) {
            $worker->stuck = $worker->inflight > 0 && $worker->timeprogress < $now - $longest - self::STUCKAGE;
        }
        return $workers;
    }

    /**
     * What waits in the outbox.
     *
     * @return int[] number, age of the oldest in seconds
     */
    public static function outbox(): array {
        global $DB;
        $row = $DB->get_record_sql('SELECT COUNT(*) AS number, MIN(timecreated) AS oldest FROM {' . outbox::TABLE . '}');
        return [(int) $row->number, $row->number ? max(0, time() - (int) $row->oldest) : 0];
    }

    /**
     * Dead letters that nobody has settled.
     *
     * @param int $since only those that died after this time
     * @return int[] number by name of the service
     */
    public static function dead(int $since = 0): array {
        global $DB;
        $sql = "SELECT d.serviceid, s.name, COUNT(*) AS number
                  FROM {local_integrationhub_dlq} d
             LEFT JOIN {local_integrationhub_svc} s ON s.id = d.serviceid
                 WHERE d.state = 'dead' AND d.timecreated > ?
              GROUP BY d.serviceid, s.name
              ORDER BY s.name";
        $numbers = [];
        foreach ($DB->get_records_sql($sql, [$since]) as $row) {
            $numbers[$row->name ?? "#$row->serviceid"] = (int) $row->number;
        }
        return $numbers;
    }

    /**
     * Services whose circuit breaker is not closed.
     *
     * @return string[] name by id
     */
    public static function open_breakers(): array {
        global $DB;
        $sql = "SELECT s.id, s.name
                  FROM {local_integrationhub_svc} s
                  JOIN {local_integrationhub_cb} c ON c.serviceid = s.id
                 WHERE s.enabled = 1 AND c.state <> 'closed'
              ORDER BY s.name";
        return $DB->get_records_sql_menu($sql);
    }

    /**
     * Whether the circuit breaker of a service that is in use is closed.
     *
     * @param int $serviceid
     * @return bool
     */
    public static function is_closed(int $serviceid): bool {
        global $DB;
        return $DB->record_exists('local_integrationhub_svc', ['id' => $serviceid, 'enabled' => 1])
            && $DB->record_exists('local_integrationhub_cb', ['serviceid' => $serviceid, 'state' => 'closed']);
    }

    /**
     * Rules that the fleet has disabled, because their address is gone for good.
     *
     * @return \stdClass[] id, eventname, servicename, disabledreason
     */
    public static function disabled_rules(): array {
        global $DB;
        $sql = "SELECT r.id, r.eventname, r.disabledreason, s.name AS servicename
                  FROM {local_integrationhub_rules} r
                  JOIN {local_integrationhub_svc} s ON s.id = r.serviceid
                 WHERE r.enabled = 0 AND r.timedisabled IS NOT NULL
              ORDER BY r.id";
        return $DB->get_records_sql($sql);
    }

    /**
     * Secrets that stand in the database as they are.
     *
     * @return string[] "service: field" of each
     */
    public static function plain_secrets(): array {
        global $DB;
        $found = [];
        $broker = config::text('brokerurl');
        if ($broker !== '' && !config::is_encrypted($broker)) {
            $found[] = 'brokerurl';
        }
        $fields = implode(', ', service_fields::SECRETS);
        foreach ($DB->get_records('local_integrationhub_svc', null, 'name', "id, name, type, base_url, $fields") as $service) {
            foreach (service_fields::SECRETS as $field) {
                if ((string) $service->$field !== '' && !config::is_encrypted($service->$field)) {
                    $found[] = "$service->name: $field";
                }
            }
            $password = $service->type === 'amqp' ? rawurldecode((string) parse_url($service->base_url, PHP_URL_PASS)) : '';
            if ($password !== '' && !config::is_encrypted($password)) {
                $found[] = "$service->name: base_url";
            }
        }
        return $found;
    }

    /**
     * Connections that leave the machine without TLS: what they carry can be read and changed on the way. Where there is TLS
     * it is always verified.
     *
     * @return string[] "service: URL" of each, without user and password
     */
    public static function unprotected(): array {
        global $DB;
        $found = [];
        try {
            foreach (amqp_url::parse_list(config::broker_url()) as $url) {
                if (!$url->tls && !self::is_here($url->host)) {
                    $found[] = "brokerurl: amqp://$url->host:$url->port";
                }
            }
        } catch (\moodle_exception $e) {
            // The check of the broker tells what is wrong with the URL.
            unset($e);
        }
        $services = $DB->get_records('local_integrationhub_svc', ['enabled' => 1], 'name', 'id, name, base_url, auth_url');
        foreach ($services as $service) {
            foreach ([$service->base_url, (string) $service->auth_url] as $url) {
                $parts = parse_url($url) ?: [];
                $scheme = strtolower($parts['scheme'] ?? '');
                if (in_array($scheme, ['http', 'amqp'], true) && !self::is_here($parts['host'] ?? '')) {
                    $port = isset($parts['port']) ? ":$parts[port]" : '';
                    $found[] = "$service->name: $scheme://" . ($parts['host'] ?? '') . $port;
                }
            }
        }
        return $found;
    }

    /**
     * Services whose webhook takes calls of anybody.
     *
     * @return string[] names
     */
    public static function open_webhooks(): array {
        global $DB;
        $open = [];
        $fields = 'id, name, auth_token, hmac_secret, ip_whitelist';
        foreach ($DB->get_records('local_integrationhub_svc', ['enabled' => 1, 'inbound_open' => 1], 'name', $fields) as $service) {
            if ((string) $service->auth_token . $service->hmac_secret . trim((string) $service->ip_whitelist) === '') {
                $open[] = $service->name;
            }
        }
        return $open;
    }

    /**
     * The database's time, where the fleet uses it.
     *
     * @return int
     */
    public static function now(): int {
        global $DB;
        return $DB->get_dbfamily() === 'mysql' ? (int) $DB->get_field_sql('SELECT UNIX_TIMESTAMP()') : time();
    }

    /**
     * Whether a host is this machine.
     *
     * @param string $host
     * @return bool
     */
    private static function is_here(string $host): bool {
        $host = trim(strtolower($host), '[]');
        $bytes = network::bytes($host);
        return $host === 'localhost' || $bytes !== null && network::any_holds(network::parse_list('127.0.0.0/8, ::1'), $bytes);
    }
}
