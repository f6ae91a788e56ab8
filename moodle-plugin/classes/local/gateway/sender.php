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
use local_integrationhub\local\uuid;
use local_integrationhub\service\circuit_breaker;
use local_integrationhub\service\retry_policy;
use local_integrationhub\transport\base;

/**
 * Sends one request, and again as the verdicts say and the time allows.
 *
 * Somebody waits for the answer, so the waits between the attempts end with the time that the request has: the setting
 * `gatewaybudget` in a page (and never longer than PHP lets the page run), five minutes on the command line. A retry that
 * could not begin before that is not made. Every attempt's result is told to the breaker; when that opens, no more are made.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class sender {
    /** Seconds that a command-line process has for all attempts. */
    private const CLIBUDGET = 300;

    /** @var \stdClass */
    private $service;

    /** @var circuit_breaker|null */
    private $breaker;

    /** @var retry_policy */
    private $policy;

    /** @var float when the last attempt may begin */
    private $deadline;

    /**
     * Constructor.
     *
     * @param \stdClass $service
     * @param circuit_breaker|null $breaker that has let this request through; null: nobody counts
     */
    public function __construct(\stdClass $service, ?circuit_breaker $breaker = null) {
        $this->service = $service;
        $this->breaker = $breaker;
        $this->policy = retry_policy::from_service($service);
        $this->deadline = self::deadline();
    }

    /**
     * Sends a request.
     *
     * @param base $transport
     * @param string $endpoint
     * @param array $payload
     * @param string $method
     * @return array success, response, error, latency, attempts and http_code
     */
    public function send(base $transport, string $endpoint, array $payload, string $method): array {
        $id = uuid::v7();
        $attempts = 0;
        do {
            $attempts++;
            $started = microtime(true);
            $outcome = $this->attempt($transport, [$endpoint, $payload, $method, $id], $attempts);
            $latency = (int) round((microtime(true) - $started) * 1000);
            $verdict = verdict::of($outcome);
            if ($this->breaker !== null) {
                $this->breaker->record($verdict->breaker);
            }
        } while ($verdict->kind === verdict::RETRY && $this->wait($verdict, $attempts));
        $success = $verdict->kind === verdict::DELIVERED;
        return [
            'success' => $success,
            'response' => $outcome->body,
            'error' => $success ? null : secrets::mask((string) $outcome->error, $this->service),
            'latency' => $latency,
            'attempts' => $attempts,
            'http_code' => $outcome->status,
        ];
    }

    /**
     * One attempt; what cannot be sent is an outcome, too.
     *
     * @param base $transport
     * @param array $request endpoint, payload, method, id
     * @param int $attempts this one included
     * @return outcome
     */
    private function attempt(base $transport, array $request, int $attempts): outcome {
        $timeout = max(1.0, (float) $this->service->timeout);
        if ($attempts > 1) {
            $timeout = min($timeout, max(1.0, $this->deadline - microtime(true)));
        }
        try {
            return $transport->attempt($this->service, $timeout, ...$request);
        } catch (refused_exception $e) {
            return outcome::invalid($e->getMessage());
        }
    }

    /**
     * Waits until the next attempt.
     *
     * @param verdict $verdict
     * @param int $attempts
     * @return bool whether there is one
     */
    private function wait(verdict $verdict, int $attempts): bool {
        $delay = $this->policy->delay($attempts, $verdict->maxattempts, $verdict->notbefore);
        if ($delay === null || microtime(true) + $delay >= $this->deadline) {
            return false;
        }
        if ($this->breaker !== null && !$this->breaker->may_repeat()) {
            return false;
        }
        usleep((int) ($delay * 1000000));
        return $this->breaker === null || $this->breaker->is_available();
    }

    /**
     * Until when this process may go on trying.
     *
     * @return float
     */
    private static function deadline(): float {
        $now = microtime(true);
        if (CLI_SCRIPT) {
            return $now + self::CLIBUDGET;
        }
        $deadline = $now + config::number('gatewaybudget');
        $limit = (int) ini_get('max_execution_time');
        return $limit > 0 ? min($deadline, ($_SERVER['REQUEST_TIME_FLOAT'] ?? $now) + $limit) : $deadline;
    }
}
