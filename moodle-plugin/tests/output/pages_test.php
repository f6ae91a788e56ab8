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

namespace local_integrationhub\output;

use local_integrationhub\form\rule_form;
use local_integrationhub\local\page;
use local_integrationhub\local\replays;
use local_integrationhub\local\status;
use local_integrationhub\local\trace;
use local_integrationhub\service\overview;
use local_integrationhub\table\dead_filter;
use local_integrationhub\table\log_filter;
use local_integrationhub\table\rules_filter;

/**
 * What all pages have in common, and the list of services.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\page
 * @covers     \local_integrationhub\output\services_page
 * @covers     \local_integrationhub\output\tabs
 * @covers     \local_integrationhub\output\renderer
 * @covers     \local_integrationhub\output\actions
 * @covers     \local_integrationhub\table\dead_table
 * @covers     \local_integrationhub\table\rules_table
 * @covers     ::local_integrationhub_extend_navigation
 */
final class pages_test extends \advanced_testcase {
    protected function setUp(): void {
        global $PAGE;
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
        $PAGE->set_url('/local/integrationhub/services.php');
    }

    public function test_who_is_let_in(): void {
        global $PAGE;
        $user = $this->getDataGenerator()->create_user();
        $role = $this->getDataGenerator()->create_role();
        role_assign($role, $user->id, \context_system::instance());
        assign_capability(page::VIEW, CAP_ALLOW, $role, \context_system::instance());
        $this->setUser($user);
        $PAGE = new \moodle_page();
        page::begin('rule', ['id' => 5], page::VIEW, 'editrule', 'rules');
        $this->assertStringEndsWith('/local/integrationhub/rule.php?id=5', $PAGE->url->out());
        $this->assertStringStartsWith('Edit rule', $PAGE->title);
        $this->assertFalse(page::can_manage());
        $this->expectException(\required_capability_exception::class);
        page::begin('rule', [], page::MANAGE, 'editrule', 'rules');
    }

    public function test_the_list_of_services(): void {
        global $DB, $PAGE;
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $generator->create_service(['name' => 'crm', 'base_url' => 'https://h/<b>']);
        $bus = $generator->create_service(['name' => 'bus', 'type' => 'amqp', 'base_url' => 'amqp://u:SECRET@h/', 'paused' => 1]);
        $generator->create_service(['name' => 'off', 'enabled' => 0]);
        $row = ['serviceid' => $bus->id, 'state' => 'open', 'retryat' => time() + 600];
        $DB->insert_record('local_integrationhub_cb', (object) $row);
        $output = $PAGE->get_renderer('local_integrationhub');
        $html = $output->render(new services_page(overview::services(), true));
        $this->assertStringNotContainsString('SECRET', $html, 'D18');
        $this->assertStringContainsString('amqp://u:***@h/', $html);
        $this->assertStringContainsString('https://h/&lt;b&gt;', $html);
        foreach (['Active', 'Paused', 'Disabled', 'Open', 'Next try', 'Resume', 'Enable', 'Reset circuit breaker'] as $text) {
            $this->assertStringContainsString($text, $html);
        }
        $html = $output->render(new services_page(overview::services(), false));
        foreach (['service.php', 'service_action.php', 'service_export.php', 'service_import.php'] as $page) {
            $this->assertStringNotContainsString($page, $html);
        }
        $html = $output->render(new services_page([], true));
        $this->assertStringContainsString('There are no services yet.', $html);
    }

    public function test_the_state_of_a_service_takes_as_many_queries_for_many(): void {
        global $DB;
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $generator->create_service();
        $before = $DB->perf_get_reads();
        overview::services();
        $one = $DB->perf_get_reads() - $before;
        for ($i = 0; $i < 20; $i++) {
            $generator->create_service();
        }
        $before = $DB->perf_get_reads();
        overview::services();
        $this->assertSame($one, $DB->perf_get_reads() - $before, 'D23');
    }

    public function test_tabs_and_questions(): void {
        global $PAGE;
        $output = $PAGE->get_renderer('local_integrationhub');
        $html = $output->render(new tabs('rules'));
        $this->assertMatchesRegularExpression('~rules\.php"\s+aria-current="page"~', $html);
        $this->assertSame(1, substr_count($html, 'aria-current'));
        $question = ['question' => 'Delete <it>?', 'consequences' => ['All of it.']];
        $html = $output->question($question, page::url('service_action', ['id' => 5]), page::url('services'), true);
        $this->assertStringContainsString('Delete &lt;it&gt;?', $html);
        $this->assertStringContainsString('name="sesskey" value="' . sesskey() . '"', $html);
        $this->assertStringContainsString('name="id" value="5"', $html);
        $this->assertStringContainsString('btn-danger', $html);
    }

    public function test_what_others_write_is_no_markup(): void {
        global $DB, $PAGE;
        $markup = '\a\event\<img src=x onerror=alert(1)>';
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $service = $generator->create_service(['name' => $markup, 'base_url' => "https://h/$markup"]);
        $rule = $generator->create_rule(['eventname' => $markup, 'serviceid' => $service->id, 'endpoint' => $markup,
            'enabled' => 0, 'disabledreason' => $markup]);
        $row = array_fill_keys(['eventname', 'messageid', 'endpoint', 'error_message'], $markup) + ['http_method' => '<img',
            'serviceid' => $service->id, 'ruleid' => $rule->id, 'timecreated' => time()];
        $DB->insert_record('local_integrationhub_log', (object) ($row + ['success' => 0, 'direction' => 'outbound']));
        $letter = (object) ($row + ['payload' => $markup, 'response' => $markup, 'state' => 'dead', 'attempts' => 1]);
        $id = $DB->insert_record('local_integrationhub_dlq', $letter);
        $letter = $DB->get_record('local_integrationhub_dlq', ['id' => $id]);
        replays::request_chosen('discard', [$id]);
        $output = $PAGE->get_renderer('local_integrationhub');
        $pages = [
            new queue_page(new dead_filter(), true), new rules_page(new rules_filter(), true),
            new events_page(new log_filter()), new letter_page(new trace($markup), $letter, true),
            new letter_page(new trace($markup), null, true), new services_page(overview::services(), true),
            new dashboard_page(new status(), true),
        ];
        foreach ($pages as $page) {
            $html = $output->render($page);
            $this->assertStringContainsString('&lt;img src=x', $html, get_class($page));
            $this->assertStringNotContainsString('<img src=x', $html, get_class($page));
        }
        $html = (new rule_form(null, ['rule' => $rule, 'serviceid' => '']))->render();
        $this->assertStringContainsString('&lt;img src=x', $html);
        $this->assertStringNotContainsString('<img src=x', $html);
    }

    public function test_navigation(): void {
        $page = new \moodle_page();
        $page->set_url('/');
        $page->set_context(\context_system::instance());
        $navigation = new \global_navigation($page);
        $this->assertNotFalse($navigation->get('integrationhub'));
        $this->setUser($this->getDataGenerator()->create_user());
        $navigation = new \global_navigation($page);
        $this->assertFalse($navigation->get('integrationhub'));
    }
}
