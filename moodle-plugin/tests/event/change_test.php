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

namespace local_integrationhub\event;

use local_integrationhub\rule\registry as rules;
use local_integrationhub\service\registry as services;

/**
 * The audit trail: what services and rules leave in Moodle's log.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\event\change
 * @covers     \local_integrationhub\event\service_created
 * @covers     \local_integrationhub\event\service_updated
 * @covers     \local_integrationhub\event\service_deleted
 * @covers     \local_integrationhub\event\service_breaker_reset
 * @covers     \local_integrationhub\event\rule_created
 * @covers     \local_integrationhub\event\rule_updated
 * @covers     \local_integrationhub\event\rule_deleted
 * @covers     \local_integrationhub\local\change
 */
final class change_test extends \advanced_testcase {
    /**
     * What the hub has recorded, as class, crud, object and other.
     *
     * @param \phpunit_event_sink $sink
     * @return array[]
     */
    private function recorded(\phpunit_event_sink $sink): array {
        $recorded = [];
        foreach ($sink->get_events() as $event) {
            if ($event instanceof change) {
                $name = substr(get_class($event), strrpos(get_class($event), '\\') + 1);
                $recorded[] = [$name, $event->crud, (int) $event->objectid, $event->other];
            }
        }
        $sink->clear();
        return $recorded;
    }

    public function test_services(): void {
        $this->resetAfterTest();
        $sink = $this->redirectEvents();
        $id = services::create_service((object) ['name' => 'crm', 'base_url' => 'https://h', 'auth_token' => 'SECRET']);
        services::update_service($id, (object) ['timeout' => 9, 'auth_token' => 'SECRET-2', 'name' => 'crm']);
        services::update_service($id, (object) ['timeout' => 9]);
        services::reset_breaker($id);
        services::delete_service($id);
        services::delete_service($id);
        $recorded = $this->recorded($sink);
        $this->assertSame([
            ['service_created', 'c', $id, ['name' => 'crm']],
            ['service_updated', 'u', $id, ['name' => 'crm', 'fields' => ['timeout', 'auth_token']]],
            ['service_breaker_reset', 'u', $id, ['name' => 'crm']],
            ['service_deleted', 'd', $id, ['name' => 'crm']],
        ], $recorded, 'no change, no event');
        $this->assertStringNotContainsString('SECRET', json_encode($recorded));
    }

    public function test_rules(): void {
        $this->resetAfterTest();
        $serviceid = services::create_service((object) ['name' => 'crm', 'base_url' => 'https://h']);
        $sink = $this->redirectEvents();
        $name = '\core\event\user_created';
        $id = rules::create_rule((object) ['eventname' => $name, 'serviceid' => $serviceid]);
        rules::update_rule($id, (object) ['endpoint' => '/a', 'filter' => '{}', 'enabled' => 1]);
        rules::update_rule($id, (object) ['endpoint' => '/a']);
        rules::delete_rule($id);
        rules::delete_rule($id);
        $this->assertSame([
            ['rule_created', 'c', $id, ['name' => $name]],
            ['rule_updated', 'u', $id, ['name' => $name, 'fields' => ['endpoint', 'filter']]],
            ['rule_deleted', 'd', $id, ['name' => $name]],
        ], $this->recorded($sink));
    }

    public function test_texts(): void {
        $this->resetAfterTest();
        $this->setAdminUser();
        $sink = $this->redirectEvents();
        service_updated::record(5, 'crm', ['timeout', 'paused']);
        rule_deleted::record(7, '\core\event\user_created');
        [$service, $rule] = $sink->get_events();
        $user = get_admin()->id;
        $expected = "The user with id '$user' updated the service 'crm' with id '5': timeout, paused.";
        $this->assertSame($expected, $service->get_description());
        $this->assertStringEndsWith('services.php', $service->get_url()->out());
        $this->assertSame('local_integrationhub_svc', $service->objecttable);
        $this->assertStringEndsWith("deleted the rule for '\\core\\event\\user_created' with id '7'.", $rule->get_description());
        $this->assertStringEndsWith('rules.php', $rule->get_url()->out());
        service_updated::record(5, '<b>crm</b>');
        $this->assertStringContainsString("'&lt;b&gt;crm&lt;/b&gt;'", $sink->get_events()[2]->get_description());
        $this->assertSame('Integration rule deleted', rule_deleted::get_name());
        $this->assertSame(\core\event\base::NOT_MAPPED, rule_deleted::get_objectid_mapping()['restore']);
        $this->assertFalse(rule_deleted::get_other_mapping());
        $this->expectException(\coding_exception::class);
        rule_deleted::create(['context' => \context_system::instance(), 'objectid' => 7])->trigger();
    }
}
