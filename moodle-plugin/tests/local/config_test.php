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
 * Settings.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\config
 */
final class config_test extends \advanced_testcase {
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
    }

    public function test_defaults_and_limits(): void {
        $this->assertSame('moodle.events', config::text('exchange'));
        set_config('exchange', '', 'local_integrationhub');
        $this->assertSame('moodle.events', config::text('exchange'));
        foreach (['1' => 10, '99999' => 10000, 'x' => 10, '300' => 300] as $value => $expected) {
            set_config('connectbudget', $value, 'local_integrationhub');
            $this->assertSame($expected, config::number('connectbudget'));
        }
    }

    public function test_every_default_is_within_its_limits(): void {
        foreach (config::LIMITS as $name => [$min, $max]) {
            $this->assertGreaterThanOrEqual($min, config::DEFAULTS[$name], $name);
            $this->assertLessThanOrEqual($max, config::DEFAULTS[$name], $name);
        }
    }

    public function test_anything_but_direct_is_safe(): void {
        $this->assertTrue(config::is_safe());
        set_config('mode', 'nonsense', 'local_integrationhub');
        $this->assertTrue(config::is_safe());
        set_config('mode', 'direct', 'local_integrationhub');
        $this->assertFalse(config::is_safe());
    }

    public function test_the_broker_url_is_stored_encrypted(): void {
        $this->assertFalse(config::has_broker());
        $this->assertSame('', config::broker_url());
        config::set_broker_url('amqp://u:SECRET@h');
        $this->assertTrue(config::has_broker());
        $stored = get_config('local_integrationhub', 'brokerurl');
        $this->assertTrue(config::is_encrypted($stored));
        $this->assertStringNotContainsString('SECRET', $stored);
        $this->assertSame('amqp://u:SECRET@h', config::broker_url());
        config::set_broker_url('');
        $this->assertFalse(config::has_broker());
    }

    public function test_a_plain_broker_url_works_too(): void {
        set_config('brokerurl', 'amqp://h', 'local_integrationhub');
        $this->assertSame('amqp://h', config::broker_url());
    }

    public function test_site_id(): void {
        global $CFG;
        unset_config('siteid', 'local_integrationhub');
        $CFG->wwwroot = 'https://moodle.example.org/a';
        $this->assertSame('moodle.example.org/a', config::site_id());
        set_config('siteid', 'mine', 'local_integrationhub');
        $this->assertSame('mine', config::site_id());
    }
}
