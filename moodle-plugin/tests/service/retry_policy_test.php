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
 * When a request is tried again.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\retry_policy
 */
final class retry_policy_test extends \basic_testcase {
    public function test_the_wait_doubles_and_half_of_it_is_random(): void {
        $policy = new retry_policy(40, 2);
        foreach ([1 => 2, 2 => 4, 3 => 8, 10 => 1024, 12 => 3600, 39 => 3600] as $attempts => $most) {
            for ($i = 0; $i < 20; $i++) {
                $delay = $policy->delay($attempts);
                $this->assertGreaterThanOrEqual($most / 2, $delay);
                $this->assertLessThanOrEqual($most, $delay);
            }
        }
        $this->assertNull($policy->delay(41));
        $this->assertSame(4000.0, $policy->delay(1, 0, 4000));
        $this->assertNull($policy->delay(3, 3), 'the verdict allows fewer');
        $this->assertNull((new retry_policy(0, 1))->delay(1, 3), 'and never more');
        $this->assertSame(41, $policy->get_total_attempts());
        $service = (object) ['max_retries' => '7', 'retry_backoff' => '3'];
        $this->assertSame(8, retry_policy::from_service($service)->get_total_attempts());
    }

    public function test_d1_what_fails_is_called_again_whether_it_throws_or_returns_a_failure(): void {
        $calls = 0;
        $result = (new retry_policy(3, 0))->execute(function () use (&$calls): array {
            if (++$calls === 1) {
                throw new \moodle_exception('error');
            }
            return ['success' => $calls > 2, 'calls' => $calls];
        });
        $this->assertSame(['success' => true, 'calls' => 3], $result);
        $calls = 0;
        $result = (new retry_policy(3, 0))->execute(function () use (&$calls): array {
            return ['success' => false, 'calls' => ++$calls];
        });
        $this->assertSame(['success' => false, 'calls' => 4], $result);
        $calls = 0;
        $this->expectException(\moodle_exception::class);
        try {
            (new retry_policy(2, 0))->execute(function () use (&$calls): void {
                $calls++;
                throw new \moodle_exception('error');
            });
        } finally {
            $this->assertSame(3, $calls);
        }
    }
}
