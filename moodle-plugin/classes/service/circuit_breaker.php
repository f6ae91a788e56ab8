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

namespace local_integrationhub\service;

use local_integrationhub\local\change;
use local_integrationhub\local\gateway\verdict;

/**
 * The circuit breaker of one service, shared with the worker fleet through the table (worker/breakers.h says the same in C).
 *
 * Closed: failures are counted in the table, by statements that add. It opens when `cb_failure_threshold` failed in a row, or
 * when half of the last 20 calls, at least 10 of them and none older than a minute, failed. Open: nothing is sent. After the
 * cooldown (twice as long with each opening in a row, up to 10 minutes, +-20 %) one UPDATE that changes an open row whose time
 * has come decides who of all processes and workers sends one request. Its success closes the breaker, its failure opens it
 * again. Who has died with the probe loses it after a minute.
 *
 * Every transition is one statement with the state before it in its WHERE; times are the database's.
 *
 * Within a transaction of the caller a written row would stay locked, for all processes and workers, until that ends. There
 * nothing is written before the call is over; a lock of Moodle's, not of the database's rows, decides who of such callers
 * sends the one request. One of a worker may be under way at the same time.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class circuit_breaker {
    /** The service is called. */
    public const STATE_CLOSED = 'closed';

    /** The service is not called. */
    public const STATE_OPEN = 'open';

    /** Somebody sends one request. */
    public const STATE_HALFOPEN = 'halfopen';

    /** Table. */
    public const TABLE = 'local_integrationhub_cb';

    /** Seconds after which a probe is taken from whoever has it. */
    private const LEASE = 60;

    /** Longest cooldown in seconds, unless the service's own is longer. */
    private const MAXCOOLDOWN = 600;

    /** Calls that are remembered, fewest that are judged, and their greatest age in seconds. */
    private const CALLS = [20, 10, 60];

    /** @var int */
    private $serviceid;

    /** @var int failures in a row that open it */
    private $threshold;

    /** @var int seconds */
    private $cooldown;

    /** @var string|null our name in the table while we have the probe */
    private $holder = null;

    /** @var \stdClass|null the row as it was last read */
    private $row = null;

    /** @var string[]|null results that are not written yet; null: they are written at once */
    private $held = null;

    /** @var \core\lock\lock|null of the one request, while results are held */
    private $lock = null;

    /**
     * Constructor.
     *
     * @param int $serviceid
     * @param int $threshold
     * @param int $cooldown seconds
     */
    public function __construct(int $serviceid, int $threshold = 5, int $cooldown = 30) {
        $this->serviceid = $serviceid;
        $this->threshold = max(1, $threshold);
        $this->cooldown = max(1, $cooldown);
    }

    /**
     * The breaker of a service.
     *
     * @param \stdClass $service
     * @return self
     */
    public static function from_service(\stdClass $service): self {
        return new self((int) $service->id, (int) $service->cb_failure_threshold, (int) $service->cb_cooldown);
    }

    /**
     * Writes nothing before settle(): the caller is within a transaction.
     */
    public function hold(): void {
        $this->held = [];
    }

    /**
     * The call is over: writes what was held, and gives back a probe that was not used.
     */
    public function settle(): void {
        $results = $this->held ?? [];
        $this->held = null;
        if ($this->lock !== null) {
            // A worker may have been faster: then its result counts.
            $isours = $results && $this->claim();
            $this->lock->release();
            $this->lock = null;
            $results = $isours ? [end($results)] : [];
        }
        foreach ($results as $result) {
            $this->record($result);
        }
        $this->release();
    }

    /**
     * Whether a request that has failed may be sent again.
     *
     * @return bool
     */
    public function may_repeat(): bool {
        if ($this->held === null) {
            return $this->get_state()->state === self::STATE_CLOSED;
        }
        $row = $this->look();
        $failures = count(array_keys($this->held, verdict::FAILURE, true));
        return $row->state === self::STATE_CLOSED && $row->failure_count + $failures < $this->threshold;
    }

    /**
     * Whether a request may be sent now; of an open breaker whose time has come only one asker may.
     *
     * @return bool
     */
    public function is_available(): bool {
        if ($this->held !== null) {
            return $this->is_available_unwritten();
        }
        $this->row = $this->get_state();
        if ($this->row->state === self::STATE_CLOSED) {
            $this->holder = null;
            return true;
        }
        if ($this->holder !== null && $this->row->holder === $this->holder && $this->row->state === self::STATE_HALFOPEN) {
            return true;
        }
        return $this->claim();
    }

    /**
     * The same within a transaction.
     *
     * @return bool
     */
    private function is_available_unwritten(): bool {
        $row = $this->look();
        if ($row->state === self::STATE_CLOSED || $this->lock !== null) {
            return true;
        }
        $isdue = $row->state === self::STATE_OPEN ? (int) $row->retryat <= time() : $row->timemodified < time() - self::LEASE;
        $factory = \core\lock\lock_config::get_lock_factory('local_integrationhub_breaker');
        $this->lock = $isdue ? ($factory->get_lock((string) $this->serviceid, 0) ?: null) : null;
        return $this->lock !== null;
    }

    /**
     * The row, or what it would be.
     *
     * @return \stdClass
     */
    private function look(): \stdClass {
        global $DB;
        $none = (object) ['state' => self::STATE_CLOSED, 'failure_count' => 0];
        return $DB->get_record(self::TABLE, ['serviceid' => $this->serviceid]) ?: $none;
    }

    /**
     * Whether we have the one request that an open breaker lets through.
     *
     * @return bool
     */
    public function is_probing(): bool {
        return $this->holder !== null || $this->lock !== null;
    }

    /**
     * A request was answered well.
     */
    public function record_success(): void {
        $this->record(verdict::SUCCESS);
    }

    /**
     * A request failed.
     */
    public function record_failure(): void {
        $this->record(verdict::FAILURE);
    }

    /**
     * A request has ended.
     *
     * @param string $result success, failure or neutral
     */
    public function record(string $result): void {
        if ($this->held !== null) {
            $this->held[] = $result;
        } else if ($this->holder !== null) {
            // Any answer but a failure is one of a service that lives.
            $result === verdict::FAILURE ? $this->reopen() : $this->close();
        } else if ($result === verdict::FAILURE) {
            $this->fail();
        } else if ($result === verdict::SUCCESS) {
            $this->note(false);
            if ($this->row === null || (int) $this->row->failure_count !== 0) {
                $sql = "UPDATE {" . self::TABLE . "} SET failure_count = 0, timemodified = " . self::now()
                    . " WHERE serviceid = ? AND state = ? AND failure_count <> 0";
                $this->execute($sql, [$this->serviceid, self::STATE_CLOSED]);
                $this->row = null;
            }
        }
    }

    /**
     * The row; it is made when there is none.
     *
     * @return \stdClass
     */
    public function get_state(): \stdClass {
        global $DB;
        $row = $DB->get_record(self::TABLE, ['serviceid' => $this->serviceid]);
        if (!$row) {
            try {
                $DB->insert_record(self::TABLE, (object) ['serviceid' => $this->serviceid, 'timemodified' => time()]);
            } catch (\dml_write_exception $e) {
                // Somebody else has made it: it is read below, and if it is not there either, that tells.
                unset($e);
            }
            $row = $DB->get_record(self::TABLE, ['serviceid' => $this->serviceid], '*', MUST_EXIST);
        }
        return $row;
    }

    /**
     * The state for people.
     *
     * @return string
     */
    public function get_state_label(): string {
        return strtoupper($this->get_state()->state);
    }

    /**
     * Closes the breaker, whatever has happened.
     */
    public function reset(): void {
        $this->get_state();
        $sql = "UPDATE {" . self::TABLE . "} SET state = ?, failure_count = 0, last_failure = NULL, trips = 0, retryat = NULL,
                       holder = NULL, timemodified = " . self::now() . "
                 WHERE serviceid = ?";
        $this->execute($sql, [self::STATE_CLOSED, $this->serviceid]);
        $this->holder = null;
        $this->row = null;
        self::calls()->delete($this->serviceid);
        change::announce_breaker($this->serviceid);
    }

    /**
     * Gives back the probe of a request that was never sent.
     */
    public function release(): void {
        if ($this->holder !== null) {
            $now = self::now();
            $sql = "UPDATE {" . self::TABLE . "} SET state = ?, holder = NULL, retryat = $now, timemodified = $now
                     WHERE serviceid = ? AND holder = ? AND state = ?";
            $this->execute($sql, [self::STATE_OPEN, $this->serviceid, $this->holder, self::STATE_HALFOPEN]);
            $this->holder = null;
        }
    }

    /**
     * Takes the probe, if it is to be had. Moodle does not tell how many rows a statement has changed: a name that nobody
     * else has is written, and looked for.
     *
     * @return bool
     */
    private function claim(): bool {
        global $DB;
        $now = self::now();
        $holder = 'php:' . substr((string) gethostname(), 0, 60) . ':' . bin2hex(random_bytes(12));
        $sql = "UPDATE {" . self::TABLE . "} SET state = ?, holder = ?, timemodified = $now
                 WHERE serviceid = ? AND ((state = ? AND COALESCE(retryat, 0) <= $now)
                       OR (state = ? AND timemodified < $now - " . self::LEASE . "))";
        $this->execute($sql, [self::STATE_HALFOPEN, $holder, $this->serviceid, self::STATE_OPEN, self::STATE_HALFOPEN]);
        $ours = $DB->record_exists(self::TABLE, ['serviceid' => $this->serviceid, 'holder' => $holder]);
        $this->holder = $ours ? $holder : null;
        if ($ours) {
            change::announce_breaker($this->serviceid);
        }
        return $ours;
    }

    /**
     * Counts a failure while closed, and opens the breaker when it was one too many.
     */
    private function fail(): void {
        global $DB;
        $now = self::now();
        $this->get_state();
        $sql = "UPDATE {" . self::TABLE . "} SET failure_count = failure_count + 1, last_failure = $now, timemodified = $now
                 WHERE serviceid = ? AND state = ?";
        $this->execute($sql, [$this->serviceid, self::STATE_CLOSED]);
        $half = $this->note(true);
        $sql = "UPDATE {" . self::TABLE . "} SET state = ?, trips = 1, retryat = $now + ?, holder = NULL, timemodified = $now
                 WHERE serviceid = ? AND state = ? AND failure_count >= ?";
        $this->execute($sql, [self::STATE_OPEN, self::cooldown($this->cooldown, 1), $this->serviceid, self::STATE_CLOSED,
            $half ? 1 : $this->threshold]);
        $this->row = $DB->get_record(self::TABLE, ['serviceid' => $this->serviceid], '*', MUST_EXIST);
        if ($this->row->state !== self::STATE_CLOSED) {
            change::announce_breaker($this->serviceid);
        }
    }

    /**
     * After a probe that succeeded.
     */
    private function close(): void {
        $sql = "UPDATE {" . self::TABLE . "} SET state = ?, failure_count = 0, trips = 0, retryat = NULL, holder = NULL,
                       timemodified = " . self::now() . "
                 WHERE serviceid = ? AND holder = ?";
        $this->execute($sql, [self::STATE_CLOSED, $this->serviceid, $this->holder]);
        $this->holder = null;
        $this->row = null;
        self::calls()->delete($this->serviceid);
        change::announce_breaker($this->serviceid);
    }

    /**
     * After a probe that failed.
     */
    private function reopen(): void {
        $now = self::now();
        $trips = (int) $this->get_state()->trips + 1;
        $sql = "UPDATE {" . self::TABLE . "} SET state = ?, failure_count = failure_count + 1, last_failure = $now,
                       trips = trips + 1, retryat = $now + ?, holder = NULL, timemodified = $now
                 WHERE serviceid = ? AND holder = ?";
        $this->execute($sql, [self::STATE_OPEN, self::cooldown($this->cooldown, $trips), $this->serviceid, $this->holder]);
        $this->holder = null;
        $this->row = null;
        change::announce_breaker($this->serviceid);
    }

    /**
     * How long the breaker stays open.
     *
     * @param int $cooldown the service's own, in seconds
     * @param int $trips openings in a row, this one included
     * @return int seconds
     */
    public static function cooldown(int $cooldown, int $trips): int {
        for ($i = 1; $i < $trips && $cooldown < self::MAXCOOLDOWN; $i++) {
            $cooldown = min($cooldown * 2, self::MAXCOOLDOWN);
        }
        return max(1, (int) ceil($cooldown * random_int(800, 1200) / 1000));
    }

    /**
     * Notes a call while closed. The ring is in a cache: two processes that write at the same moment may lose a call of it,
     * never a count in the table.
     *
     * @param bool $failed
     * @return bool whether half of the last calls failed
     */
    private function note(bool $failed): bool {
        [$most, $fewest, $age] = self::CALLS;
        $cache = self::calls();
        $recent = array_filter($cache->get($this->serviceid) ?: [], function (array $call) use ($age): bool {
            return time() - $call[0] <= $age;
        });
        $recent[] = [time(), $failed];
        $recent = array_slice($recent, -$most);
        $cache->set($this->serviceid, $recent);
        return count($recent) >= $fewest && 2 * count(array_filter(array_column($recent, 1))) >= count($recent);
    }

    /**
     * The last calls of all services.
     *
     * @return \cache
     */
    private static function calls(): \cache {
        return \cache::make('local_integrationhub', 'breaker_calls');
    }

    /**
     * The database's clock, where it is one that the worker fleet can use.
     *
     * @return string
     */
    private static function now(): string {
        global $DB;
        return $DB->get_dbfamily() === 'mysql' ? 'UNIX_TIMESTAMP()' : (string) time();
    }

    /**
     * Runs a statement.
     *
     * @param string $sql
     * @param array $params
     */
    private function execute(string $sql, array $params): void {
        global $DB;
        $DB->execute($sql, $params);
    }
}
