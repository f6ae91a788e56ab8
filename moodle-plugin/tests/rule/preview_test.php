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

namespace local_integrationhub\rule;

use local_integrationhub\external\event_fields;
use local_integrationhub\external\preview_payload;
use local_integrationhub\external\preview_rule;

/**
 * Previews of rules: rendering, conditions, what is looked up, and events from the log store.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\rule\preview
 * @covers     \local_integrationhub\rule\recent_events
 * @covers     \local_integrationhub\rule\event_list
 * @covers     \local_integrationhub\rule\event_data
 * @covers     \local_integrationhub\rule\lookup
 * @covers     \local_integrationhub\rule\renderer
 * @covers     \local_integrationhub\rule\matcher
 * @covers     \local_integrationhub\rule\request
 * @covers     \local_integrationhub\rule\value
 * @covers     \local_integrationhub\external\preview_rule
 * @covers     \local_integrationhub\external\preview_payload
 * @covers     \local_integrationhub\external\event_fields
 */
final class preview_test extends \advanced_testcase {
    /** @var int a REST service */
    private $serviceid;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->preventResetByRollback();
        $this->setAdminUser();
        set_config('enabled_stores', 'logstore_standard', 'tool_log');
        set_config('buffersize', 0, 'logstore_standard');
        get_log_manager(true);
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $this->serviceid = (int) $generator->create_service(['base_url' => 'https://crm.example/api', 'auth_token' => 'SECRET',
            'headers' => '{"X-Course": "{{course.shortname}}"}'])->id;
    }

    protected function tearDown(): void {
        set_config('enabled_stores', '', 'tool_log');
        get_log_manager(true);
        parent::tearDown();
    }

    /**
     * Somebody opens courses.
     *
     * @param int $count
     * @return \stdClass the last course
     */
    private function view_courses(int $count = 1): \stdClass {
        $category = $this->getDataGenerator()->create_category(['name' => 'Sciences']);
        for ($i = 1; $i <= $count; $i++) {
            $course = $this->getDataGenerator()->create_course(['shortname' => "C$i", 'category' => $category->id]);
            \core\event\course_viewed::create(['context' => \context_course::instance($course->id)])->trigger();
        }
        return $course;
    }

    /**
     * Every shared case gives what the worker sends.
     */
    public function test_shared_cases(): void {
        $folders = glob(getenv('MIH_TESTS') . '/cases/*', GLOB_ONLYDIR);
        if (!getenv('MIH_TESTS') || !$folders) {
            $this->markTestSkipped('MIH_TESTS names no folder with the shared cases.');
        }
        $checked = 0;
        foreach ($folders as $folder) {
            $expect = json_decode(file_get_contents("$folder/expect.json"), true);
            if (isset($expect['error'])) {
                continue;
            }
            $rule = json_decode(file_get_contents("$folder/rule.json"));
            $known = is_file("$folder/data.json") ? json_decode(file_get_contents("$folder/data.json"), true) : [];
            $json = rtrim(file_get_contents("$folder/event.json"), "\n");
            $data = new event_data($json, function (string $kind, int $id) use ($known): ?array {
                return $known[$kind][$id] ?? null;
            });
            $matches = (new matcher($rule->filter ?? null))->matches($data);
            $this->assertSame(!isset($expect['skipped']), $matches, $folder);
            if ($matches) {
                $request = (array) request::of($rule, json_decode(file_get_contents("$folder/service.json")), $data);
                $expected = array_intersect_key($expect, ['method' => 1, 'url' => 1, 'body' => 1]);
                $this->assertEquals($expected, array_intersect_key($request, $expected), $folder);
            }
            $checked++;
        }
        $this->assertGreaterThan(80, $checked);
    }

    public function test_d11_a_request_of_the_latest_event(): void {
        $course = $this->view_courses(2);
        $preview = preview::of(['eventname' => 'core\event\course_viewed', 'serviceid' => $this->serviceid, 'http_method' => 'PUT',
            'endpoint' => '/c/{{courseid}}',
            'payload_template' => '{"in": "{{course.category.name}}", "who": "{{user.username}}", "at": "{{ip}}"}',
            'filter' => '{"course.shortname": {"$in": ["C2", "C3"]}}']);
        $this->assertSame([], $preview->faults);
        $this->assertTrue($preview->hasevent);
        $this->assertTrue($preview->matches);
        $this->assertSame(['happened' => 2, 'matched' => 1, 'tried' => 2], $preview->count);
        $this->assertSame(['PUT', "https://crm.example/api/c/$course->id"], [$preview->request->method, $preview->request->url]);
        $this->assertStringStartsWith('{"in":"Sciences","who":"admin","at":"', $preview->request->body);
        $this->assertStringNotContainsString('{{', $preview->request->body);
        $this->assertSame('C2', $preview->request->headers['X-Course']);
        $this->assertSame('Bearer ***', $preview->request->headers['Authorization']);
        $this->assertStringNotContainsString('SECRET', serialize($preview));
    }

    public function test_a_wildcard_and_no_condition(): void {
        $this->view_courses();
        $values = ['eventname' => '\core\event\*', 'serviceid' => $this->serviceid, 'http_method' => 'POST', 'endpoint' => null,
            'payload_template' => null, 'filter' => null];
        $preview = preview::of($values);
        $this->assertGreaterThan(1, $preview->count['matched']);
        $this->assertSame($preview->event, $preview->request->body);
        $this->assertSame(CONTEXT_COURSE, json_decode($preview->event)->contextlevel, 'a number, as when it happened');
        $old = preview::of(['eventname' => '\mod_quiz\event\*'] + $values);
        $this->assertFalse($old->hasevent);
        $this->assertSame(0, $old->count['happened']);
    }

    public function test_events_of_long_ago_are_not_counted(): void {
        global $DB;
        $this->view_courses();
        $DB->set_field('logstore_standard_log', 'timecreated', time() - recent_events::PERIOD - 10);
        $this->assertSame(0, recent_events::count('\core\event\course_viewed', null)['happened']);
        $this->assertNotNull(recent_events::latest('\core\event\course_viewed'));
    }

    public function test_without_a_log_store(): void {
        set_config('enabled_stores', '', 'tool_log');
        get_log_manager(true);
        $this->assertNull(recent_events::latest('\core\event\course_viewed'));
        $none = ['happened' => 0, 'matched' => 0, 'tried' => 0];
        $this->assertSame($none, recent_events::count('\core\event\course_viewed', '{"a": 1}'));
    }

    public function test_faults_and_errors(): void {
        $this->view_courses();
        $values = ['eventname' => '\core\event\course_viewed', 'serviceid' => $this->serviceid, 'http_method' => 'POST',
            'endpoint' => '/{{userid', 'payload_template' => '{"a": }', 'filter' => '{"a": {"$regex": "("}}'];
        $preview = preview::of($values);
        $this->assertSame(['endpoint', 'payload_template', 'filter'], array_keys($preview->faults));
        $this->assertStringStartsWith('Line 1, column 7: ', $preview->faults['payload_template']);
        $values = ['endpoint' => '/', 'payload_template' => '["{{eventname|iso8601}}"]', 'filter' => null] + $values;
        $this->assertStringContainsString('iso8601', preview::of($values)->error);
        $values = ['payload_template' => null, 'filter' => '{"eventname": {"$regex": "^(.+)+[01]$"}}'] + $values;
        $this->assertStringContainsString('takes too long', preview::of($values)->error);
    }

    public function test_numbers_are_compared_exactly(): void {
        $order = ['-2e3', '-1', '-0.5', '0', '0.0001', '0.01', '1', '9.99', '10', '1e2',
            '9007199254740993', '9007199254740994', '1e400'];
        foreach ($order as $i => $one) {
            foreach ($order as $j => $other) {
                $this->assertSame($i <=> $j, value::compare_numbers($one, $other), "$one, $other");
            }
        }
        foreach ([['9', '9.000'], ['0', '-0.0'], ['1e2', '100'], ['0.5e1', '5'], ['10', '1E1']] as [$one, $other]) {
            $this->assertSame(0, value::compare_numbers($one, $other), "$one, $other");
        }
    }

    public function test_what_is_looked_up(): void {
        $generator = $this->getDataGenerator();
        $course = $generator->create_course(['fullname' => 'Chemistry']);
        $forum = $generator->create_module('forum', ['course' => $course->id, 'name' => 'News']);
        $profile = ['datatype' => 'text', 'shortname' => 'number', 'name' => 'N', 'defaultdata' => 'none'];
        $field = $generator->create_custom_profile_field($profile);
        $user = $generator->create_user(['firstname' => 'Ada', 'profile_field_number' => '42']);
        $other = $generator->create_user();
        $gone = $generator->create_user();
        delete_user($gone);
        $this->assertSame('Ada', lookup::find('user', (int) $user->id)['firstname']);
        $this->assertArrayNotHasKey('password', lookup::find('user', (int) $user->id));
        $this->assertNull(lookup::find('user', (int) $gone->id));
        $this->assertSame(['number' => '42'], lookup::find('profile', (int) $user->id));
        $this->assertSame(['number' => 'none'], lookup::find('profile', (int) $other->id));
        $this->assertNull(lookup::find('profile', (int) $gone->id));
        $this->assertSame('Chemistry', lookup::find('course', (int) $course->id)['fullname']);
        $this->assertNull(lookup::find('course', 999999));
        $this->assertSame(['forum', 'News'], array_values(array_intersect_key(
            lookup::find('cm', (int) $forum->cmid),
            ['modname' => 1, 'name' => 1]
        )));
        $this->assertNull(lookup::find('cm', 999999));
        $this->assertSame(get_site()->fullname, lookup::find('site', 1)['fullname']);

        $event = \mod_forum\event\course_module_viewed::create(['objectid' => $forum->id, 'userid' => $user->id,
            'context' => \context_module::instance($forum->cmid)]);
        $event->trigger();
        $fields = array_merge(...array_column(event_fields::execute('\mod_forum\event\course_module_viewed')['groups'], 'fields'));
        $examples = array_column($fields, 'example', 'path');
        $expected = ['cm.name' => '"News"', 'user.firstname' => '"Ada"', 'user.profile.number' => '"42"',
            'course.fullname' => '"Chemistry"', 'contextlevel' => (string) CONTEXT_MODULE];
        $this->assertEquals($expected, array_intersect_key($examples, $expected));
        $this->assertNotEmpty($field);
    }

    public function test_events_by_component(): void {
        $groups = array_column(event_list::groups(), null, 'component');
        $this->assertSame('core', array_key_first($groups));
        $this->assertSame('\mod_quiz\event\*', $groups['mod_quiz']['wildcard']);
        $this->assertSame(get_string('pluginname', 'mod_quiz'), $groups['mod_quiz']['name']);
        $classes = array_merge(...array_values(array_map(function (array $group): array {
            return array_column($group['events'], 'class');
        }, $groups)));
        sort($classes);
        $all = array_keys(registry::get_all_events_dynamic());
        sort($all);
        $this->assertSame($all, $classes, 'every event of the site, once');
        $this->assertSame([], event_fields::execute('nonsense')['groups']);
    }

    public function test_the_functions_of_the_pages(): void {
        $this->view_courses();
        $answer = preview_rule::execute('\core\event\course_viewed', $this->serviceid, 'POST', '/a', '{"b": {{courseid}}}', '');
        $answer = \core_external\external_api::clean_returnvalue(preview_rule::execute_returns(), $answer);
        $this->assertSame(['https://crm.example/api/a', 1, true], [$answer['url'], $answer['matched'], $answer['hasevent']]);
        $this->assertContains(['name' => 'Authorization', 'value' => 'Bearer ***'], $answer['headers']);
        $answer = preview_rule::execute('nonsense', 0);
        $this->assertSame(['eventname', 'serviceid'], array_column($answer['faults'], 'field'));

        $old = preview_payload::execute('{"e": "{{eventname}}", "c": {{courseid}}}', '\core\event\course_viewed');
        $old = \core_external\external_api::clean_returnvalue(preview_payload::execute_returns(), $old);
        $this->assertTrue($old['success']);
        $this->assertStringStartsWith('{"e":"\\\\core\\\\event\\\\course_viewed","c":', $old['raw']);
        $this->assertSame('{"user":null}', preview_payload::execute('{"user": {{userid}}}')['raw'], 'D10: what is missing is null');
        $this->assertStringContainsString('line 1, column 7', preview_payload::execute('{"a": }')['error']);

        $this->setUser($this->getDataGenerator()->create_user());
        $calls = ['preview_rule' => ['\a\event\b', 1], 'preview_payload' => ['{}'], 'event_fields' => ['\a\event\b']];
        foreach ($calls as $name => $arguments) {
            try {
                call_user_func_array(["local_integrationhub\\external\\$name", 'execute'], $arguments);
                $this->fail("anybody may call $name");
            } catch (\required_capability_exception $e) {
                $this->assertSame('nopermissions', $e->errorcode);
            }
        }
    }
}
