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

/**
 * The table of events that the broker has not confirmed.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\outbox
 */
final class outbox_test extends \advanced_testcase {
    /**
     * So many messages.
     *
     * @param int $count
     * @return message[]
     */
    private function messages(int $count): array {
        $messages = [];
        for ($i = 0; $i < $count; $i++) {
            $messages[] = new message('\core\event\user_loggedin', "{\"n\":$i,\"t\":\"\u{1F600} é\"}", 1000 + $i, true);
        }
        return $messages;
    }

    public function test_rows_hold_the_messages_byte_for_byte(): void {
        global $DB;
        $this->resetAfterTest();
        $messages = $this->messages(3);
        outbox::add($messages[0]);
        outbox::add_many(array_slice($messages, 1));
        $rows = array_values($DB->get_records(outbox::TABLE, null, 'id'));
        $this->assertCount(3, $rows);
        foreach ($messages as $i => $message) {
            $this->assertTrue($message->stored);
            $this->assertSame($message->id, $rows[$i]->messageid);
            $this->assertSame($message->eventname, $rows[$i]->eventname);
            $this->assertSame($message->body, $rows[$i]->payload);
            $this->assertEquals($message->timecreated, $rows[$i]->timecreated);
        }
    }

    public function test_many_rows_are_removed_and_others_stay(): void {
        global $DB;
        $this->resetAfterTest();
        $messages = $this->messages(1100);
        outbox::add_many($messages);
        outbox::remove(array_column(array_slice($messages, 0, 1099), 'id'));
        $this->assertSame([$messages[1099]->id], $DB->get_fieldset_select(outbox::TABLE, 'messageid', ''));
        outbox::remove([]);
        $this->assertSame(1, $DB->count_records(outbox::TABLE));
    }

    public function test_the_table_is_used_from_its_version_on(): void {
        $this->resetAfterTest();
        $this->assertTrue(outbox::exists());
        set_config('version', 2026022700, 'local_integrationhub');
        $this->assertFalse(outbox::exists());
        unset_config('version', 'local_integrationhub');
        $this->assertFalse(outbox::exists());
    }
}
