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

use local_integrationhub\fake_broker;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/fake_broker.php');

/**
 * From the event to the message and its outbox row.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\publisher
 * @covers     \local_integrationhub\local\interrupted
 * @covers     \local_integrationhub\local\outbox
 * @covers     \local_integrationhub\local\cooloff
 * @covers     \local_integrationhub\event\observer
 */
final class publisher_test extends \advanced_testcase {
    /** An event that these tests trigger. */
    private const EVENT = '\core\event\user_loggedin';

    /** @var fake_broker */
    private $broker;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->preventResetByRollback();
        (new cooloff())->clear();
        set_config('brokerurl', 'amqp://localhost', 'local_integrationhub');
        $this->broker = new fake_broker();
        $this->start_request();
    }

    protected function tearDown(): void {
        publisher::set_instance(null);
        (new cooloff())->clear();
        wanted_events::invalidate();
        parent::tearDown();
    }

    /**
     * Everything static anew, as at the begin of a request.
     */
    private function start_request(): void {
        publisher::set_instance(new publisher($this->broker, new cooloff()));
    }

    /**
     * Makes a rule that wants an event.
     *
     * @param string $eventname
     */
    private function want(string $eventname = self::EVENT): void {
        $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_rule(['eventname' => $eventname]);
    }

    /**
     * Triggers the event.
     *
     * @param int $userid
     * @return \core\event\base
     */
    private function trigger(int $userid = 2): \core\event\base {
        $event = \core\event\user_loggedin::create([
            'userid' => $userid,
            'objectid' => $userid,
            'other' => ['username' => 'admin'],
        ]);
        $event->trigger();
        return $event;
    }

    /**
     * The rows of the outbox.
     *
     * @return \stdClass[]
     */
    private function rows(): array {
        global $DB;
        return array_values($DB->get_records(outbox::TABLE, null, 'id'));
    }

    public function test_d3_five_courses_viewed_in_a_row_are_five_events(): void {
        $this->want('\core\event\course_viewed');
        $this->setAdminUser();
        $courses = [];
        for ($i = 0; $i < 5; $i++) {
            $course = $this->getDataGenerator()->create_course();
            $courses[] = (int) $course->id;
            \core\event\course_viewed::create(['context' => \context_course::instance($course->id)])->trigger();
        }
        publisher::instance()->flush();
        $seen = array_filter($this->broker->published, function (message $message): bool {
            return $message->eventname === '\core\event\course_viewed';
        });
        $this->assertSame($courses, array_values(array_map(function (message $message): int {
            return (int) json_decode($message->body)->courseid;
        }, $seen)));
    }

    public function test_a_wanted_event_has_its_row_inside_the_transaction(): void {
        global $DB;
        $this->want();
        $transaction = $DB->start_delegated_transaction();
        $this->trigger();
        $this->assertCount(1, $this->rows());
        $this->assertSame(self::EVENT, $this->rows()[0]->eventname);
        publisher::instance()->flush();
        $this->assertSame(0, $this->broker->calls, 'published before the commit');
        $transaction->allow_commit();
        publisher::instance()->flush();
        $this->assertCount(1, $this->broker->published);
        $this->assertCount(0, $this->rows());
    }

    public function test_a_rolled_back_transaction_leaves_nothing(): void {
        global $DB;
        $this->want();
        $transaction = $DB->start_delegated_transaction();
        $this->trigger();
        try {
            $transaction->rollback(new \coding_exception('x'));
        } catch (\coding_exception $e) {
            $this->assertStringContainsString('x', $e->getMessage());
        }
        publisher::instance()->flush();
        $this->assertCount(0, $this->rows());
        $this->assertCount(0, $this->broker->published);
    }

    public function test_row_and_message_are_the_same(): void {
        $this->want();
        $this->trigger();
        $row = $this->rows()[0];
        publisher::instance()->flush();
        $message = $this->broker->published[0];
        $this->assertSame($row->messageid, $message->id);
        $this->assertSame($row->payload, $message->body);
        $this->assertSame('core.user_loggedin', $message->routing_key());
        $uuid = '~^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$~';
        $this->assertMatchesRegularExpression($uuid, $message->id);
    }

    public function test_several_rules_make_one_row(): void {
        $this->want();
        $this->want();
        $this->want('\core\event\*');
        $this->trigger();
        $this->assertCount(1, $this->rows());
    }

    public function test_an_event_that_no_rule_wants_is_published_and_never_stored(): void {
        $this->trigger();
        $this->assertCount(0, $this->rows());
        publisher::instance()->flush();
        $this->assertCount(1, $this->broker->published);
        $this->broker->error = 'away';
        $this->trigger();
        publisher::instance()->flush();
        $this->assertCount(0, $this->rows());
    }

    public function test_all_events_of_a_request_are_published_in_one_go_and_in_order(): void {
        $this->want();
        for ($i = 2; $i < 12; $i++) {
            $this->trigger($i);
        }
        publisher::instance()->flush();
        $this->assertSame(1, $this->broker->calls);
        $ids = array_column($this->broker->published, 'id');
        $sorted = $ids;
        sort($sorted);
        $this->assertSame($sorted, $ids);
        $users = array_map(function (message $message): int {
            return json_decode($message->body)->userid;
        }, $this->broker->published);
        $this->assertSame(range(2, 11), $users);
        $this->assertCount(0, $this->rows());
    }

    public function test_memory_is_bounded_by_publishing_in_the_middle(): void {
        for ($i = 0; $i < publisher::MAXCOUNT + 5; $i++) {
            $this->trigger();
        }
        $this->assertSame(1, $this->broker->calls);
        $this->assertCount(publisher::MAXCOUNT, $this->broker->published);
    }

    public function test_returned_messages_keep_their_rows(): void {
        $this->want();
        $this->broker->unroutable = [self::EVENT];
        $this->trigger();
        publisher::instance()->flush();
        $this->assertCount(1, $this->rows());
        $this->assertNull((new cooloff())->reason(), 'a returned message is no failure of the broker');
    }

    public function test_a_broker_that_is_away_keeps_the_rows_and_is_left_alone(): void {
        $this->want();
        $this->broker->error = 'connection refused';
        $this->trigger();
        publisher::instance()->flush();
        $this->assertCount(1, $this->rows());
        $this->assertSame('connection refused', (new cooloff())->reason());

        $this->broker->error = null;
        $this->start_request();
        $this->trigger();
        publisher::instance()->flush();
        $this->assertSame(1, $this->broker->calls, 'tried during the pause');
        $this->assertCount(2, $this->rows());
    }

    public function test_after_the_pause_one_process_tries_and_a_success_ends_it(): void {
        $this->want();
        (new cooloff())->begin('away', -1);
        $mine = new cooloff();
        $others = new cooloff();
        $this->assertFalse($mine->active(10));
        $this->assertTrue($others->active(10), 'two processes try at once');
        $mine->end();
        $this->assertFalse($others->active(10));

        (new cooloff())->begin('away', -1);
        $this->trigger();
        publisher::instance()->flush();
        $this->assertSame(1, $this->broker->calls);
        $this->assertCount(0, $this->rows());
        $this->assertNull((new cooloff())->reason());
    }

    public function test_direct_mode_writes_a_row_only_after_a_failure(): void {
        $this->want();
        set_config('mode', 'direct', 'local_integrationhub');
        $this->trigger();
        $this->assertCount(0, $this->rows());
        publisher::instance()->flush();
        $this->assertCount(1, $this->broker->published);
        $this->assertCount(0, $this->rows());

        $this->broker->error = 'away';
        $this->trigger();
        \core\event\user_loggedout::create(['userid' => 2, 'objectid' => 2, 'other' => ['sessionid' => 'x']])->trigger();
        publisher::instance()->flush();
        $this->assertCount(1, $this->rows(), 'the wanted one, and only that');
        $this->assertSame(self::EVENT, $this->rows()[0]->eventname);

        $this->trigger();
        publisher::instance()->flush();
        $this->assertSame(2, $this->broker->calls, 'tried during the pause');
        $this->assertCount(2, $this->rows());
    }

    public function test_direct_mode_stores_what_no_queue_takes(): void {
        $this->want();
        set_config('mode', 'direct', 'local_integrationhub');
        $this->broker->unroutable = [self::EVENT];
        $this->trigger();
        publisher::instance()->flush();
        $this->assertCount(1, $this->rows());
    }

    /**
     * Without a broker URL wanted events wait for the relay, in both modes.
     *
     * @dataProvider modes
     * @param string $mode
     */
    public function test_without_a_broker_wanted_events_wait(string $mode): void {
        $this->want();
        set_config('mode', $mode, 'local_integrationhub');
        set_config('brokerurl', '', 'local_integrationhub');
        $this->trigger();
        \core\event\user_loggedout::create(['userid' => 2, 'objectid' => 2, 'other' => ['sessionid' => 'x']])->trigger();
        publisher::instance()->flush();
        $this->assertSame(0, $this->broker->calls);
        $this->assertCount(1, $this->rows());
    }

    /**
     * The publishing modes.
     *
     * @return array
     */
    public static function modes(): array {
        return [['safe'], ['direct']];
    }

    public function test_what_the_relay_has_published_meanwhile_is_not_published_again(): void {
        global $DB;
        $this->want();
        $old = $this->trigger();
        $this->trigger(3);
        $rows = $this->rows();
        // The first event is five seconds old and its row is gone; the second is as old and still there.
        $collected = new \ReflectionProperty(publisher::class, 'collected');
        $collected->setAccessible(true);
        foreach ($collected->getValue(publisher::instance()) as $message) {
            $message->timecreated -= 5;
        }
        $DB->set_field(outbox::TABLE, 'timecreated', time() - 5);
        $DB->delete_records(outbox::TABLE, ['messageid' => $rows[0]->messageid]);
        publisher::instance()->flush();
        $this->assertSame([$rows[1]->messageid], array_column($this->broker->published, 'id'));
        $this->assertTrue($this->broker->published[0]->republished, 'the relay may be about to publish it, too');
        $this->assertCount(0, $this->rows());
        $this->assertNotNull($old);
    }

    public function test_the_first_publication_is_not_flagged(): void {
        $this->want();
        $this->trigger();
        publisher::instance()->flush();
        $this->assertSame([false], array_column($this->broker->published, 'republished'));
    }

    public function test_a_late_publication_claims_its_rows(): void {
        global $DB;
        $this->want();
        $this->trigger();
        $id = $this->rows()[0]->messageid;
        $DB->set_field(outbox::TABLE, 'timecreated', 1000);
        $this->assertSame([$id => 1], outbox::claim([$id, 'gone']));
        $this->assertGreaterThanOrEqual(time() - 2, $this->rows()[0]->timecreated);
    }

    public function test_a_failure_inside_never_reaches_the_page(): void {
        $this->want();
        $broken = $this->createMock(broker::class);
        $broken->method('publish')->willThrowException(new \TypeError('broken'));
        publisher::set_instance(new publisher($broken, new cooloff()));
        $this->trigger();
        for ($i = 0; $i < publisher::MAXCOUNT; $i++) {
            $this->trigger();
        }
        $this->assertDebuggingCalled();
        $this->assertGreaterThanOrEqual(publisher::MAXCOUNT, count($this->rows()));
    }

    public function test_direct_mode_keeps_the_event_when_publishing_breaks(): void {
        $this->want();
        set_config('mode', 'direct', 'local_integrationhub');
        $broken = $this->createMock(broker::class);
        $broken->method('publish')->willThrowException(new \TypeError('broken'));
        publisher::set_instance(new publisher($broken, new cooloff()));
        $this->trigger();
        try {
            publisher::instance()->flush();
            $this->fail('nothing thrown');
        } catch (\TypeError $e) {
            $this->assertCount(1, $this->rows());
        }
    }

    public function test_no_row_is_written_before_the_table_exists(): void {
        $this->want();
        set_config('version', 2026022700, 'local_integrationhub');
        $this->trigger();
        set_config('version', 2026112200, 'local_integrationhub');
        publisher::instance()->flush();
        $this->assertCount(0, $this->rows());
        $this->assertSame(0, $this->broker->calls);
    }

    public function test_d03_viewing_five_courses_makes_five_events(): void {
        $this->want('\core\event\course_viewed');
        for ($i = 0; $i < 5; $i++) {
            $course = $this->getDataGenerator()->create_course();
            \core\event\course_viewed::create(['context' => \context_course::instance($course->id)])->trigger();
        }
        $this->assertCount(5, $this->rows());
    }

    public function test_d12_no_database_read_per_event(): void {
        global $DB;
        $this->want('\core\event\course_viewed');
        $this->trigger();
        $reads = $DB->perf_get_reads();
        for ($i = 0; $i < 50; $i++) {
            $this->trigger();
        }
        // The names are read again after two seconds; a slow machine may see that once.
        $this->assertLessThanOrEqual(1, $DB->perf_get_reads() - $reads);
    }

    /**
     * An observer of somebody else's that dies.
     *
     * @param \core\event\base $event
     */
    public static function die_at(\core\event\base $event): void {
        if ($event->userid === 13) {
            throw new \Error('dead');
        }
    }

    /**
     * Has an observer die, in front of ours if they let it.
     *
     * @param bool $internal
     */
    private function trigger_and_die(bool $internal): void {
        $callback = self::class . '::die_at';
        $observer = ['eventname' => self::EVENT, 'callback' => $callback, 'internal' => $internal, 'priority' => 9999];
        $ours = \core_component::get_plugin_directory('local', 'integrationhub') . '/db/events.php';
        $observers = [];
        require($ours);
        \core\event\manager::phpunit_replace_observers(array_merge([$observer], $observers));
        try {
            $this->trigger(13);
            $this->fail('The observer has not died.');
        } catch (\Error $e) {
            $this->assertSame('dead', $e->getMessage());
        }
    }

    /**
     * Both modes, and both kinds of observers.
     *
     * @return array[]
     */
    public static function deaths(): array {
        return [[config::MODE_SAFE, true], [config::MODE_SAFE, false], [config::MODE_DIRECT, true], [config::MODE_DIRECT, false]];
    }

    /**
     * Nothing is lost when an observer of somebody else's dies.
     *
     * @dataProvider deaths
     * @param string $mode
     * @param bool $internal
     */
    public function test_events_after_the_death_of_an_observer_are_published(string $mode, bool $internal): void {
        set_config('mode', $mode, 'local_integrationhub');
        $this->want();
        $this->trigger_and_die($internal);
        $this->trigger(14);
        publisher::instance()->recover();
        $this->trigger(15);
        publisher::instance()->flush();
        $users = array_map(function (message $message): int {
            return (int) json_decode($message->body)->userid;
        }, $this->broker->published);
        $this->assertSame([13, 14, 15], $users);
        $this->assertSame([], $this->rows());
    }

    public function test_what_was_rolled_back_after_such_a_death_is_not_published(): void {
        global $DB;
        $this->want();
        $this->want('\core\event\user_created');
        $transaction = $DB->start_delegated_transaction();
        $this->trigger_and_die(true);
        // The generator raises the event.
        $this->getDataGenerator()->create_user();
        try {
            $transaction->rollback(new \coding_exception('x'));
        } catch (\coding_exception $e) {
            $this->assertStringContainsString('x', $e->getMessage());
        }
        $kept = $this->getDataGenerator()->create_user();
        publisher::instance()->recover();
        publisher::instance()->flush();
        $this->assertSame([(int) $kept->id], array_map(function (message $message): int {
            return (int) json_decode($message->body)->objectid;
        }, $this->broker->published));
    }
}
