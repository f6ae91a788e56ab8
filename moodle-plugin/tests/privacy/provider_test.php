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
 */
final class provider_test extends \advanced_testcase {
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
        $this->assertCount(4, $items);
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
}
