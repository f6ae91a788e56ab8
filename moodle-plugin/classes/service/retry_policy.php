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

/**
 * When a request is tried again: `backoff * 2^(n-1)` seconds before the n-th retry, half of it fixed and half random, so that
 * what failed together does not come back together.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class retry_policy {
    /** Longest wait in seconds. */
    private const MAXBACKOFF = 3600;

    /** @var int */
    private $maxretries;

    /** @var int seconds */
    private $backoff;

    /**
     * Constructor.
     *
     * @param int $maxretries
     * @param int $backoff seconds
     */
    public function __construct(int $maxretries = 3, int $backoff = 1) {
        $this->maxretries = max(0, $maxretries);
        $this->backoff = max(0, $backoff);
    }

    /**
     * The policy of a service.
     *
     * @param \stdClass $service
     * @return self
     */
    public static function from_service(\stdClass $service): self {
        return new self((int) $service->max_retries, (int) $service->retry_backoff);
    }

    /**
     * Attempts in all.
     *
     * @return int
     */
    public function get_total_attempts(): int {
        return 1 + $this->maxretries;
    }

    /**
     * How long to wait before the next attempt.
     *
     * @param int $attempts made so far
     * @param int $most attempts that the verdict allows; 0: as many as the policy
     * @param int $notbefore seconds to wait at the least
     * @return float|null seconds; null: there is no next attempt
     */
    public function delay(int $attempts, int $most = 0, int $notbefore = 0): ?float {
        $total = $this->get_total_attempts();
        if ($attempts >= ($most > 0 ? min($most, $total) : $total)) {
            return null;
        }
        $backoff = min(self::MAXBACKOFF, $this->backoff * 2 ** min(30, $attempts - 1));
        return max($backoff / 2 + $backoff / 2 * random_int(0, 1000) / 1000, (float) $notbefore);
    }

    /**
     * Calls something until it succeeds or no attempt is left. What throws has failed, and so has what returns an array whose
     * `success` is false.
     *
     * @param callable $call
     * @return mixed what the last call returned
     * @throws \Throwable what the last call threw
     */
    public function execute(callable $call) {
        for ($attempts = 1;; $attempts++) {
            $result = null;
            $thrown = null;
            try {
                $result = $call($attempts);
                if (!is_array($result) || ($result['success'] ?? true) !== false) {
                    return $result;
                }
            } catch (\Exception $e) {
                $thrown = $e;
            }
            $delay = $this->delay($attempts);
            if ($delay === null) {
                if ($thrown !== null) {
                    throw $thrown;
                }
                return $result;
            }
            usleep((int) ($delay * 1000000));
        }
    }
}
