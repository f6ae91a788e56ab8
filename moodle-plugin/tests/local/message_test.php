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
 * The message of an event.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\message
 */
final class message_test extends \advanced_testcase {
    /** The keys of a message in their order. */
    private const KEYS = [
        'eventname', 'component', 'action', 'target', 'objecttable', 'objectid', 'crud', 'edulevel', 'contextid',
        'contextlevel', 'contextinstanceid', 'userid', 'courseid', 'relateduserid', 'anonymous', 'other', 'timecreated',
        'ip', 'origin', 'realuserid',
    ];

    public function test_body_and_properties_of_an_event(): void {
        global $PAGE;
        $this->resetAfterTest();
        $course = $this->getDataGenerator()->create_course();
        $this->setAdminUser();
        $context = \context_course::instance($course->id);
        $event = \core\event\course_viewed::create(['context' => $context, 'other' => ['n' => 'é/"']]);
        $message = message::from_event($event, true);
        $this->assertSame('\core\event\course_viewed', $message->eventname);
        $this->assertSame('core.course_viewed', $message->routing_key());
        $this->assertSame($event->timecreated, $message->timecreated);
        $this->assertTrue($message->wanted);
        $this->assertFalse($message->stored);
        $data = $event->get_data() + ['ip' => $PAGE->requestip, 'origin' => 'cli', 'realuserid' => null];
        $this->assertCount(20, $data);
        $this->assertSame(json_encode($data), $message->body);
        $this->assertStringContainsString('"n":"\u00e9\/\""', $message->body);
    }

    public function test_who_logged_in_as_somebody_is_named(): void {
        global $USER;
        $this->resetAfterTest();
        $this->setAdminUser();
        $admin = $USER->id;
        $user = $this->getDataGenerator()->create_user();
        \core\session\manager::loginas($user->id, \context_system::instance());
        $data = ['userid' => $user->id, 'objectid' => $user->id, 'other' => ['username' => 'x']];
        $event = \core\event\user_loggedin::create($data);
        $this->assertSame($admin, json_decode(message::from_event($event, true)->body)->realuserid);
    }

    public function test_what_json_cannot_express_does_not_lose_the_event(): void {
        $data = json_decode(message::encode(['eventname' => 'x', 'other' => ['bad' => "a\xffb", 'inf' => INF]]), true);
        $this->assertSame('x', $data['eventname']);
        $this->assertSame("a\u{fffd}b", $data['other']['bad']);
        $this->assertSame(0, $data['other']['inf']);
    }

    /**
     * The event of each shared case that the worker's tests read. Those with other keys are damaged or shortened by hand.
     *
     * @return array
     */
    public static function cases(): array {
        $lines = [];
        foreach (glob(getenv('MIH_TESTS') . '/cases/*/event.json') as $path) {
            $line = rtrim(file_get_contents($path), "\n");
            $data = json_decode($line, true);
            if (is_array($data) && count($data) === count(self::KEYS)) {
                $lines[basename(dirname($path))] = [$line];
            }
        }
        return $lines ?: ['none' => ['']];
    }

    /**
     * An event with the same data makes the same bytes.
     *
     * @dataProvider cases
     * @param string $line
     */
    public function test_the_publisher_makes_exactly_the_events_of_the_shared_cases(string $line): void {
        if ($line === '') {
            $this->markTestSkipped('MIH_TESTS does not name the folder of the shared cases');
        }
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->assert_made_from_its_event($line);
    }

    public function test_the_publisher_makes_exactly_the_recorded_events(): void {
        if (!getenv('MIH_TESTS')) {
            $this->markTestSkipped('MIH_TESTS does not name the folder of the recorded events');
        }
        $this->resetAfterTest();
        $this->setAdminUser();
        $lines = file(getenv('MIH_TESTS') . '/data/moodle-events.jsonl', FILE_IGNORE_NEW_LINES);
        $this->assertGreaterThan(1000, count($lines));
        foreach ($lines as $line) {
            $this->assert_made_from_its_event($line);
        }
    }

    /**
     * Fails unless the publisher makes this body from the event that it tells of.
     *
     * @param string $line
     */
    private function assert_made_from_its_event(string $line): void {
        global $PAGE, $USER;
        $data = json_decode($line, true);
        $this->assertSame(self::KEYS, array_keys($data), $line);
        $extra = array_splice($data, 17);
        $event = \core\event\base::restore($data, $extra);
        $this->assertInstanceOf(\core\event\base::class, $event, $line);
        $page = $PAGE;
        $PAGE = (object) ['requestip' => $extra['ip'], 'requestorigin' => $extra['origin']];
        $USER->realuser = $extra['realuserid'];
        try {
            $this->assertSame($line, message::from_event($event, true)->body);
        } finally {
            $PAGE = $page;
        }
    }
}
