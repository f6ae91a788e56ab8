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

use local_integrationhub\external\replays as replays_function;
use local_integrationhub\output\letter_page;
use local_integrationhub\output\queue_page;
use local_integrationhub\table\dead_filter;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/fake_broker.php');

/**
 * Dead letters: search, details, and asking for replays.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\replays
 * @covers     \local_integrationhub\local\old_letter
 * @covers     \local_integrationhub\local\trace
 * @covers     \local_integrationhub\table\dead_filter
 * @covers     \local_integrationhub\table\dead_table
 * @covers     \local_integrationhub\output\queue_page
 * @covers     \local_integrationhub\output\letter_page
 * @covers     \local_integrationhub\output\badges
 * @covers     \local_integrationhub\external\replays
 * @covers     \local_integrationhub\event\dead_letters_replayed
 * @covers     \local_integrationhub\event\dead_letters_discarded
 * @covers     \local_integrationhub\event\replay_stopped
 */
final class replays_test extends \advanced_testcase {
    /** @var \stdClass */
    private $service;

    protected function setUp(): void {
        global $PAGE;
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $PAGE->set_url('/local/integrationhub/queue.php');
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $this->service = $generator->create_service(['name' => 'crm']);
    }

    /**
     * Makes a dead letter.
     *
     * @param array $values
     * @return int id
     */
    private function letter(array $values = []): int {
        global $DB;
        static $number = 0;
        $number++;
        return $DB->insert_record('local_integrationhub_dlq', (object) ($values + [
            'eventname' => '\core\event\user_created', 'serviceid' => $this->service->id, 'ruleid' => 3, 'messageid' => "m$number",
            'payload' => '{"userid":5,"courseid":"7"}', 'error_message' => 'HTTP 500', 'http_status' => 500, 'attempts' => 4,
            'timecreated' => 1795601250, 'state' => 'dead',
        ]));
    }

    /**
     * Ids of the letters that a filter lets pass.
     *
     * @param array $values
     * @return int[]
     */
    private static function found(array $values): array {
        global $DB;
        $filter = new dead_filter($values);
        [$where, $parameters] = $filter->sql();
        $ids = $DB->get_fieldset_sql("SELECT d.id FROM {local_integrationhub_dlq} d WHERE $where ORDER BY d.id", $parameters);
        self::assertSame(count($ids), $filter->count());
        return array_map('intval', $ids);
    }

    public function test_letters_are_found_by_every_condition(): void {
        $a = $this->letter();
        $b = $this->letter(['eventname' => '\mod_quiz\event\attempt_submitted', 'serviceid' => 99, 'ruleid' => 4,
            'http_status' => 404,
            'error_message' => 'HTTP 404: 100% gone', 'payload' => '{"relateduserid": 6,"text":"Grüße_x"}',
            'timecreated' => 1795701250]);
        $c = $this->letter(['state' => 'delivered', 'payload' => '{"userid":55}', 'messageid' => 'abc-def',
            'response' => 'so sorry']);
        $expected = [
            [[], [$a, $b]], [['state' => 'dead'], [$a, $b]], [['state' => 'any'], [$a, $b, $c]], [['state' => 'delivered'], [$c]],
            [['state' => 'nonsense'], [$a, $b]], [['serviceid' => 99], [$b]], [['ruleid' => 3], [$a]], [['status' => 404], [$b]],
            [['eventname' => '\core\event\user_created'], [$a]], [['eventname' => '\mod_quiz\event\*'], [$b]],
            [['eventname' => '\mod_qui_\event\*'], []], [['reason' => 'http 404'], [$b]], [['reason' => '100%'], [$b]],
            [['reason' => '%'], [$b]], [['userid' => 5], [$a]], [['userid' => 6], [$b]], [['courseid' => 7], [$a]],
            [['text' => 'grüße_'], [$b]], [['text' => 'abc-', 'state' => 'any'], [$c]], [['text' => 'so sorry', 'state' => 'any'],
            [$c]],
            [['from' => '2026-11-26'], [$b]], [['to' => '2026-11-25'], [$a]], [['from' => '2026-11-25', 'to' => '2026-11-26'], [$a,
            $b]],
            [['from' => '2026-02-30'], [$a, $b]],
        ];
        foreach ($expected as [$values, $ids]) {
            $this->assertSame($ids, self::found($values), json_encode($values));
        }
    }

    public function test_all_letters_are_asked_for_with_one_row_where_the_replayer_knows_the_conditions(): void {
        global $DB, $USER;
        $this->letter();
        $this->letter();
        $this->letter(['serviceid' => 99]);
        $sink = $this->redirectEvents();
        $filter = new dead_filter(['serviceid' => $this->service->id, 'reason' => 'HTTP 5', 'from' => '2026-11-25',
            'to' => '2026-11-26']);
        $number = replays::request_all('replay', $filter, ['mode' => 'render', 'rate' => 7, 'canary' => 1, 'stopafter' => 3]);
        $this->assertSame(2, $number);
        $rows = array_values($DB->get_records(replays::TABLE));
        $this->assertCount(1, $rows);
        $expected = ['action' => 'replay', 'mode' => 'render', 'serviceid' => $this->service->id, 'ruleid' => null,
            'messageid' => null,
            'eventname' => null, 'reason' => 'HTTP 5', 'rate' => 7, 'canary' => 1, 'stopafter' => 3, 'userid' => $USER->id,
            'state' => 'requested'];
        $this->assertEquals($expected, array_intersect_key((array) $rows[0], $expected));
        $this->assertSame(2 * 86400 - 1, $rows[0]->timeto - $rows[0]->timefrom);
        [$event] = $sink->get_events();
        $this->assertInstanceOf(\local_integrationhub\event\dead_letters_replayed::class, $event);
        $this->assertStringContainsString('asked to send again the dead letters', $event->get_description());
        $this->assertStringContainsString('queue.php', $event->get_url()->out());
        $this->assertNotEmpty($event::get_name());
    }

    public function test_others_are_asked_for_one_by_one_and_not_without_end(): void {
        global $DB;
        $chosen = $this->letter(['http_status' => 404]);
        $this->letter();
        $this->letter(['http_status' => 404, 'messageid' => null, 'timemodified' => 5]);
        $this->assertSame(1, replays::request_all('discard', new dead_filter(['status' => 404])));
        [$row] = array_values($DB->get_records(replays::TABLE));
        $letter = $DB->get_record('local_integrationhub_dlq', ['id' => $chosen]);
        $expected = ['discard', $letter->messageid, $letter->serviceid, $letter->ruleid];
        $this->assertEquals($expected, [$row->action, $row->messageid, $row->serviceid, $row->ruleid]);
        $settled = $this->letter(['state' => 'delivered']);
        $this->assertSame(0, replays::request_chosen('replay', [$settled, 0]));
        for ($i = 0; $i <= replays::MAXSINGLE; $i++) {
            $this->letter(['http_status' => 404]);
        }
        $before = $DB->count_records(replays::TABLE);
        try {
            replays::request_all('replay', new dead_filter(['status' => 404]));
            $this->fail('too many');
        } catch (\moodle_exception $e) {
            $this->assertSame('error_too_many_letters', $e->errorcode);
        }
        $this->assertSame($before, $DB->count_records(replays::TABLE));
    }

    public function test_d4_a_letter_of_2_0_0_is_sent_as_it_is_and_stays_until_somebody_has_it(): void {
        global $DB;
        $broker = new \local_integrationhub\fake_broker();
        $payload = '{"event":"\\\\core\\\\event\\\\user_loggedin","user":"5"}';
        $id = $this->letter(['messageid' => null, 'ruleid' => null, 'payload' => $payload, 'http_status' => null, 'attempts' => 0]);
        $letter = $DB->get_record('local_integrationhub_dlq', ['id' => $id]);
        $this->assertTrue(old_letter::is_one($letter));
        $this->assertSame(0, replays::request_chosen('replay', [$id]), 'no rule');
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $generator->create_rule(['eventname' => $letter->eventname, 'serviceid' => $this->service->id, 'enabled' => 0]);
        $this->assertFalse(old_letter::send($letter, 9, $broker), 'a disabled rule');
        $rule = $generator->create_rule(['eventname' => $letter->eventname, 'serviceid' => $this->service->id]);
        $broker->error = 'away';
        $this->assertFalse(old_letter::send($letter, 7, $broker));
        $again = $DB->get_record('local_integrationhub_dlq', ['id' => $id]);
        $this->assertTrue(old_letter::is_one($again), 'it can be sent again');
        $broker->error = null;
        $this->assertTrue(old_letter::send($again, 9, $broker));
        [$message] = $broker->published;
        $this->assertSame($again->messageid, $message->id, 'nobody knows whether the broker has the first one');
        $this->assertTrue($message->republished);
        $this->assertSame(['x-mih-replay' => 9, 'x-mih-mode' => 'sent', 'x-mih-rendered' => $payload], $message->headers);
        $this->assertSame($letter->eventname, json_decode($message->body)->eventname);
        $row = $DB->get_record('local_integrationhub_dlq', ['id' => $id]);
        $this->assertEquals(['replayed', $message->id, $rule->id, 9], [$row->state, $row->messageid, $row->ruleid, $row->replayid]);
        // Somebody else has read the row before.
        $this->assertFalse(old_letter::send($letter, 10, $broker));
        $this->assertFalse(old_letter::discard($again, 11));
        $this->assertCount(1, $broker->published);
        $this->assertEquals($row, $DB->get_record('local_integrationhub_dlq', ['id' => $id]));

        $other = $this->letter(['messageid' => null, 'ruleid' => null,
            'payload' => '{"eventname":"\\\\core\\\\event\\\\user_created","timecreated":5}']);
        $broker->error = 'away';
        $this->assertFalse(old_letter::send($DB->get_record('local_integrationhub_dlq', ['id' => $other]), 12, $broker));
        $this->assertSame(1, replays::request_all('discard', new dead_filter(['reason' => 'HTTP 500'])));
        $this->assertSame('discarded', $DB->get_field('local_integrationhub_dlq', 'state', ['id' => $other]));
        $this->assertSame('done', $DB->get_field(replays::TABLE, 'state', ['moved' => 1, 'action' => 'discard']));
    }

    public function test_progress_and_stop(): void {
        global $DB;
        $now = time();
        for ($i = 0; $i < 4; $i++) {
            $this->letter(['timecreated' => $now - 100]);
        }
        replays::request_all('replay', new dead_filter(['serviceid' => $this->service->id]));
        [$replay] = array_values(replays::latest(5));
        $this->assertSame([true, 0], [$replay->isopen, $replay->percent]);
        $DB->update_record(replays::TABLE, (object) ['id' => $replay->id, 'state' => 'running', 'moved' => 6,
            'timestarted' => $now - 50]);
        $this->letter(['timecreated' => $now]);
        [$replay] = array_values(replays::latest(5));
        $this->assertSame([true, 60], [$replay->isopen, $replay->percent], 'what died since the start does not count');
        $data = replays_function::execute();
        $this->assertSame([60, 'crm', 'Running'], [$data['replays'][0]['percent'], $data['replays'][0]['text'],
            $data['replays'][0]['state']['text']]);
        $this->assertNotEmpty(\core_external\external_api::clean_returnvalue(replays_function::execute_returns(), $data));

        $this->assertTrue(replays::stop((int) $replay->id));
        $this->assertSame('stopped', $DB->get_field(replays::TABLE, 'state', ['id' => $replay->id]));
        $this->assertFalse(replays::stop((int) $replay->id));
        $this->assertSame('', queue_page::replays(true)['replays'][0]['stopurl']);
    }

    public function test_d5_the_script_of_2_0_0_tells_what_became_of_each_letter(): void {
        global $DB;
        $open = $this->letter();
        $settled = $this->letter(['state' => 'delivered']);
        $told = replays::carry_out([$open, $settled], 0);
        $this->assertSame([$open => 'FAIL', $settled => 'SKIP'], array_map(function (array $one): string {
            return $one[0];
        }, $told));
        $this->assertSame(1, $DB->count_records(replays::TABLE, ['mode' => 'sent', 'state' => 'requested']));
        $this->expectExceptionMessage('There is no dead letter 999999.');
        replays::carry_out([999999], 0);
    }

    public function test_what_a_request_is_about(): void {
        $this->assertSame('All dead letters', replays::text(new \stdClass()));
        $text = replays::text((object) ['serviceid' => $this->service->id, 'ruleid' => 4, 'reason' => 'x',
            'timefrom' => 1795601250]);
        $this->assertStringStartsWith('crm · Rule 4 · "x" · from ', $text);
        $this->assertSame('m1 · Service 77 is gone', replays::text((object) ['messageid' => 'm1', 'serviceid' => 77]));
    }

    public function test_the_page(): void {
        global $PAGE;
        $this->letter(['error_message' => '<script>alert(1)</script>', 'messageid' => 'first']);
        $this->letter();
        $this->letter();
        $output = $PAGE->get_renderer('local_integrationhub');
        $data = (new queue_page(new dead_filter(), true))->export_for_template($output);
        $this->assertEquals([2, 1], array_column($data['reasons'], 'number'));
        $this->assertSame([3, true], [$data['number'], $data['actions']]);
        $html = $output->render(new queue_page(new dead_filter(), true));
        $this->assertStringNotContainsString('<script>', $html);
        $this->assertStringContainsString('name="ids[]"', $html);
        $html = $output->render(new queue_page(new dead_filter(), false));
        $this->assertStringNotContainsString('name="ids[]"', $html);
        $this->assertStringNotContainsString('queue_action', $html);
        $html = $output->render(new queue_page(new dead_filter(['state' => 'dropped']), true));
        $this->assertStringContainsString('No dead letter matches the search.', $html);
        $question = $output->replay_question('replay', 3, ['actionall' => 'replay'], page::url('queue'));
        $this->assertStringContainsString('name="sesskey" value="' . sesskey() . '"', $question);
        $this->assertStringContainsString('name="canary"', $question);
        $this->assertStringNotContainsString('name="mode"', $output->replay_question('discard', 1, [], page::url('queue')));
    }

    public function test_d7_and_d24_one_letter_with_its_attempts(): void {
        global $DB, $PAGE;
        $id = $this->letter(['messageid' => 'one', 'payload' => '{"a":"<b>\"x\"</b>","n":1.0}', 'response' => '<i>no</i>',
            'endpoint' => 'https://h/u', 'http_method' => 'PUT', 'timefirst' => 1795601200]);
        foreach ([[500, 'retry', 3], [404, 'dead', 3], [200, 'delivered', 8]] as [$status, $outcome, $ruleid]) {
            $DB->insert_record('local_integrationhub_log', (object) ['serviceid' => $this->service->id, 'ruleid' => $ruleid,
                'endpoint' => '/u',
                'messageid' => 'one', 'eventname' => '\core\event\user_created', 'http_status' => $status, 'outcome' => $outcome,
                'success' => (int) ($status === 200), 'latency_ms' => 5, 'timecreated' => time()]);
        }
        $output = $PAGE->get_renderer('local_integrationhub');
        $letter = $DB->get_record('local_integrationhub_dlq', ['id' => $id]);
        $page = new letter_page(new trace('one'), $letter, true);
        $data = $page->export_for_template($output);
        $this->assertSame([500, 404], array_column($data['attempts'], 'status'), 'of this rule only');
        $html = $output->render($page);
        $this->assertStringContainsString('&quot;a&quot;: &quot;&lt;b&gt;\&quot;x\&quot;&lt;/b&gt;&quot;', $html);
        $this->assertStringContainsString('&quot;n&quot;: 1.0', $html);
        $this->assertStringNotContainsString('<i>no', $html);
        $this->assertStringNotContainsString('&amp;quot;', $html);
        $this->assertStringContainsString('queue_action.php?action=replay', $html);
        $whole = (new letter_page(new trace('one'), null, false))->export_for_template($output);
        $this->assertSame([500, 404, 200], array_column($whole['attempts'], 'status'));
        $this->assertSame('', $whole['letters'][0]['replayurl']);
        $DB->insert_record('local_integrationhub_outbox', (object) ['messageid' => 'two', 'eventname' => '\core\event\a',
            'payload' => '{"b":1}']);
        $two = new trace('two');
        $this->assertSame([false, '\core\event\a'], [$two->is_empty(), $two->eventname()]);
        $this->assertStringContainsString('"b": 1', (new letter_page($two, null, true))->export_for_template($output)['outbox']);
        $this->assertTrue((new trace('none'))->is_empty());
        $this->assertSame('no JSON', letter_page::pretty('no JSON'));
    }
}
