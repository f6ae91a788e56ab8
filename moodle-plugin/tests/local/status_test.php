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
 * What the dashboard tells.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\status
 * @covers     \local_integrationhub\output\dashboard_page
 * @covers     \local_integrationhub\service\overview
 */
final class status_test extends \advanced_testcase {
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
    }

    /**
     * The dashboard as the template gets it.
     *
     * @return array
     */
    private function page(): array {
        global $PAGE;
        $PAGE->set_url('/');
        $renderer = $PAGE->get_renderer('core');
        return (new \local_integrationhub\output\dashboard_page(new status(), true))->export_for_template($renderer);
    }

    public function test_an_empty_site_is_told_what_to_do(): void {
        $this->assertSame(['broker', 'worker', 'service', 'rule'], (new status())->missing());
        $page = $this->page();
        $this->assertSame(['broker', 'worker', 'service', 'rule'], array_column($page['next'], 'what'));
        $this->assertStringContainsString('section=local_integrationhub', $page['next'][0]['url']);
        $this->assertSame('', $page['next'][1]['url']);
        $this->assertStringContainsString('services.php', $page['next'][2]['url']);
        $this->assertFalse($page['hasworkers']);
    }

    public function test_a_site_at_work(): void {
        global $DB;
        set_config('brokerurl', 'amqp://localhost', 'local_integrationhub');
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $service = $generator->create_service(['name' => 'crm']);
        $generator->create_rule(['eventname' => '\core\event\a', 'serviceid' => $service->id]);
        $generator->create_rule(['eventname' => '\core\event\b', 'serviceid' => $service->id, 'enabled' => 0]);
        $breaker = ['serviceid' => $service->id, 'state' => 'open', 'retryat' => time() + 60];
        $DB->insert_record('local_integrationhub_cb', (object) $breaker);
        foreach ([[2, 0, 60000, 0], [0, 1, 90000, 0], [0, 7, 500000, 90000]] as [$delivered, $retried, $latency, $age]) {
            $start = time() - $age;
            $DB->insert_record('local_integrationhub_stat', (object) ['serviceid' => $service->id, 'ruleid' => $retried,
                'width' => 60,
                'timestart' => $start - $start % 60, 'delivered' => $delivered, 'retried' => $retried, 'latencysum' => $latency,
                'h5' => $delivered + $retried]);
        }
        $DB->insert_record('local_integrationhub_backlog', (object) ['serviceid' => $service->id, 'waiting' => 5,
            'timeoldest' => time() - 300, 'timeseen' => time()]);
        foreach (['dead', 'delivered'] as $state) {
            $row = ['eventname' => '\core\event\a', 'serviceid' => $service->id, 'state' => $state];
            $DB->insert_record('local_integrationhub_dlq', (object) $row);
        }
        $DB->insert_record('local_integrationhub_outbox', (object) ['messageid' => 'm', 'eventname' => '\core\event\a',
            'payload' => '{}', 'timecreated' => time() - 120]);
        foreach ([['new', 5], ['gone', 600]] as [$instance, $age]) {
            $DB->insert_record('local_integrationhub_worker', (object) ['instance' => $instance, 'host' => 'h', 'pid' => 7,
                'version' => '3', 'timeseen' => time() - $age, 'timeprogress' => time() - $age, 'memory' => 9437184]);
        }

        $status = new status();
        $this->assertSame([], $status->missing());
        $this->assertSame([1, 1, 1], [$status->rules, $status->dead, $status->outbox]);
        $this->assertGreaterThanOrEqual(120, $status->outboxage);
        $this->assertSame(['new'], array_column($status->workers, 'instance'));
        $this->assertSame([3, 1], [$status->sum('requests'), $status->sum('failures')]);
        $crm = reset($status->services);
        $this->assertSame(['open', 2, 1, 50, 1], [$crm->state, $crm->rules, $crm->rulesenabled, $crm->latency, $crm->dead]);
        $this->assertSame([5, 5], [$crm->waiting, $status->sum('waiting')]);
        $this->assertGreaterThanOrEqual(300, $status->oldest());

        $page = $this->page();
        $this->assertFalse($page['hasnext']);
        $this->assertSame(['Open'], array_column(array_column($page['services'], 'breaker'), 'text'));
        $this->assertSame([3, 1, 1, 5, 1, 1, 1], array_column($page['numbers'], 'number'));
        $this->assertStringContainsString('5 mins', $page['numbers'][3]['note']);
        $this->assertStringContainsString('2 mins', $page['numbers'][4]['note']);
        $this->assertSame('h', $page['workers'][0]['host']);
    }
}
