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

namespace local_integrationhub\admin;

use local_integrationhub\local\config;
use local_integrationhub\local\cooloff;

/**
 * The settings that are not core's own.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\admin\setting_brokerurl
 * @covers     \local_integrationhub\admin\setting_number
 * @covers     \local_integrationhub\admin\setting_routingname
 */
final class settings_test extends \advanced_testcase {
    protected function setUp(): void {
        global $CFG;
        parent::setUp();
        $this->resetAfterTest();
        require_once($CFG->libdir . '/adminlib.php');
    }

    public function test_a_broker_url_is_stored_encrypted_and_shown_masked(): void {
        global $PAGE;
        $PAGE->set_url('/');
        $setting = new setting_brokerurl('local_integrationhub/brokerurl', 'x', 'y');
        $this->assertStringContainsString(get_string('brokerurl_none', 'local_integrationhub'), $setting->output_html(''));
        (new cooloff())->begin('refused', 10);
        $this->assertSame('', $setting->write_setting(' amqp://u:SECRET@h '));
        $this->assertFalse((new cooloff())->active(10), 'the new address is left alone for the old one\'s failure');
        $this->assertTrue(config::is_encrypted(get_config('local_integrationhub', 'brokerurl')));
        $this->assertSame('amqp://u:SECRET@h', config::broker_url());
        $setting = new setting_brokerurl('local_integrationhub/brokerurl', 'x', 'y');
        $html = $setting->output_html($setting->get_setting());
        $this->assertStringContainsString('amqp://u:&#42;&#42;&#42;@h:5672/', $html);
        $this->assertStringNotContainsString('SECRET', $html);
    }

    public function test_a_bad_broker_url_is_refused_and_the_old_one_stays(): void {
        config::set_broker_url('amqp://old');
        $setting = new setting_brokerurl('local_integrationhub/brokerurl', 'x', 'y');
        $error = $setting->write_setting('http://u:SECRET@h');
        $this->assertStringContainsString(get_string('error_url_scheme', 'local_integrationhub'), $error);
        $this->assertStringNotContainsString('SECRET', $error);
        $this->assertSame('amqp://old', config::broker_url());
    }

    public function test_numbers(): void {
        $setting = new setting_number('local_integrationhub/cooloff', 'Pause', 'y', 10, [1, 3600]);
        foreach (['1', '3600', ' 5 '] as $good) {
            $this->assertTrue($setting->validate($good), $good);
        }
        foreach (['0', '3601', '-1', '1.5', 'x', '', '99999999999'] as $bad) {
            $this->assertStringContainsString('1', (string) $setting->validate($bad), $bad);
            $this->assertNotTrue($setting->validate($bad), $bad);
        }
    }

    public function test_routing_names(): void {
        $setting = new setting_routingname('local_integrationhub/namespace', 'x', 'y', 'mih');
        foreach (['mih', 'a.b_c-d:e', str_repeat('a', 100)] as $good) {
            $this->assertTrue($setting->validate($good), $good);
        }
        foreach (['', 'a b', 'é', 'amq.topic', str_repeat('a', 101), 'a/b', "a\n"] as $bad) {
            $this->assertNotTrue($setting->validate($bad), $bad);
        }
    }
}
