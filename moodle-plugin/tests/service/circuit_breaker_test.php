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

use local_integrationhub\fake_broker;
use local_integrationhub\local\cooloff;
use local_integrationhub\local\gateway\verdict;
use local_integrationhub\local\publisher;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/fake_broker.php');

/**
 * The circuit breaker.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\circuit_breaker
 * @covers     \local_integrationhub\local\change
 */
final class circuit_breaker_test extends \advanced_testcase {
    /** @var int */
    private $serviceid;

    /** @var fake_broker */
    private $broker;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        set_config('brokerurl', 'amqp://localhost', 'local_integrationhub');
        $this->broker = new fake_broker();
        publisher::set_instance(new publisher($this->broker, new cooloff()));
        (new cooloff())->clear();
        $this->serviceid = (int) $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service()->id;
    }

    protected function tearDown(): void {
        publisher::set_instance(null);
        parent::tearDown();
    }

    /**
     * The breaker as another process sees it.
     *
     * @param int $threshold
     * @param int $cooldown
     * @return circuit_breaker
     */
    private function breaker(int $threshold = 3, int $cooldown = 30): circuit_breaker {
        return new circuit_breaker($this->serviceid, $threshold, $cooldown);
    }

    /**
     * Changes the row.
     *
     * @param array $values
     */
    private function set(array $values): void {
        global $DB;
        $id = $this->breaker()->get_state()->id;
        $DB->update_record(circuit_breaker::TABLE, (object) (['id' => $id] + $values));
    }

    /**
     * Opens it, and lets the cooldown pass.
     */
    private function open_long_ago(): void {
        $this->set(['state' => 'open', 'trips' => 1, 'failure_count' => 3, 'retryat' => time() - 5]);
    }

    public function test_signatures_are_those_of_2_0_0(): void {
        $this->assertSame(['closed', 'open', 'halfopen', 'local_integrationhub_cb'], [circuit_breaker::STATE_CLOSED,
            circuit_breaker::STATE_OPEN, circuit_breaker::STATE_HALFOPEN, circuit_breaker::TABLE]);
        $breaker = new circuit_breaker($this->serviceid);
        $this->assertTrue($breaker->is_available());
        $this->assertSame('CLOSED', $breaker->get_state_label());
        $this->assertSame('closed', $breaker->get_state()->state);
    }

    public function test_it_opens_at_the_threshold_of_failures_in_a_row_whoever_sees_them(): void {
        $this->breaker()->record_failure();
        $this->breaker()->record_failure();
        $this->assertTrue($this->breaker()->is_available());
        $this->breaker()->record_failure();
        $row = $this->breaker()->get_state();
        $this->assertEquals(['open', 3, 1, null], [$row->state, $row->failure_count, $row->trips, $row->holder]);
        $this->assertGreaterThanOrEqual(time() + 20, $row->retryat);
        $this->assertLessThanOrEqual(time() + 37, $row->retryat);
        $this->assertFalse($this->breaker()->is_available());
        $this->assertSame(['{"breaker":' . $this->serviceid . '}'], $this->broker->hints);
    }

    public function test_a_success_forgets_the_failures_and_a_neutral_answer_does_not(): void {
        $this->breaker()->record_failure();
        $this->breaker()->record_failure();
        $this->breaker()->record(verdict::NEUTRAL);
        $this->assertEquals(2, $this->breaker()->get_state()->failure_count);
        $this->breaker()->record_success();
        $this->assertEquals(0, $this->breaker()->get_state()->failure_count);
        $this->breaker()->record_failure();
        $this->breaker()->record_failure();
        $this->assertSame('CLOSED', $this->breaker()->get_state_label());
    }

    public function test_it_opens_when_half_of_the_last_calls_failed_and_not_before_there_were_ten(): void {
        for ($i = 0; $i < 4; $i++) {
            $this->breaker(99)->record_success();
            $this->breaker(99)->record_failure();
        }
        $this->breaker(99)->record_success();
        $this->assertSame('CLOSED', $this->breaker()->get_state_label());
        $this->breaker(99)->record_failure();
        $this->assertSame('OPEN', $this->breaker()->get_state_label());
    }

    public function test_d8_of_all_that_ask_after_the_cooldown_one_may_send(): void {
        $this->open_long_ago();
        $asked = [];
        for ($i = 0; $i < 10; $i++) {
            $breaker = $this->breaker();
            $asked[] = $breaker->is_available();
            $this->assertSame($i === 0, $breaker->is_probing());
        }
        $this->assertSame([true] + array_fill(1, 9, false), $asked);
        $row = $this->breaker()->get_state();
        $this->assertSame('halfopen', $row->state);
        $this->assertStringStartsWith('php:', $row->holder);
    }

    public function test_before_the_cooldown_has_passed_nobody_may(): void {
        $this->set(['state' => 'open', 'trips' => 1, 'retryat' => time() + 60]);
        $this->assertFalse($this->breaker()->is_available());
        $this->assertSame('OPEN', $this->breaker()->get_state_label());
    }

    public function test_the_probes_success_closes_and_so_does_a_neutral_answer(): void {
        foreach ([verdict::SUCCESS, verdict::NEUTRAL] as $result) {
            $this->open_long_ago();
            $breaker = $this->breaker();
            $this->assertTrue($breaker->is_available());
            $breaker->record($result);
            $row = $this->breaker()->get_state();
            $this->assertEquals(['closed', 0, 0, null, null], [$row->state, $row->failure_count, $row->trips, $row->retryat,
                $row->holder], $result);
        }
    }

    public function test_the_probes_failure_opens_for_twice_as_long(): void {
        $this->open_long_ago();
        $breaker = $this->breaker();
        $this->assertTrue($breaker->is_available());
        $breaker->record_failure();
        $row = $this->breaker()->get_state();
        $this->assertEquals(['open', 2, 4, null], [$row->state, $row->trips, $row->failure_count, $row->holder]);
        $this->assertGreaterThanOrEqual(time() + 45, $row->retryat);
        $this->assertLessThanOrEqual(time() + 73, $row->retryat);
    }

    public function test_a_probe_is_given_back_or_taken_from_who_died_with_it(): void {
        $this->open_long_ago();
        $breaker = $this->breaker();
        $this->assertTrue($breaker->is_available());
        $breaker->release();
        $this->assertTrue($this->breaker()->is_available(), 'given back');
        $this->assertFalse($this->breaker()->is_available());
        $this->set(['timemodified' => time() - 50]);
        $this->assertFalse($this->breaker()->is_available());
        $this->set(['timemodified' => time() - 65]);
        $this->assertTrue($this->breaker()->is_available(), 'taken');
    }

    public function test_who_has_lost_the_probe_changes_nothing(): void {
        $this->open_long_ago();
        $slow = $this->breaker();
        $this->assertTrue($slow->is_available());
        $this->set(['holder' => 'host:1:2']);
        $slow->record_success();
        $this->assertSame('HALFOPEN', $this->breaker()->get_state_label());
        $this->set(['state' => 'closed', 'holder' => null, 'trips' => 0, 'failure_count' => 0]);
        $slow->record_failure();
        $this->assertSame('CLOSED', $this->breaker()->get_state_label());
    }

    public function test_the_cooldown_doubles_up_to_ten_minutes(): void {
        $cases = [[30, 1, 30], [30, 2, 60], [30, 5, 480], [30, 6, 600], [30, 99, 600], [1000, 3, 1000]];
        foreach ($cases as [$own, $trips, $expected]) {
            $seconds = circuit_breaker::cooldown($own, $trips);
            $this->assertGreaterThanOrEqual((int) floor($expected * 0.8), $seconds);
            $this->assertLessThanOrEqual((int) ceil($expected * 1.2), $seconds);
        }
    }

    public function test_within_a_transaction_nothing_is_written_before_the_call_is_over(): void {
        global $DB;
        $breaker = $this->breaker();
        $breaker->hold();
        $writes = $DB->perf_get_writes();
        foreach ([true, true, false] as $again) {
            $this->assertTrue($breaker->is_available());
            $breaker->record_failure();
            $this->assertSame($again, $breaker->may_repeat());
        }
        $this->assertSame($writes, $DB->perf_get_writes());
        $this->assertSame('CLOSED', $this->breaker()->get_state_label());
        $breaker->settle();
        $row = $this->breaker()->get_state();
        $this->assertEquals(['open', 3, 1], [$row->state, $row->failure_count, $row->trips]);
    }

    public function test_within_a_transaction_one_may_probe_and_its_result_counts(): void {
        global $CFG;
        // Of a process with itself the database's own locks keep nobody out.
        $CFG->lock_factory = '\core\lock\file_lock_factory';
        foreach ([[verdict::FAILURE, 'open', 2], [verdict::SUCCESS, 'closed', 0]] as [$result, $state, $trips]) {
            $this->open_long_ago();
            [$breaker, $other] = [$this->breaker(), $this->breaker()];
            $breaker->hold();
            $other->hold();
            $this->assertTrue($breaker->is_available());
            $this->assertTrue($breaker->is_probing());
            $this->assertFalse($other->is_available());
            $this->assertSame('OPEN', $this->breaker()->get_state_label());
            $breaker->record($result);
            $this->assertFalse($breaker->may_repeat());
            $breaker->settle();
            $other->settle();
            $row = $this->breaker()->get_state();
            $this->assertEquals([$state, $trips, null], [$row->state, $row->trips, $row->holder]);
        }
        $this->set(['state' => 'open', 'trips' => 1, 'retryat' => time() + 60]);
        $breaker->hold();
        $this->assertFalse($breaker->is_available());
        $breaker->settle();
    }

    public function test_a_worker_that_was_faster_with_the_probe_decides(): void {
        $this->open_long_ago();
        $breaker = $this->breaker();
        $breaker->hold();
        $this->assertTrue($breaker->is_available());
        $this->set(['state' => 'halfopen', 'holder' => 'host:1:2', 'timemodified' => time()]);
        $breaker->record_success();
        $breaker->settle();
        $this->assertSame('HALFOPEN', $this->breaker()->get_state_label());
    }

    public function test_a_reset_closes_it_and_tells_the_fleet(): void {
        $this->set(['state' => 'open', 'trips' => 4, 'failure_count' => 9, 'retryat' => time() + 500]);
        $this->breaker()->reset();
        $row = $this->breaker()->get_state();
        $this->assertEquals(['closed', 0, 0, null], [$row->state, $row->failure_count, $row->trips, $row->retryat]);
        $this->assertTrue($this->breaker()->is_available());
        $this->assertSame(['{"breaker":' . $this->serviceid . '}'], $this->broker->hints);
    }
}
