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

namespace local_integrationhub\privacy;

use core_privacy\local\metadata\collection;
use core_privacy\local\request\approved_contextlist;
use core_privacy\local\request\approved_userlist;
use core_privacy\local\request\userlist;
use core_privacy\local\request\writer;

/**
 * What the plugin knows about people.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\privacy\provider
 * @covers     \local_integrationhub\privacy\people
 */
final class provider_test extends \core_privacy\tests\provider_testcase {
    /** Names of the keys that name a person. */
    private const KEYS = ['userid', 'relateduserid', 'realuserid'];

    /** @var \stdClass[] */
    private $users;

    protected function setUp(): void {
        global $DB;
        parent::setUp();
        $this->resetAfterTest();
        foreach ([0, 1, 2, 3] as $i) {
            $this->users[$i] = $this->getDataGenerator()->create_user();
        }
        foreach (self::KEYS as $i => $key) {
            $row = ['eventname' => '\core\event\e' . $i, 'timecreated' => 1000];
            $person = [$key => (string) $this->users[$i]->id];
            $payload = json_encode(['deep' => ['er' => $person], 'objectid' => $this->users[3]->id]);
            $DB->insert_record('local_integrationhub_outbox', (object) ($row + ['messageid' => "id$i", 'payload' => $payload]));
            $DB->insert_record('local_integrationhub_dlq', (object) ($row + ['serviceid' => 1, 'payload' => $payload]));
        }
        $DB->insert_record('local_integrationhub_dlq', (object) ['eventname' => 'x', 'serviceid' => 1, 'payload' => 'not JSON']);
    }

    /**
     * How many rows are left.
     *
     * @return int[] outbox, dlq
     */
    private function left(): array {
        global $DB;
        return [$DB->count_records('local_integrationhub_outbox'), $DB->count_records('local_integrationhub_dlq')];
    }

    public function test_metadata_texts_exist(): void {
        $items = provider::get_metadata(new collection('local_integrationhub'))->get_collection();
        $this->assertCount(7, $items);
        foreach ($items as $item) {
            foreach (array_merge([$item->get_summary()], $item->get_privacy_fields()) as $key) {
                $this->assertTrue(get_string_manager()->string_exists($key, 'local_integrationhub'), $key);
            }
        }
    }

    public function test_who_is_concerned(): void {
        $system = \context_system::instance();
        foreach ([0, 1, 2] as $i) {
            $this->assertEquals([$system->id], provider::get_contexts_for_userid((int) $this->users[$i]->id)->get_contextids());
        }
        $this->assertEquals([], provider::get_contexts_for_userid((int) $this->users[3]->id)->get_contextids());
        $list = new userlist($system, 'local_integrationhub');
        provider::get_users_in_context($list);
        $expected = array_map('intval', array_column(array_slice($this->users, 0, 3), 'id'));
        $this->assertEqualsCanonicalizing($expected, $list->get_userids());
        $list = new userlist(\context_user::instance($this->users[0]->id), 'local_integrationhub');
        provider::get_users_in_context($list);
        $this->assertSame([], $list->get_userids());
    }

    public function test_export(): void {
        $system = \context_system::instance();
        provider::export_user_data(new approved_contextlist($this->users[1], 'local_integrationhub', [$system->id]));
        $writer = writer::with_context($system);
        foreach (['outbox', 'dlq'] as $table) {
            $path = [
                get_string('pluginname', 'local_integrationhub'),
                get_string('privacy:path:local_integrationhub_' . $table, 'local_integrationhub'),
            ];
            $events = $writer->get_data($path)->events;
            $this->assertSame(['\core\event\e1'], array_column($events, 'eventname'), $table);
        }
    }

    public function test_who_asked_for_a_replay(): void {
        global $DB;
        $system = \context_system::instance();
        $user = $this->users[3];
        $id = $DB->insert_record('local_integrationhub_replay', (object) ['action' => 'discard', 'userid' => $user->id]);
        $this->assertEquals([$system->id], provider::get_contexts_for_userid((int) $user->id)->get_contextids());
        $list = new userlist($system, 'local_integrationhub');
        provider::get_users_in_context($list);
        $this->assertContains((int) $user->id, $list->get_userids());
        provider::export_user_data(new approved_contextlist($user, 'local_integrationhub', [$system->id]));
        $path = [
            get_string('pluginname', 'local_integrationhub'),
            get_string('privacy:path:local_integrationhub_replay', 'local_integrationhub'),
        ];
        $this->assertSame(['discard'], array_column(writer::with_context($system)->get_data($path)->replays, 'action'));
        provider::delete_data_for_user(new approved_contextlist($user, 'local_integrationhub', [$system->id]));
        $this->assertNull($DB->get_field('local_integrationhub_replay', 'userid', ['id' => $id]));
        $DB->set_field('local_integrationhub_replay', 'userid', $user->id, ['id' => $id]);
        provider::delete_data_for_all_users_in_context($system);
        $this->assertNull($DB->get_field('local_integrationhub_replay', 'userid', ['id' => $id]));
    }

    public function test_deletion_of_one_of_some_and_of_all(): void {
        $system = \context_system::instance();
        provider::delete_data_for_user(new approved_contextlist($this->users[3], 'local_integrationhub', [$system->id]));
        $this->assertSame([3, 4], $this->left());
        provider::delete_data_for_user(new approved_contextlist($this->users[0], 'local_integrationhub', [$system->id]));
        $this->assertSame([2, 3], $this->left());
        $ids = [(int) $this->users[1]->id, (int) $this->users[3]->id];
        provider::delete_data_for_users(new approved_userlist($system, 'local_integrationhub', $ids));
        $this->assertSame([1, 2], $this->left());
        provider::delete_data_for_all_users_in_context(\context_user::instance($this->users[2]->id));
        $this->assertSame([1, 2], $this->left());
        provider::delete_data_for_all_users_in_context($system);
        $this->assertSame([0, 0], $this->left());
    }

    /**
     * A dead letter.
     *
     * @param string $payload
     * @param array $values
     * @return int id
     */
    private function dead(string $payload, array $values = []): int {
        global $DB;
        $values += ['eventname' => 'x', 'serviceid' => 7, 'payload' => $payload, 'messageid' => 'm', 'timecreated' => 1000,
            'endpoint' => '/secret', 'response' => 'no', 'error_message' => 'HTTP 400'];
        return (int) $DB->insert_record('local_integrationhub_dlq', (object) $values);
    }

    public function test_d21_people_are_known_by_their_address_too_and_in_forms(): void {
        global $DB;
        $user = $this->users[3];
        $email = \core_text::strtoupper($user->email);
        $about = ['{"mail":["x <' . $email . '>"]}', 'a=1&mail=' . rawurlencode($user->email), 'a%5Buserid%5D=' . $user->id,
            'userid=' . $user->id . '&b=2', "Dear $user->email, welcome"];
        $notabout = ['{"mail":"a' . $user->email . '"}', 'userid=' . $user->id . '0', 'nouserid=' . $user->id,
            '{"id":' . $user->id . '}'];
        foreach (array_merge($about, $notabout) as $text) {
            $id = $this->dead($text);
            $ids = provider::get_contexts_for_userid((int) $user->id)->get_contextids();
            $this->assertCount((int) in_array($text, $about, true), $ids, $text);
            $list = new userlist(\context_system::instance(), 'local_integrationhub');
            provider::get_users_in_context($list);
            $this->assertSame(in_array($text, $about, true), in_array((int) $user->id, $list->get_userids(), true), $text);
            $DB->delete_records('local_integrationhub_dlq', ['id' => $id]);
        }
    }

    public function test_d21_what_lies_at_the_broker_is_discarded_there(): void {
        global $DB;
        $user = $this->users[3];
        $payload = '{"userid":' . $user->id . '}';
        foreach ([[], ['state' => 'delivered'], ['messageid' => null]] as $values) {
            $ids[] = $this->dead($payload, $values);
        }
        $system = \context_system::instance();
        provider::delete_data_for_user(new approved_contextlist($user, 'local_integrationhub', [$system->id]));
        $left = $DB->get_records_list('local_integrationhub_dlq', 'id', $ids);
        $this->assertSame([$ids[0]], array_map('intval', array_keys($left)));
        $row = $left[$ids[0]];
        $this->assertSame([null, null, null, null], [$row->payload, $row->response, $row->error_message, $row->endpoint]);
        $request = $DB->get_record('local_integrationhub_replay', [], '*', MUST_EXIST);
        $asked = [$request->action, $request->state, (string) $request->serviceid, $request->messageid];
        $this->assertSame(['discard', 'requested', '7', 'm'], $asked);
        $this->assertNull($request->userid);
        // Nothing is left that concerns him.
        $this->assertSame([], provider::get_contexts_for_userid((int) $user->id)->get_contextids());
        $this->dead('{}');
        $before = time();
        provider::delete_data_for_all_users_in_context($system);
        $request = $DB->get_record('local_integrationhub_replay', ['serviceid' => 7, 'messageid' => null], '*', MUST_EXIST);
        $this->assertGreaterThanOrEqual($before, $request->timeto, 'and no letter that dies later');
        $this->assertLessThanOrEqual(time(), $request->timeto);
    }

    public function test_d21_requests_that_were_made_for_an_event_go_with_it(): void {
        global $DB;
        $user = $this->users[3];
        $this->dead('{"userid":' . $user->id . '}', ['messageid' => 'his']);
        foreach (['his', 'hers'] as $message) {
            $row = ['serviceid' => 1, 'endpoint' => "/$message", 'messageid' => $message, 'timecreated' => 1000];
            $DB->insert_record('local_integrationhub_log', (object) $row);
        }
        $this->export_all_data_for_user((int) $user->id, 'local_integrationhub');
        $path = array_map(function (string $key): string {
            return get_string($key, 'local_integrationhub');
        }, ['pluginname', 'privacy:path:local_integrationhub_log']);
        $requests = writer::with_context(\context_system::instance())->get_data($path)->requests;
        $this->assertSame(['/his'], array_column($requests, 'endpoint'));
        provider::delete_data_for_user(new approved_contextlist($user, 'local_integrationhub', [\context_system::instance()->id]));
        $this->assertSame(['hers'], $DB->get_fieldset_select('local_integrationhub_log', 'messageid', '1 = 1'));
    }

    public function test_d21_tasks_of_2_0_0_are_exported_and_deleted(): void {
        global $DB;
        $user = $this->users[3];
        $task = ['component' => 'local_integrationhub', 'nextruntime' => 1000, 'customdata' => json_encode(['ruleid' => 1,
            'eventdata' => ['userid' => $user->id]])];
        $name = ['classname' => '\local_integrationhub\task\dispatch_event_task'];
        $ours = $DB->insert_record('task_adhoc', (object) ($task + $name));
        $other = $DB->insert_record('task_adhoc', (object) ($task + ['classname' => '\other\task']));
        $this->export_all_data_for_user((int) $user->id, 'local_integrationhub');
        $path = array_map(function (string $key): string {
            return get_string($key, 'local_integrationhub');
        }, ['pluginname', 'privacy:path:task_adhoc']);
        $events = writer::with_context(\context_system::instance())->get_data($path)->events;
        $this->assertSame([$task['customdata']], array_column($events, 'customdata'));
        provider::delete_data_for_user(new approved_contextlist($user, 'local_integrationhub', [\context_system::instance()->id]));
        $this->assertFalse($DB->record_exists('task_adhoc', ['id' => $ours]));
        $this->assertTrue($DB->record_exists('task_adhoc', ['id' => $other]));
    }
}
