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

namespace local_integrationhub\service;

/**
 * What the menu of a service does.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\action
 */
final class action_test extends \advanced_testcase {
    public function test_d20_a_service_is_disabled_and_all_other_actions(): void {
        global $DB;
        $this->resetAfterTest();
        $id = registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h']);
        $DB->set_field('local_integrationhub_cb', 'state', 'open', ['serviceid' => $id]);
        $DB->set_field('local_integrationhub_cb', 'trips', 3, ['serviceid' => $id]);
        $expected = ['disable' => ['enabled', 0], 'enable' => ['enabled', 1], 'pause' => ['paused', 1], 'resume' => ['paused', 0]];
        foreach ($expected as $name => [$field, $value]) {
            $action = new action($id, $name);
            $this->assertStringContainsString('crm', $action->question()['question']);
            $this->assertStringContainsString('crm', $action->perform());
            $this->assertEquals($value, registry::get_service('crm')->$field, $name);
        }
        (new action($id, 'resetbreaker'))->perform();
        $breaker = $DB->get_record('local_integrationhub_cb', ['serviceid' => $id]);
        $this->assertEquals(['closed', 0], [$breaker->state, $breaker->trips]);
        $DB->delete_records('local_integrationhub_cb', ['serviceid' => $id]);
        (new action($id, 'resetbreaker'))->perform();
        $this->assertSame('closed', $DB->get_field('local_integrationhub_cb', 'state', ['serviceid' => $id]), 'made anew');
        $this->assertStringContainsString('crm-2', (new action($id, 'duplicate'))->perform());
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $generator->create_rule(['eventname' => '\core\event\a', 'serviceid' => $id]);
        $delete = new action($id, 'delete');
        $this->assertSame('Rules deleted: 1', $delete->question()['consequences'][0]);
        $delete->perform();
        $this->assertFalse(registry::get_service('crm'));
        $this->expectException(\dml_exception::class);
        new action($id, 'enable');
    }

    public function test_what_is_told_is_html(): void {
        $this->resetAfterTest();
        $service = $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service(['name' => '<b>']);
        $this->assertStringContainsString('&lt;b&gt;', (new action((int) $service->id, 'pause'))->perform());
    }

    public function test_there_is_no_other(): void {
        $this->expectExceptionMessage(get_string('invalidaction', 'error'));
        new action(1, 'explode');
    }
}
