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
 * What outcomes mean, as the worker's table has it.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\gateway\verdict
 * @covers     \local_integrationhub\local\gateway\outcome
 */
final class verdict_test extends \basic_testcase {
    /**
     * Statuses and what they mean: kind, breaker, most attempts, pause, whether it counts.
     *
     * @return array
     */
    public static function statuses(): array {
        return [
            [200, 'delivered', 'success', 0, 0, true],
            [299, 'delivered', 'success', 0, 0, true],
            [301, 'reject', 'neutral', 0, 0, true],
            [400, 'reject', 'neutral', 0, 0, true],
            [401, 'retry', 'neutral', 3, 60, true],
            [403, 'retry', 'neutral', 3, 60, true],
            [404, 'retry', 'neutral', 4, 0, true],
            [407, 'retry', 'neutral', 3, 60, true],
            [408, 'retry', 'failure', 0, 0, true],
            [409, 'retry', 'failure', 0, 0, true],
            [410, 'reject', 'neutral', 0, 0, true],
            [425, 'retry', 'failure', 0, 0, true],
            [429, 'retry', 'neutral', 0, 7, false],
            [451, 'reject', 'neutral', 0, 0, true],
            [500, 'retry', 'failure', 0, 0, true],
            [501, 'reject', 'neutral', 0, 0, true],
            [503, 'retry', 'failure', 0, 7, true],
            [504, 'retry', 'failure', 0, 0, true],
            [599, 'retry', 'failure', 0, 0, true],
            [600, 'retry', 'failure', 0, 0, true],
            [101, 'retry', 'failure', 0, 0, true],
        ];
    }

    /**
     * The verdict on a status with a Retry-After of 7 s.
     *
     * @dataProvider statuses
     * @param int $status
     * @param string $kind
     * @param string $breaker
     * @param int $maxattempts
     * @param int $notbefore
     * @param bool $counts
     */
    public function test_statuses(
        int $status,
        string $kind,
        string $breaker,
        int $maxattempts,
        int $notbefore,
        bool $counts
    ): void {
        $outcome = new outcome(outcome::HTTP, $status);
        $outcome->retryafter = 7;
        $verdict = verdict::of($outcome);
        $this->assertSame([$kind, $breaker, $maxattempts, $notbefore, $counts], [$verdict->kind, $verdict->breaker,
            $verdict->maxattempts, $verdict->notbefore, $verdict->counts]);
    }

    public function test_outcomes_without_a_status(): void {
        $expected = [
            outcome::DNS => 'retry failure 0 0', outcome::CONNECT => 'retry failure 0 0', outcome::TIMEOUT => 'retry failure 0 0',
            outcome::BROKEN => 'retry failure 0 0', outcome::TLS => 'retry failure 0 300', outcome::INVALID => 'reject neutral 0 0',
            outcome::FAULT_SENDER => 'reject neutral 0 0', outcome::FAULT_RECEIVER => 'retry failure 0 0',
            outcome::CONFIRMED => 'delivered success 0 0', outcome::UNROUTED => 'retry neutral 4 0',
            outcome::NACKED => 'retry failure 0 0', outcome::LOST => 'retry failure 0 0', outcome::ACCESS => 'retry neutral 3 60',
        ];
        foreach ($expected as $kind => $text) {
            $verdict = verdict::of(new outcome($kind));
            $this->assertSame($text, "$verdict->kind $verdict->breaker $verdict->maxattempts $verdict->notbefore", $kind);
        }
    }

    public function test_retry_after(): void {
        $now = 784111777;
        $values = [
            '120' => 120, ' 5 ' => 5, '0' => 1, '999999999999' => DAYSECS,
            'Sun, 06 Nov 1994 08:50:37 GMT' => 60, 'Sunday, 06-Nov-94 08:49:47 GMT' => 10, 'Sun Nov  6 08:49:57 1994' => 20,
            'Sun, 06 Nov 1994 08:00:00 GMT' => 1, 'Sun, 06 Nov 2094 08:00:00 GMT' => DAYSECS,
            '' => null, 'soon' => null, '-1' => null, '1.5' => null, 'tomorrow' => null, '+1 day' => null,
        ];
        foreach ($values as $value => $seconds) {
            $this->assertSame($seconds, verdict::retry_after((string) $value, $now), (string) $value);
        }
    }
}
