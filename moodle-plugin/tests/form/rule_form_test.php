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

namespace local_integrationhub\form;

/**
 * The forms of rules and of imports.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\form\rule_form
 * @covers     \local_integrationhub\form\import_form
 */
final class rule_form_test extends \advanced_testcase {
    protected function setUp(): void {
        global $PAGE;
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $PAGE->set_url('/local/integrationhub/rule.php');
    }

    /**
     * The form after it was sent.
     *
     * @param array $data
     * @return rule_form
     */
    private function sent(array $data): rule_form {
        rule_form::mock_submit($data + ['eventname' => '\core\event\user_created', 'http_method' => 'PUT', 'enabled' => 1]);
        return new rule_form(null, ['rule' => null, 'serviceid' => '']);
    }

    public function test_values(): void {
        $service = $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service();
        $data = ['serviceid' => $service->id, 'endpoint' => ' /a ', 'filter' => ' ', 'payload_template' => "{\r\n\"a\": 1}"];
        $this->assertSame([
            'eventname' => '\core\event\user_created', 'serviceid' => (int) $service->id, 'http_method' => 'PUT', 'enabled' => 1,
            'endpoint' => '/a', 'payload_template' => "{\n\"a\": 1}", 'filter' => null,
        ], $this->sent($data)->values());
    }

    public function test_faults_name_line_and_column(): void {
        $service = $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service();
        $data = ['serviceid' => $service->id, 'payload_template' => "{\r\n \"a\": }", 'endpoint' => '/{{'];
        $data['filter'] = '{"a": {"$x": 1}}';
        $form = $this->sent($data);
        $this->assertNull($form->values());
        $errors = $form->validation($data + ['eventname' => 'nonsense'], []);
        $this->assertSame(['eventname', 'endpoint', 'payload_template', 'filter'], array_keys($errors));
        $this->assertStringStartsWith('Line 2, column 7: ', $errors['payload_template']);
        $this->assertStringStartsWith('Line 1, column 8: there is no operator $x', $errors['filter']);
        $html = $form->render();
        $this->assertStringContainsString('Line 2, column 7', $html);
    }

    public function test_a_raw_body_is_no_json(): void {
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $service = $generator->create_service(['body_type' => 'raw']);
        $data = ['serviceid' => $service->id, 'eventname' => '\core\event\user_created', 'payload_template' => 'user {{userid}}'];
        $this->assertSame([], $this->sent($data)->validation($data, []));
    }

    public function test_what_is_offered(): void {
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $generator->create_service(['name' => 'crm']);
        $generator->create_service(['name' => 'off', 'enabled' => 0]);
        $rule = $generator->create_rule(['eventname' => '\mod_quiz\event\*', 'endpoint' => '/q']);
        $html = (new rule_form(null, ['rule' => $rule, 'serviceid' => '']))->render();
        $this->assertStringContainsString('data-event="\core\event\user_loggedin"', $html);
        $this->assertStringContainsString('data-event="\mod_quiz\event\*"', $html);
        $this->assertStringContainsString('crm (REST)', $html);
        $this->assertStringContainsString('off (REST) - Disabled', $html);
        $this->assertStringContainsString('value="/q"', $html);
    }

    public function test_import(): void {
        import_form::mock_submit(['json' => '{"a": 1}', 'file' => file_get_unused_draft_itemid()]);
        $form = new import_form();
        $this->assertSame('{"a": 1}', $form->json());
        $errors = $form->validation(['json' => ' ', 'file' => file_get_unused_draft_itemid()], []);
        $this->assertSame(['json'], array_keys($errors));
    }
}
