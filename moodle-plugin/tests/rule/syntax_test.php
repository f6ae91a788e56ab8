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

/**
 * Templates and filters as they are checked when a rule is saved.
 *
 * The shared cases of the worker and the plugin run elsewhere, without a Moodle (tests/plugin/plain.php); here is what a person
 * sees.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\rule\template
 * @covers     \local_integrationhub\rule\condition
 * @covers     \local_integrationhub\rule\json_reader
 * @covers     \local_integrationhub\rule\number
 * @covers     \local_integrationhub\rule\path
 * @covers     \local_integrationhub\rule\source
 * @covers     \local_integrationhub\rule\registry
 */
final class syntax_test extends \advanced_testcase {
    /**
     * What is said to a template or a filter.
     *
     * @param string $class
     * @param string $text
     * @return string '' when it is valid
     */
    private function fault(string $class, string $text): string {
        try {
            if ($class === 'filter') {
                condition::check($text);
            } else {
                $class === 'json' ? template::check_json($text) : template::check_text($text);
            }
        } catch (syntax_exception $e) {
            return $e->getMessage();
        }
        return '';
    }

    public function test_valid(): void {
        $valid = [
            ['json', '{"a": {{userid}}, "b": ["{{user.firstname | upper}}", {{other.x | default: 5}}, 1.50, true, {}]}'],
            ['json', "{{course.category.name}}"],
            ['json', '"\ud83d\ude00 {{relateduser.profile.student_id}}"'],
            ['text', '/users/{{cm.id}}?q={{other.é}}'],
            ['text', ''],
            ['filter', ''],
            ['filter', '{}'],
            ['filter', '{"userid": {"$in": [1, "2", null]}, "$or": [{"course": {"shortname": "x"}}, {"$not": {"courseid": 1}}]}'],
            ['filter', '{"other.name": {"$regex": "^\\\\p{Lu}(a|b)$", "$exist": true}}'],
        ];
        foreach ($valid as [$class, $text]) {
            $this->assertSame('', $this->fault($class, $text), $text);
        }
    }

    public function test_invalid(): void {
        $invalid = [
            ['json', "{\n \"é\": }", "line 2, column 7: expected a JSON value or a placeholder, not '}'"],
            ['json', '{{userid | lowercase}}', 'line 1, column 12: there is no filter lowercase; there are default, string,'],
            ['json', '"{{user.password}}"', 'line 1, column 4: there is no user.password; user has address'],
            ['text', '/a/{{userid', 'line 1, column 4: this "{{" has no "}}"'],
            ['filter', '{"userid": {"$above": 1}}', 'line 1, column 13: there is no operator $above; there are $and'],
            ['filter', '{"a": {"$regex": "("}}', 'line 1, column 18: the regular expression is wrong at its byte 1: miss'],
            ['filter', '{"a": 1, "a": 2}', 'line 1, column 10: this key stands twice in its object'],
        ];
        foreach ($invalid as [$class, $text, $fault]) {
            $this->assertStringStartsWith($fault, $this->fault($class, $text), $text);
        }
    }

    public function test_registry_refuses(): void {
        $this->resetAfterTest();
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $serviceid = (int) $generator->create_service()->id;
        $good = ['eventname' => '\core\event\user_created', 'serviceid' => $serviceid, 'endpoint' => '/{{user.id}}',
            'payload_template' => '{"a": {{userid}}}', 'filter' => '{"courseid": 2}'];
        $id = registry::create_rule((object) $good);
        $this->assertSame('{"courseid": 2}', registry::get_rule($id)->filter);
        $bad = ['endpoint' => '/{{user.secret}}', 'payload_template' => '{"a": }', 'filter' => '{"courseid": {}}'];
        foreach ($bad as $field => $value) {
            foreach (['create', 'update'] as $what) {
                try {
                    $what === 'create' ? registry::create_rule((object) array_merge($good, [$field => $value]))
                        : registry::update_rule($id, (object) [$field => $value]);
                    $this->fail("$what: $field was taken");
                } catch (\moodle_exception $e) {
                    $this->assertStringContainsString("$field: line 1, column ", $e->getMessage());
                }
            }
        }
        $this->assertSame('/{{user.id}}', registry::get_rule($id)->endpoint);
    }
}
