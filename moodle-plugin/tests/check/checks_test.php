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

namespace local_integrationhub\check;

use core\check\result;
use local_integrationhub\local\config;

/**
 * The checks of the status page.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\check\base
 * @covers     \local_integrationhub\check\broker
 * @covers     \local_integrationhub\check\deadletters
 * @covers     \local_integrationhub\check\outbox
 * @covers     \local_integrationhub\check\rules
 * @covers     \local_integrationhub\check\secrets
 * @covers     \local_integrationhub\check\tls
 * @covers     \local_integrationhub\check\webhooks
 * @covers     \local_integrationhub\check\workers
 * @covers     \local_integrationhub\local\health
 */
final class checks_test extends \advanced_testcase {
    /** @var \local_integrationhub_generator */
    private $generator;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
    }

    /**
     * What a check says.
     *
     * @param string $name
     * @return string[] status, summary, details
     */
    private function look(string $name): array {
        $class = "local_integrationhub\\check\\$name";
        $check = new $class();
        $this->assertStringStartsWith('Integration Hub: ', $check->get_name());
        $result = $check->get_result();
        return [$result->get_status(), $result->get_summary(), $result->get_details()];
    }

    /**
     * Sees what a check says.
     *
     * @param string $status
     * @param string $summary
     * @param string $name
     * @param string $details what the details hold
     */
    private function assert_tells(string $status, string $summary, string $name, string $details = ''): void {
        $told = $this->look($name);
        $this->assertSame([$status, $summary], array_slice($told, 0, 2));
        if ($details !== '') {
            $this->assertStringContainsString($details, $told[2]);
        }
    }

    public function test_moodle_knows_them_and_a_new_site_is_well(): void {
        $ours = array_filter(\core\check\manager::get_status_checks(), function (\core\check\check $check): bool {
            return $check->get_component() === 'local_integrationhub';
        });
        $this->assertCount(8, $ours);
        foreach ($ours as $check) {
            $result = $check->get_result();
            $this->assertContains($result->get_status(), [result::OK, result::NA], $check->get_id());
            $this->assertNotEmpty($result->get_details());
        }
    }

    public function test_the_broker(): void {
        $this->generator->create_rule(['eventname' => '\core\event\user_created']);
        $this->assert_tells(result::ERROR, 'Rules want events, but no broker is configured.', 'broker');
        set_config('brokerurl', 'amqp://u:S3CRET@127.0.0.1:1/', 'local_integrationhub');
        $this->assert_tells(result::ERROR, 'Events cannot be published.', 'broker');
        $this->assertStringNotContainsString('S3CRET', $this->look('broker')[2]);
        if (!getenv('MIH_TEST_BROKER')) {
            $this->markTestSkipped('MIH_TEST_BROKER names no broker');
        }
        set_config('brokerurl', getenv('MIH_TEST_BROKER'), 'local_integrationhub');
        set_config('exchange', 'amq.topic', 'local_integrationhub');
        $this->assert_tells(result::OK, 'The broker takes events.', 'broker');
        set_config('exchange', 'nowhere', 'local_integrationhub');
        $this->assert_tells(result::ERROR, 'Events cannot be published.', 'broker', 'nowhere');
    }

    public function test_the_workers(): void {
        global $DB;
        $this->generator->create_rule(['eventname' => '\core\event\user_created']);
        $this->assert_tells(result::ERROR, 'Rules want events, but no worker runs.', 'workers');
        $row = ['instance' => 'a', 'host' => '<h>', 'pid' => 7, 'version' => '1', 'timeseen' => time(),
            'timeprogress' => time() - 1000];
        $id = $DB->insert_record('local_integrationhub_worker', (object) $row);
        $this->assert_tells(result::OK, 'Worker processes: 1.', 'workers', '&lt;h&gt;: 7, version 1, 0 requests under way');
        $DB->set_field('local_integrationhub_worker', 'inflight', 3, ['id' => $id]);
        $this->assert_tells(result::ERROR, 'Worker processes that are stuck: 1.', 'workers', '3 requests under way');
        $this->generator->create_service(['timeout' => 2000]);
        $this->assert_tells(result::OK, 'Worker processes: 1.', 'workers');
        $DB->set_field('local_integrationhub_worker', 'timeseen', time() - 100, ['id' => $id]);
        $this->assert_tells(result::ERROR, 'Rules want events, but no worker runs.', 'workers');
        $DB->set_field('local_integrationhub_rules', 'enabled', 0, []);
        $this->assert_tells(result::NA, 'No worker runs, and no rule wants events.', 'workers');
    }

    public function test_the_outbox(): void {
        global $DB;
        foreach ([[10, result::OK], [100, result::WARNING], [1000, result::ERROR]] as $i => [$age, $status]) {
            $row = ['messageid' => "m$i", 'eventname' => 'e', 'payload' => '{}', 'timecreated' => time() - $age];
            $DB->insert_record('local_integrationhub_outbox', (object) $row);
            [$told, $summary] = $this->look('outbox');
            $this->assertSame($status, $told);
            $this->assertStringStartsWith($i + 1 . ' events wait for the broker, the oldest for ', $summary);
        }
    }

    public function test_dead_letters(): void {
        global $DB;
        $service = $this->generator->create_service(['name' => 'erp']);
        $row = ['eventname' => 'e', 'serviceid' => $service->id, 'timecreated' => time() - 2 * DAYSECS];
        $DB->insert_record('local_integrationhub_dlq', (object) $row);
        $DB->insert_record('local_integrationhub_dlq', (object) (['state' => 'discarded', 'timecreated' => time()] + $row));
        $this->assert_tells(result::INFO, '1 deliveries have died, 0 of them within the last day.', 'deadletters', 'erp: 1');
        $DB->insert_record('local_integrationhub_dlq', (object) (['serviceid' => 99999, 'timecreated' => time()] + $row));
        $told = '2 deliveries have died, 1 of them within the last day.';
        $this->assert_tells(result::WARNING, $told, 'deadletters', '#99999: 1');
    }

    public function test_disabled_rules(): void {
        $service = $this->generator->create_service(['name' => 'erp']);
        $rule = ['eventname' => '\core\event\user_created', 'serviceid' => $service->id, 'enabled' => 0];
        $this->generator->create_rule($rule);
        $this->assertSame(result::OK, $this->look('rules')[0]);
        $this->generator->create_rule($rule + ['timedisabled' => 1, 'disabledreason' => 'HTTP 410']);
        $this->assert_tells(result::WARNING, 'Rules that the workers have disabled: 1.', 'rules', 'erp: HTTP 410');
    }

    public function test_d18_secrets(): void {
        $encrypted = \core\encryption::encrypt('x');
        $url = 'amqp://u:' . rawurlencode($encrypted) . '@h/';
        $this->generator->create_service(['auth_token' => $encrypted, 'type' => 'amqp', 'base_url' => $url]);
        $this->assertSame(result::OK, $this->look('secrets')[0]);
        $this->generator->create_service(['name' => 'a', 'auth_token' => 'T0KEN', 'hmac_secret' => 'S3CRET']);
        $this->generator->create_service(['name' => 'b', 'type' => 'amqp', 'base_url' => 'amqp://u:P4SS@h/']);
        config::set_broker_url('amqp://u:p@h/');
        $this->assert_tells(result::WARNING, 'Secrets that are stored as plain text: 3.', 'secrets', 'a: hmac_secret');
        $this->assertDoesNotMatchRegularExpression('~T0KEN|S3CRET|P4SS~', $this->look('secrets')[2]);
        set_config('brokerurl', 'amqp://u:p@h/', 'local_integrationhub');
        $this->assert_tells(result::WARNING, 'Secrets that are stored as plain text: 4.', 'secrets', 'brokerurl');
    }

    public function test_connections_without_tls(): void {
        config::set_broker_url('amqp://u:p@localhost/,amqps://u:p@far.example/');
        foreach (['http://127.0.0.1/', 'http://[::1]:8080/', 'https://far.example/', 'amqps://u:p@far.example/'] as $url) {
            $this->generator->create_service(['base_url' => $url]);
        }
        $this->generator->create_service(['base_url' => 'http://far.example/', 'enabled' => 0]);
        $this->assertSame(result::OK, $this->look('tls')[0]);
        config::set_broker_url('amqp://u:S3CRET@far.example:5/');
        $urls = ['base_url' => 'HTTP://u:S3CRET@far.example/', 'auth_url' => 'http://10.0.0.1:8/t'];
        $this->generator->create_service(['name' => 'a'] + $urls);
        $this->assert_tells(result::WARNING, 'Connections without TLS: 3.', 'tls', 'a: http://10.0.0.1:8');
        $this->assertStringNotContainsString('S3CRET', $this->look('tls')[2]);
        $this->assertStringContainsString('brokerurl: amqp://far.example:5', $this->look('tls')[2]);
    }

    public function test_open_webhooks(): void {
        foreach (['auth_token' => 'T', 'hmac_secret' => 'S', 'ip_whitelist' => '10.0.0.1'] as $name => $value) {
            $this->generator->create_service(['inbound_open' => 1, $name => $value]);
        }
        $this->generator->create_service(['inbound_open' => 0]);
        $this->assertSame(result::OK, $this->look('webhooks')[0]);
        $this->generator->create_service(['name' => 'hook', 'inbound_open' => 1]);
        $this->assert_tells(result::WARNING, 'Services whose webhook takes calls of anybody: 1.', 'webhooks', 'hook');
    }
}
