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
 * Message ids.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\uuid
 */
final class uuid_test extends \advanced_testcase {
    /** What an id looks like. */
    private const FORM = '~^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$~';

    public function test_ids_ascend_and_differ(): void {
        $before = (int) (microtime(true) * 1000);
        $ids = [];
        for ($i = 0; $i < 20000; $i++) {
            $ids[] = uuid::v7();
        }
        $sorted = $ids;
        sort($sorted);
        $this->assertSame($sorted, $ids);
        $this->assertCount(20000, array_unique($ids));
        $this->assertMatchesRegularExpression(self::FORM, $ids[0]);
        $this->assertGreaterThanOrEqual($before, hexdec(substr(str_replace('-', '', $ids[0]), 0, 12)));
    }

    public function test_derived_ids_are_the_same_for_the_same_and_differ_otherwise(): void {
        $id = uuid::derived(1795341950, 'task 1');
        $this->assertMatchesRegularExpression(self::FORM, $id);
        $this->assertSame(1795341950000, hexdec(substr(str_replace('-', '', $id), 0, 12)));
        $this->assertSame($id, uuid::derived(1795341950, 'task 1'));
        $this->assertNotSame($id, uuid::derived(1795341950, 'task 2'));
        $this->assertNotSame($id, uuid::derived(1795341951, 'task 1'));
        $this->assertMatchesRegularExpression(self::FORM, uuid::derived(-1, ''));
    }
}
