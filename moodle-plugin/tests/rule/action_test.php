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

use local_integrationhub\table\rules_filter;
use local_integrationhub\table\rules_table;

/**
 * The list of rules and what is done with several of them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\rule\action
 * @covers     \local_integrationhub\table\rules_table
 * @covers     \local_integrationhub\table\rules_filter
 * @covers     \local_integrationhub\output\rules_page
 * @covers     \local_integrationhub\output\actions
 */
final class action_test extends \advanced_testcase {
    /** @var \local_integrationhub_generator */
    private $generator;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $this->generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
    }

    public function test_actions(): void {
        $service = $this->generator->create_service();
        $ids = [];
        foreach (['a', 'b'] as $name) {
            $ids[] = (int) $this->generator->create_rule(['eventname' => "\\core\\event\\$name", 'serviceid' => $service->id,
                'endpoint' => "/$name", 'filter' => '{"userid": 2}'])->id;
        }
        $this->assertSame('Rules disabled: 2', (new action($ids, 'disable'))->perform());
        $this->assertEquals([0, 0], array_values(array_column(registry::get_all_rules(), 'enabled')));
        (new action([$ids[1]], 'enable'))->perform();
        $this->assertEquals(1, registry::get_rule($ids[1])->enabled);
        (new action([$ids[1]], 'duplicate'))->perform();
        $rules = array_values(registry::get_all_rules());
        $this->assertEquals(['/b', '{"userid": 2}', 0], [$rules[2]->endpoint, $rules[2]->filter, $rules[2]->enabled]);
        $delete = new action(array_merge($ids, [999999]), 'delete');
        $this->assertSame($ids, $delete->ids());
        $this->assertContains('\core\event\a → /a', $delete->question()['consequences']);
        $this->assertSame('Rules deleted: 2', $delete->perform());
        $this->assertCount(1, registry::get_all_rules());
        foreach ([[[], 'enable'], [[999999], 'enable'], [$ids, 'explode']] as [$list, $name]) {
            try {
                new action($list, $name);
                $this->fail('accepted');
            } catch (\moodle_exception $e) {
                $this->assertContains($e->errorcode, ['error_no_rule_chosen', 'invalidaction']);
            }
        }
    }

    /**
     * The list as a page shows it.
     *
     * @param rules_filter $filter
     * @param bool $canmanage
     * @return array of the template
     */
    private function page(rules_filter $filter, bool $canmanage = true): array {
        global $PAGE;
        $PAGE->set_url('/local/integrationhub/rules.php');
        $page = new \local_integrationhub\output\rules_page($filter, $canmanage);
        return $page->export_for_template($PAGE->get_renderer('core'));
    }

    public function test_search(): void {
        $crm = $this->generator->create_service(['name' => 'crm']);
        $bus = $this->generator->create_service(['name' => 'bus_1', 'enabled' => 0]);
        $this->generator->create_rule(['eventname' => '\core\event\user_created', 'serviceid' => $crm->id, 'endpoint' => '/100%']);
        $this->generator->create_rule(['eventname' => '\mod_quiz\event\*', 'serviceid' => $bus->id]);
        $this->generator->create_rule(['eventname' => '\core\event\user_deleted', 'serviceid' => $crm->id, 'enabled' => 0,
            'disabledreason' => 'The service said 410.']);
        $expected = [
            ['', 0, '', ['user_created', 'mod_quiz', 'user_deleted']],
            ['\core\event\user', 0, '', ['user_created', 'user_deleted']],
            ['QUIZ', 0, '', ['mod_quiz']],
            ['100%', 0, '', ['user_created']],
            ['bus_', 0, '', ['mod_quiz']],
            ['busx', 0, '', []],
            ['', (int) $crm->id, 'enabled', ['user_created']],
            ['', 0, 'disabled', ['user_deleted']],
            ['', 0, 'nonsense', ['user_created', 'mod_quiz', 'user_deleted']],
        ];
        foreach ($expected as [$search, $serviceid, $state, $names]) {
            $html = $this->page(new rules_filter($search, $serviceid, $state))['table'];
            foreach (['user_created', 'mod_quiz', 'user_deleted'] as $name) {
                $isshown = strpos($html, "\\$name") !== false;
                $this->assertSame(in_array($name, $names, true), $isshown, "$search $serviceid $state: $name");
            }
        }
        $html = $this->page(new rules_filter())['table'];
        $this->assertStringContainsString('The service said 410.', $html);
        $this->assertStringContainsString('Service disabled', $html);
        $this->assertStringContainsString('All events of mod_quiz', $html);
    }

    public function test_a_rule_is_active_once_it_is_bound(): void {
        global $DB;
        $service = $this->generator->create_service(['name' => 'crm']);
        $this->generator->create_rule(['eventname' => '\core\event\user_created', 'serviceid' => $service->id]);
        $this->assertStringContainsString('Not active yet', $this->page(new rules_filter())['table']);
        $row = ['serviceid' => $service->id, 'routingkey' => 'core.user_created', 'timebound' => null];
        $id = $DB->insert_record('local_integrationhub_binding', (object) $row);
        $this->assertStringContainsString('Not active yet', $this->page(new rules_filter())['table']);
        $DB->set_field('local_integrationhub_binding', 'timebound', time(), ['id' => $id]);
        $html = $this->page(new rules_filter())['table'];
        $this->assertStringNotContainsString('Not active yet', $html);
        $this->assertStringContainsString('Active', $html);
        $DB->set_field('local_integrationhub_svc', 'paused', 1);
        $this->assertStringContainsString('Service paused', $this->page(new rules_filter())['table']);
    }

    public function test_who_may_only_look_gets_no_actions(): void {
        $this->generator->create_rule(['eventname' => '\core\event\user_created']);
        $page = $this->page(new rules_filter(), false);
        $this->assertFalse($page['bulk']);
        $this->assertFalse($page['canadd']);
        $this->assertStringNotContainsString('rule_action.php', $page['table']);
        $this->assertStringNotContainsString('checkbox', $page['table']);
        $this->assertStringContainsString('rule_action.php', $this->page(new rules_filter())['table']);
    }

    public function test_empty(): void {
        $this->assertTrue($this->page(new rules_filter())['noservices']);
        $this->generator->create_service();
        $this->assertStringContainsString('There are no rules yet.', $this->page(new rules_filter())['table']);
        $this->assertStringContainsString('No rule matches', $this->page(new rules_filter('x'))['table']);
        $this->assertSame('\gone\event\x', rules_table::event_title('\gone\event\x'));
    }
}
