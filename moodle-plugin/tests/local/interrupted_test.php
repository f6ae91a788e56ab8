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

use core\event\group_created;
use core\event\group_deleted;
use core\event\group_updated;

/**
 * What core has collected, and not dispatched, after an error of an observer.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\interrupted
 */
final class interrupted_test extends \advanced_testcase {
    protected function tearDown(): void {
        \core\event\manager::phpunit_reset();
        parent::tearDown();
    }

    /**
     * Sets core's own state.
     *
     * @param string $name
     * @param mixed $value
     */
    private function set(string $name, $value): void {
        $property = new \ReflectionProperty(\core\event\manager::class, $name);
        $property->setAccessible(true);
        $property->setValue(null, $value);
    }

    public function test_what_the_database_denies_is_passed_over_unless_the_row_was_deleted_later(): void {
        $this->resetAfterTest();
        $this->preventResetByRollback();
        $events = [];
        $stories = [[group_created::class, 900001], [group_created::class, 900002], [group_updated::class, 900002],
            [group_deleted::class, 900002]];
        foreach ($stories as [$class, $id]) {
            $events[] = $class::create(['context' => \context_system::instance(), 'objectid' => $id]);
        }
        $this->set('buffer', $events);
        $this->set('dispatching', true);
        $told = array_map(function (array $taken): array {
            return [get_class($taken[0]), $taken[0]->objectid, $taken[1]];
        }, interrupted::take());
        $this->assertSame([[group_created::class, 900002, false], [group_updated::class, 900002, false],
            [group_deleted::class, 900002, false]], $told);
        $this->assertSame([], interrupted::take());
    }
}
