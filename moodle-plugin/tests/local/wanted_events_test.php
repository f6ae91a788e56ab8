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
 * The cached set of event names that rules want.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\wanted_events
 * @covers     \local_integrationhub\local\change
 */
final class wanted_events_test extends \advanced_testcase {
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        wanted_events::invalidate();
    }

    protected function tearDown(): void {
        wanted_events::invalidate();
        parent::tearDown();
    }

    /**
     * Inserts a rule as SQL would, behind the registry's back.
     *
     * @param string $eventname
     * @param array $more
     * @param array $service
     */
    private function insert(string $eventname, array $more = [], array $service = []): void {
        global $DB;
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $serviceid = $generator->create_service($service)->id;
        $DB->insert_record('local_integrationhub_rules', (object) ($more + ['eventname' => $eventname, 'serviceid' => $serviceid]));
    }

    public function test_only_enabled_rules_of_enabled_services_count(): void {
        $this->insert('\core\event\a');
        $this->insert('\core\event\b', ['enabled' => 0]);
        $this->insert('\core\event\c', [], ['enabled' => 0]);
        $this->insert('\mod_x\event\*');
        $this->assertTrue(wanted_events::contains('\core\event\a'));
        $this->assertFalse(wanted_events::contains('\core\event\b'));
        $this->assertFalse(wanted_events::contains('\core\event\c'));
        $this->assertTrue(wanted_events::contains('\mod_x\event\anything'));
        $this->assertTrue(wanted_events::contains('\mod_x\event\deep\er'));
        $this->assertFalse(wanted_events::contains('\mod_xy\event\anything'));
        $this->assertFalse(wanted_events::contains('nonsense'));
    }

    public function test_names_that_differ_in_case_are_both_kept(): void {
        $this->insert('\core\event\User_Created');
        $this->insert('\core\event\user_created');
        $this->assertTrue(wanted_events::contains('\core\event\user_created'));
        $this->assertTrue(wanted_events::contains('\core\event\User_Created'));
    }

    public function test_d12_the_set_is_read_once(): void {
        global $DB;
        $this->insert('\core\event\a');
        $reads = $DB->perf_get_reads();
        wanted_events::contains('\core\event\a');
        $this->assertSame($reads + 1, $DB->perf_get_reads());
        for ($i = 0; $i < 1000; $i++) {
            wanted_events::contains("\\core\\event\\e$i");
        }
        // The set is read again after two seconds; a slow machine may see that once.
        $this->assertLessThanOrEqual($reads + 2, $DB->perf_get_reads());
    }

    public function test_another_process_finds_the_set_in_the_cache(): void {
        global $DB;
        $this->insert('\core\event\a');
        $this->forget_static();
        \cache::make('local_integrationhub', 'wanted_events')->set('set', ['time' => time(), 'names' => ['\core\event\z' => 1]]);
        $reads = $DB->perf_get_reads();
        $this->assertTrue(wanted_events::contains('\core\event\z'));
        $this->assertSame($reads, $DB->perf_get_reads());
    }

    /**
     * A set that is no longer used.
     *
     * @return array
     */
    public static function stale(): array {
        return [
            'too old' => [['time' => time() - wanted_events::MAXAGE, 'names' => []]],
            'from the future' => [['time' => time() + 1000, 'names' => []]],
            'nonsense' => ['x'],
        ];
    }

    /**
     * It is read again, so that rules made by SQL take effect.
     *
     * @dataProvider stale
     * @param mixed $set
     */
    public function test_a_stale_set_is_read_again($set): void {
        $this->insert('\core\event\a');
        $this->forget_static();
        \cache::make('local_integrationhub', 'wanted_events')->set('set', $set);
        $this->assertTrue(wanted_events::contains('\core\event\a'));
    }

    public function test_a_change_is_seen_at_once_here_and_by_others(): void {
        global $DB;
        $this->insert('\core\event\other');
        $this->assertFalse(wanted_events::contains('\core\event\a'));
        $DB->set_field('local_integrationhub_rules', 'eventname', '\core\event\a');
        $this->assertIsArray(\cache::make('local_integrationhub', 'wanted_events')->get('set'));
        change::announce();
        $this->assertFalse(\cache::make('local_integrationhub', 'wanted_events')->get('set'));
        $this->assertTrue(wanted_events::contains('\core\event\a'));
    }

    /**
     * As a new process would begin.
     */
    private function forget_static(): void {
        $set = new \ReflectionProperty(wanted_events::class, 'set');
        $set->setAccessible(true);
        $set->setValue(null, null);
    }
}
