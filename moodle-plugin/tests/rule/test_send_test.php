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

namespace local_integrationhub\rule;

use local_integrationhub\external\test_result;
use local_integrationhub\external\test_send as test_function;
use local_integrationhub\fake_broker;
use local_integrationhub\local\replays;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/fake_broker.php');

/**
 * Tests of a rule through a worker.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\rule\test_send
 * @covers     \local_integrationhub\external\test_send
 * @covers     \local_integrationhub\external\test_result
 */
final class test_send_test extends \advanced_testcase {
    /** @var \stdClass */
    private $rule;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->preventResetByRollback();
        $this->setAdminUser();
        set_config('enabled_stores', 'logstore_standard', 'tool_log');
        set_config('buffersize', 0, 'logstore_standard');
        get_log_manager(true);
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $this->rule = $generator->create_rule(['eventname' => '\core\event\course_viewed', 'filter' => '{"courseid": {"$gt": 1}}']);
    }

    protected function tearDown(): void {
        set_config('enabled_stores', '', 'tool_log');
        get_log_manager(true);
        parent::tearDown();
    }

    /**
     * Why nothing is sent.
     *
     * @param fake_broker $broker
     * @return string
     */
    private function refusal(fake_broker $broker): string {
        try {
            (new test_send($broker))->send((int) $this->rule->id);
        } catch (\moodle_exception $e) {
            return $e->errorcode;
        }
        return '';
    }

    public function test_what_stands_in_the_way_is_told(): void {
        global $DB;
        $broker = new fake_broker();
        $this->assertSame('error_test_no_worker', $this->refusal($broker));
        $DB->insert_record('local_integrationhub_worker', (object) ['instance' => 'i', 'timeseen' => time()]);
        $this->assertSame('error_test_no_event', $this->refusal($broker));
        \core\event\course_viewed::create(['context' => \context_course::instance(SITEID)])->trigger();
        $this->assertSame('error_test_filter', $this->refusal($broker));
        $course = $this->getDataGenerator()->create_course();
        \core\event\course_viewed::create(['context' => \context_course::instance($course->id)])->trigger();
        $this->assertSame('', $this->refusal($broker));
        $this->assertCount(1, $broker->published);
        [$message] = $broker->published;
        $this->assertEquals($course->id, json_decode($message->body)->courseid);
        $this->assertGreaterThan(15, $message->headers['x-mih-attempt']);
        $this->assertSame(1, $message->headers['x-mih-test'], 'its row of the log is always written');
        $broker->unroutable = ['\core\event\course_viewed'];
        $this->assertSame('error_returned', $this->refusal($broker));
        $broker->error = 'away';
        $this->assertSame('error_connect', $this->refusal($broker));
        $DB->insert_record('local_integrationhub_cb', (object) ['serviceid' => $this->rule->serviceid, 'state' => 'open']);
        $this->assertSame('error_test_breaker_open', $this->refusal($broker));
        $DB->set_field('local_integrationhub_svc', 'paused', 1);
        $this->assertSame('error_test_service_paused', $this->refusal($broker));
        $DB->set_field('local_integrationhub_svc', 'enabled', 0);
        $this->assertSame('error_test_service_disabled', $this->refusal($broker));
        $DB->set_field('local_integrationhub_rules', 'enabled', 0);
        $this->assertSame('error_test_rule_disabled', $this->refusal($broker));
        $DB->delete_records('local_integrationhub_rules');
        $this->assertSame('error_rule_not_found', $this->refusal($broker));
        $this->assertStringContainsString('There is no rule', test_function::execute((int) $this->rule->id)['error']);
    }

    public function test_the_answer_comes_from_the_log_and_a_failure_leaves_no_dead_letter(): void {
        global $DB;
        $id = (int) $this->rule->id;
        $this->assertFalse(test_result::execute(test_send::seal('m', $id), $id)['isknown']);
        $row = ['serviceid' => $this->rule->serviceid, 'ruleid' => $id, 'messageid' => 'm', 'endpoint' => 'https://h/',
            'http_status' => 200,
            'latency_ms' => 12, 'success' => 1, 'http_method' => 'PUT'];
        $DB->insert_record('local_integrationhub_log', (object) $row);
        $result = test_result::execute(test_send::seal('m', $id), $id);
        $expected = ['isknown' => true, 'success' => true, 'status' => 200, 'milliseconds' => 12, 'error' => '', 'response' => '',
            'call' => 'PUT https://h/'];
        $this->assertSame($expected, $result);
        $this->assertNotEmpty(\core_external\external_api::clean_returnvalue(test_result::execute_returns(), $result));

        $DB->insert_record('local_integrationhub_log', (object) (['messageid' => 'n', 'success' => 0,
            'http_status' => 500] + $row));
        $this->assertFalse(test_result::execute(test_send::seal('n', $id), $id)['isknown'], 'its dead letter is not there yet');
        $DB->insert_record('local_integrationhub_dlq', (object) ['eventname' => 'e', 'serviceid' => $this->rule->serviceid,
            'ruleid' => $id,
            'messageid' => 'n', 'error_message' => 'HTTP 500', 'http_status' => 500, 'response' => 'broken', 'state' => 'dead']);
        foreach ([1, 2] as $ignored) {
            $result = test_result::execute(test_send::seal('n', $id), $id);
            $this->assertSame([false, 500, 'HTTP 500', 'broken'], [$result['success'], $result['status'], $result['error'],
                $result['response']]);
            $this->assertSame(1, $DB->count_records(replays::TABLE, ['action' => 'discard', 'messageid' => 'n']));
        }
    }

    public function test_only_letters_of_tests_are_thrown_away(): void {
        global $DB;
        $id = (int) $this->rule->id;
        $DB->insert_record('local_integrationhub_dlq', (object) ['eventname' => 'e', 'serviceid' => $this->rule->serviceid,
            'ruleid' => $id, 'messageid' => 'real', 'state' => 'dead']);
        $others = ['', 'real', test_send::seal('real', $id + 1), \core\encryption::encrypt("$id real"), 'sodium:x', 'sodium:AAAA'];
        foreach ($others as $sealed) {
            try {
                test_result::execute($sealed, $id);
                $this->fail("taken: $sealed");
            } catch (\moodle_exception $e) {
                $this->assertSame('error_test_unknown', $e->errorcode);
            }
        }
        $this->assertSame(0, $DB->count_records(replays::TABLE));
        test_result::execute(test_send::seal('real', $id), $id);
        $this->assertSame(1, $DB->count_records(replays::TABLE));
    }

    public function test_only_who_may_manage_sends(): void {
        $this->setUser($this->getDataGenerator()->create_user());
        $this->expectException(\required_capability_exception::class);
        test_function::execute((int) $this->rule->id);
    }
}
