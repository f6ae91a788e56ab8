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

use local_integrationhub\local\wanted_events;
use local_integrationhub\service\registry as services;

/**
 * The rules.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\rule\registry
 */
final class registry_test extends \advanced_testcase {
    /** @var int id of a service */
    private $serviceid;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->serviceid = (int) $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service()->id;
    }

    protected function tearDown(): void {
        wanted_events::invalidate();
        parent::tearDown();
    }

    /**
     * Makes a rule.
     *
     * @param array $values
     * @return int
     */
    private function create(array $values = []): int {
        $values += ['eventname' => 'core\event\user_created', 'serviceid' => $this->serviceid];
        return registry::create_rule((object) $values);
    }

    public function test_making_changing_and_deleting_take_effect_at_once(): void {
        $name = '\core\event\user_created';
        $this->assertFalse(wanted_events::contains($name));
        $id = $this->create();
        $this->assertTrue(wanted_events::contains($name));
        registry::update_rule($id, (object) ['enabled' => 0]);
        $this->assertFalse(wanted_events::contains($name));
        registry::update_rule($id, (object) ['enabled' => 1]);
        $this->assertTrue(wanted_events::contains($name));
        registry::delete_rule($id);
        $this->assertFalse(wanted_events::contains($name));
        $this->assertFalse(registry::get_rule($id));
    }

    public function test_enabling_forgets_why_the_fleet_had_disabled_it(): void {
        global $DB;
        $id = $this->create();
        $disabled = ['id' => $id, 'enabled' => 0, 'timedisabled' => 5, 'disabledreason' => 'HTTP 410 Gone'];
        $DB->update_record(registry::TABLE, (object) $disabled);
        registry::update_rule($id, (object) ['endpoint' => '/elsewhere']);
        $this->assertSame('HTTP 410 Gone', registry::get_rule($id)->disabledreason);
        registry::update_rule($id, (object) ['enabled' => 1]);
        $rule = registry::get_rule($id);
        $this->assertEquals([1, null, null], [$rule->enabled, $rule->timedisabled, $rule->disabledreason]);
    }

    public function test_a_service_that_is_disabled_wants_nothing(): void {
        $this->create();
        $this->assertTrue(wanted_events::contains('\core\event\user_created'));
        services::update_service($this->serviceid, (object) ['enabled' => 0]);
        $this->assertFalse(wanted_events::contains('\core\event\user_created'));
    }

    public function test_defaults_and_form(): void {
        $rule = registry::get_rule($this->create(['http_method' => 'patch', 'id' => 999]));
        $this->assertSame('\core\event\user_created', $rule->eventname);
        $this->assertSame('PATCH', $rule->http_method);
        $this->assertEquals(1, $rule->enabled);
        $this->assertNull($rule->endpoint);
        $this->assertSame('POST', registry::get_rule($this->create())->http_method);
    }

    /**
     * Values that are refused, with the error.
     *
     * @return array
     */
    public static function bad(): array {
        return [
            'event name' => [['eventname' => 'nonsense'], 'error_eventname'],
            'service' => [['serviceid' => 12345], 'service_not_found'],
            'method' => [['http_method' => 'HEAD'], 'error_choice'],
            'endpoint with a line break' => [['endpoint' => "/a\r\nX: y"], 'error_endpoint'],
            'endpoint too long' => [['endpoint' => str_repeat('é', 256)], 'error_endpoint'],
        ];
    }

    /**
     * Refused when made and when changed, and nothing is changed.
     *
     * @dataProvider bad
     * @param array $values
     * @param string $code
     */
    public function test_refused(array $values, string $code): void {
        $id = $this->create(['endpoint' => str_repeat('é', 255)]);
        $before = registry::get_rule($id);
        foreach (['create', 'update'] as $how) {
            try {
                $how === 'create' ? $this->create($values) : registry::update_rule($id, (object) $values);
                $this->fail('accepted');
            } catch (\moodle_exception $e) {
                $this->assertSame($code, $e->errorcode);
            }
        }
        $this->assertEquals([$id => $before], registry::get_all_rules());
    }

    public function test_names_for_people(): void {
        $this->assertSame(\core\event\user_created::get_name(), registry::get_event_display_name('core\event\user_created'));
        $this->assertSame('\nothing\event\such', registry::get_event_display_name('nothing\event\such'));
        $this->assertSame('\stdClass', registry::get_event_display_name('stdClass'));
        $all = registry::get_all_events_dynamic();
        $this->assertSame(\mod_forum\event\post_created::get_name(), $all['\mod_forum\event\post_created']);
        $this->assertArrayNotHasKey('\core\event\base', $all);
        $this->assertArrayNotHasKey('\core\event\role_capabilities_updated', $all, 'deprecated');
        $common = registry::get_common_events();
        $this->assertCount(5, $common);
        $this->assertSame([], array_diff_key($common, $all));
    }
}
