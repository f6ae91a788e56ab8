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
 * The pause after a failure.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\cooloff
 * @covers     \local_integrationhub\local\local_folder
 */
final class cooloff_test extends \advanced_testcase {
    protected function setUp(): void {
        parent::setUp();
        (new cooloff())->clear();
    }

    protected function tearDown(): void {
        (new cooloff())->clear();
        parent::tearDown();
    }

    public function test_begin_and_clear(): void {
        $cooloff = new cooloff();
        $this->assertFalse($cooloff->active(10));
        $this->assertNull($cooloff->reason());
        $cooloff->begin('refused', 10);
        $this->assertTrue($cooloff->active(10));
        $this->assertTrue((new cooloff())->active(10), 'other processes');
        $this->assertSame('refused', (new cooloff())->reason());
        (new cooloff())->clear();
        $this->assertFalse($cooloff->active(10));
    }

    public function test_only_who_tries_ends_it(): void {
        (new cooloff())->begin('refused', 10);
        (new cooloff())->end();
        $this->assertTrue((new cooloff())->active(10), 'ended by somebody who had not tried');
    }

    public function test_a_clock_that_was_set_back_does_not_make_it_last(): void {
        (new cooloff())->begin('refused', 100000);
        $this->assertFalse((new cooloff())->active(10));
    }
}
