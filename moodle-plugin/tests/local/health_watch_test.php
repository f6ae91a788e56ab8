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
 * What administrators are told.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\health_watch
 * @covers     \local_integrationhub\local\health
 * @covers     \local_integrationhub\task\health_task
 */
final class health_watch_test extends \advanced_testcase {
    /** @var \local_integrationhub_generator */
    private $generator;

    /** @var \stdClass */
    private $service;

    /** @var \phpunit_message_sink */
    private $sink;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->preventResetByRollback();
        $this->generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $this->service = $this->generator->create_service(['name' => 'erp']);
        $this->sink = $this->redirectMessages();
    }

    /**
     * Looks once.
     *
     * @return string[] subjects of the messages to the administrator
     */
    private function look(): array {
        $this->sink->clear();
        \core\task\manager::get_scheduled_task('local_integrationhub\task\health_task')->execute();
        $admin = get_admin();
        $subjects = [];
        foreach ($this->sink->get_messages() as $message) {
            if ((int) $message->useridto === (int) $admin->id) {
                $this->assertSame(['local_integrationhub', 'health'], [$message->component, $message->eventtype]);
                $this->assertStringContainsString('/report/status/index.php', $message->contexturl);
                $this->assertStringStartsWith($message->subject . "\n\n", $message->fullmessage);
                $subjects[] = str_replace('Integration Hub: ', '', $message->subject);
            }
        }
        return $subjects;
    }

    /**
     * Sets the breaker of the service.
     *
     * @param string $state
     */
    private function breaker(string $state): void {
        global $DB;
        $DB->delete_records('local_integrationhub_cb');
        $DB->insert_record('local_integrationhub_cb', (object) ['serviceid' => $this->service->id, 'state' => $state]);
    }

    public function test_a_breaker_is_told_once_when_it_opens_and_once_when_it_has_recovered(): void {
        $this->assertSame([], $this->look());
        $this->breaker('open');
        $this->assertSame(['service erp fails'], $this->look());
        $this->assertSame([], $this->look());
        $this->breaker('halfopen');
        $this->assertSame([], $this->look());
        $this->breaker('closed');
        $this->assertSame(['service erp has recovered'], $this->look());
        $this->assertSame([], $this->look());
        $this->breaker('open');
        $this->assertSame(['service erp fails'], $this->look());
    }

    public function test_a_service_that_is_disabled_or_deleted_has_not_recovered(): void {
        global $DB;
        $this->breaker('open');
        $this->look();
        $DB->set_field('local_integrationhub_svc', 'enabled', 0, ['id' => $this->service->id]);
        $this->assertSame([], $this->look());
        $DB->set_field('local_integrationhub_svc', 'enabled', 1, ['id' => $this->service->id]);
        $this->assertSame(['service erp fails'], $this->look());
        $DB->delete_records('local_integrationhub_svc');
        $this->assertSame([], $this->look());
    }

    public function test_dead_letters_are_told_until_there_was_an_hour_without_new_ones(): void {
        global $DB;
        $row = (object) ['eventname' => 'e', 'serviceid' => $this->service->id, 'timecreated' => time() - 2 * HOURSECS];
        $DB->insert_record('local_integrationhub_dlq', $row);
        $this->assertSame([], $this->look());
        $row->timecreated = time();
        $DB->insert_record('local_integrationhub_dlq', $row);
        $this->assertSame(['new dead letters'], $this->look());
        $text = $this->sink->get_messages()[0]->fullmessage;
        $this->assertStringContainsString('1 deliveries have died within the last hour, to erp.', $text);
        $DB->insert_record('local_integrationhub_dlq', $row);
        $this->assertSame([], $this->look());
        $DB->set_field('local_integrationhub_dlq', 'timecreated', time() - HOURSECS - 1, []);
        $this->assertSame([], $this->look());
        $DB->insert_record('local_integrationhub_dlq', $row);
        $this->assertSame(['new dead letters'], $this->look());
    }

    public function test_a_fleet_that_is_gone_is_told_after_two_minutes_and_its_return(): void {
        global $DB;
        set_config('brokerurl', 'amqp://localhost/', 'local_integrationhub');
        $this->assertSame([], $this->look());
        $rule = $this->generator->create_rule(['eventname' => '\core\event\user_created', 'serviceid' => $this->service->id]);
        $this->assertSame([], $this->look());
        $state = json_decode(get_config('local_integrationhub', 'healthstate'), true);
        $state['absent'] -= 119;
        set_config('healthstate', json_encode($state), 'local_integrationhub');
        $this->assertSame([], $this->look());
        $state['absent'] -= 10;
        set_config('healthstate', json_encode($state), 'local_integrationhub');
        $this->assertSame(['no worker runs'], $this->look());
        $this->assertSame([], $this->look());
        $DB->insert_record('local_integrationhub_worker', (object) ['instance' => 'a', 'timeseen' => time()]);
        $this->assertSame(['workers run again'], $this->look());
        $this->assertSame([], $this->look());
        // Nobody misses a fleet that nobody needs.
        $DB->delete_records('local_integrationhub_worker');
        set_config('healthstate', json_encode($state), 'local_integrationhub');
        $this->assertSame(['no worker runs'], $this->look());
        $DB->set_field('local_integrationhub_rules', 'enabled', 0, ['id' => $rule->id]);
        $this->assertSame([], $this->look());
    }

    public function test_a_rule_that_the_fleet_has_disabled_is_told_to_those_who_manage(): void {
        global $DB;
        $rule = $this->generator->create_rule(['eventname' => '\core\event\user_created', 'serviceid' => $this->service->id]);
        $manager = $this->getDataGenerator()->create_user(['lang' => 'en']);
        $roleid = $DB->get_field('role', 'id', ['shortname' => 'manager']);
        role_assign($roleid, $manager->id, \context_system::instance()->id);
        $this->getDataGenerator()->create_user();
        $DB->update_record('local_integrationhub_rules', (object) ['id' => $rule->id, 'enabled' => 0, 'timedisabled' => time(),
            'disabledreason' => 'HTTP 410']);
        $this->assertSame(["rule $rule->id was disabled"], $this->look());
        $messages = $this->sink->get_messages();
        $told = array_map('intval', array_column($messages, 'useridto'));
        $this->assertEqualsCanonicalizing([(int) get_admin()->id, (int) $manager->id], $told);
        $this->assertStringContainsString('HTTP 410', $messages[0]->fullmessage);
        $this->assertSame([], $this->look());
    }
}
