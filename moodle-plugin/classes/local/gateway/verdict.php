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

/**
 * What each outcome means: the policy of the worker fleet (dispatcher/verdict.c) for the gateway.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class verdict {
    /** It has arrived. */
    public const DELIVERED = 'delivered';

    /** Try again. */
    public const RETRY = 'retry';

    /** The same request would get the same answer. */
    public const REJECT = 'reject';

    /** The service answers. */
    public const SUCCESS = 'success';

    /** The service is in trouble. */
    public const FAILURE = 'failure';

    /** It says nothing of the service's health. */
    public const NEUTRAL = 'neutral';

    /** Seconds between attempts after a refused login. */
    private const AUTHPAUSE = 60;

    /** Seconds between attempts after TLS trouble: it needs a person. */
    private const TLSPAUSE = 300;

    /** What else but 2xx is in the table: first status, last status, kind, breaker, most attempts, pause, details. */
    private const STATUSES = [
        [300, 399, self::REJECT, self::NEUTRAL, 0, 0],
        [401, 401, self::RETRY, self::NEUTRAL, 3, self::AUTHPAUSE],
        [403, 403, self::RETRY, self::NEUTRAL, 3, self::AUTHPAUSE],
        [404, 404, self::RETRY, self::NEUTRAL, 4, 0],
        [407, 407, self::RETRY, self::NEUTRAL, 3, self::AUTHPAUSE],
        [408, 409, self::RETRY, self::FAILURE, 0, 0],
        [425, 425, self::RETRY, self::FAILURE, 0, 0],
        [429, 429, self::RETRY, self::NEUTRAL, 0, 0],
        [400, 499, self::REJECT, self::NEUTRAL, 0, 0],
        [501, 501, self::REJECT, self::NEUTRAL, 0, 0],
    ];

    /** Outcomes without a status: kind, breaker, most attempts, pause. */
    private const KINDS = [
        outcome::DNS => [self::RETRY, self::FAILURE, 0, 0],
        outcome::CONNECT => [self::RETRY, self::FAILURE, 0, 0],
        outcome::TIMEOUT => [self::RETRY, self::FAILURE, 0, 0],
        outcome::BROKEN => [self::RETRY, self::FAILURE, 0, 0],
        outcome::TLS => [self::RETRY, self::FAILURE, 0, self::TLSPAUSE],
        outcome::INVALID => [self::REJECT, self::NEUTRAL, 0, 0],
        outcome::LOCAL => [self::REJECT, self::NEUTRAL, 0, 0],
        outcome::FAULT_SENDER => [self::REJECT, self::NEUTRAL, 0, 0],
        outcome::FAULT_RECEIVER => [self::RETRY, self::FAILURE, 0, 0],
        outcome::CONFIRMED => [self::DELIVERED, self::SUCCESS, 0, 0],
        outcome::UNROUTED => [self::RETRY, self::NEUTRAL, 4, 0],
        outcome::NACKED => [self::RETRY, self::FAILURE, 0, 0],
        outcome::LOST => [self::RETRY, self::FAILURE, 0, 0],
        outcome::ACCESS => [self::RETRY, self::NEUTRAL, 3, self::AUTHPAUSE],
    ];

    /** @var string delivered, retry or reject */
    public $kind;

    /** @var string success, failure or neutral */
    public $breaker;

    /** @var int attempts in all; 0: as the service says */
    public $maxattempts;

    /** @var int seconds to wait at the least */
    public $notbefore;

    /** @var bool whether the attempt counts */
    public $counts = true;

    /**
     * Constructor.
     *
     * @param string $kind
     * @param string $breaker
     * @param int $maxattempts
     * @param int $notbefore
     */
    private function __construct(string $kind, string $breaker, int $maxattempts, int $notbefore) {
        $this->kind = $kind;
        $this->breaker = $breaker;
        $this->maxattempts = $maxattempts;
        $this->notbefore = $notbefore;
    }

    /**
     * The verdict on an outcome.
     *
     * @param outcome $outcome
     * @return self
     */
    public static function of(outcome $outcome): self {
        $verdict = $outcome->kind === outcome::HTTP
            ? self::of_status((int) $outcome->status)
            : new self(...self::KINDS[$outcome->kind]);
        $honours = $outcome->kind === outcome::FAULT_RECEIVER
            || $outcome->kind === outcome::HTTP && in_array($outcome->status, [429, 503], true);
        if ($honours && $outcome->retryafter !== null) {
            $verdict->notbefore = max($verdict->notbefore, $outcome->retryafter);
        }
        $verdict->counts = !($outcome->kind === outcome::HTTP && $outcome->status === 429);
        return $verdict;
    }

    /**
     * The verdict on an HTTP status.
     *
     * @param int $status
     * @return self
     */
    private static function of_status(int $status): self {
        if ($status >= 200 && $status <= 299) {
            return new self(self::DELIVERED, self::SUCCESS, 0, 0);
        }
        foreach (self::STATUSES as [$first, $last, $kind, $breaker, $maxattempts, $pause]) {
            if ($status >= $first && $status <= $last) {
                return new self($kind, $breaker, $maxattempts, $pause);
            }
        }
        return new self(self::RETRY, self::FAILURE, 0, 0);
    }

    /**
     * Reads a Retry-After header: seconds or a date.
     *
     * @param string $value
     * @param int $now
     * @return int|null between 1 s and 24 h; null when it is neither
     */
    public static function retry_after(string $value, int $now): ?int {
        $value = trim($value);
        if (preg_match('~^\d+$~D', $value)) {
            $seconds = (int) substr($value, 0, 9);
        } else {
            // Every date of RFC 9110 ends in GMT or, in the oldest form, in the year.
            $date = strpos($value, 'GMT') === false ? "$value GMT" : $value;
            $time = preg_match('~^[A-Z][a-z]+,? [\w :-]+$~D', $value) ? strtotime($date) : false;
            if ($time === false) {
                return null;
            }
            $seconds = $time - $now;
        }
        return max(1, min(DAYSECS, $seconds));
    }
}
