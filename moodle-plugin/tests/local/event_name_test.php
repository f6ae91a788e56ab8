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
 * Names of events, their wildcards and routing keys.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\event_name
 */
final class event_name_test extends \advanced_testcase {
    public function test_normalise(): void {
        $this->assertSame('\core\event\user_created', event_name::normalise(' core\event\user_created '));
        $this->assertSame('\core\event\user_created', event_name::normalise('\\\\core\event\user_created'));
        $this->assertSame('\mod_quiz\event\*', event_name::normalise('\mod_quiz\event\*'));
        $this->assertSame('\mod_x\event\a\b', event_name::normalise('\mod_x\event\a\b'));
        $bad = [
            '', '*', 'user_created', '\core\user_created', '\core\event\\', '\*\event\x', '\core\event\user_*',
            "\\core\\event\\a\nb", '\core\event\a b', '\core\event\a.b', '\core\event\\' . str_repeat('a', 250),
        ];
        foreach ($bad as $name) {
            $this->assertNull(event_name::normalise($name), $name);
        }
    }

    public function test_wildcard(): void {
        $this->assertSame('\core\event\*', event_name::wildcard('\core\event\user_created'));
        $this->assertSame('\mod_x\event\*', event_name::wildcard('\mod_x\event\a\b'));
        $this->assertSame('', event_name::wildcard('\nonsense'));
    }

    public function test_routing_key(): void {
        $this->assertSame('core.user_created', event_name::routing_key('\core\event\user_created'));
        $this->assertSame('mod_forum.post_created', event_name::routing_key('mod_forum\event\post_created'));
        $this->assertSame('mod_quiz.#', event_name::routing_key('\mod_quiz\event\*'));
        $this->assertSame('mod_x.a.b', event_name::routing_key('\mod_x\event\a\b'));
    }
}
