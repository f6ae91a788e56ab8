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

namespace local_integrationhub\service;

use local_integrationhub\fake_broker;
use local_integrationhub\local\cooloff;
use local_integrationhub\local\publisher;
use local_integrationhub\local\wanted_events;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../fixtures/fake_broker.php');

/**
 * The services.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\registry
 */
final class registry_test extends \advanced_testcase {
    /** What looks like a client certificate. */
    private const PEM = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nB\n"
        . "-----END PRIVATE KEY-----\n";

    /** @var fake_broker */
    private $broker;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        (new cooloff())->clear();
        set_config('brokerurl', 'amqp://localhost', 'local_integrationhub');
        $this->broker = new fake_broker();
        publisher::set_instance(new publisher($this->broker, new cooloff()));
    }

    protected function tearDown(): void {
        publisher::set_instance(null);
        wanted_events::invalidate();
        parent::tearDown();
    }

    public function test_a_new_service_has_its_breaker_and_is_announced(): void {
        global $DB;
        $id = registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h', 'enabled' => 0, 'id' => 999]);
        $service = registry::get_service('crm');
        $this->assertEquals($id, $service->id);
        $this->assertEquals(1, $service->enabled, 'always enabled');
        $this->assertEquals([5, 3, 1, 5, 30, 16], [
            $service->timeout, $service->max_retries, $service->retry_backoff,
            $service->cb_failure_threshold, $service->cb_cooldown, $service->max_concurrency,
        ]);
        $this->assertSame('closed', $DB->get_field('local_integrationhub_cb', 'state', ['serviceid' => $id]));
        $this->assertSame(['{"hint":"configuration"}'], $this->broker->hints);
        $this->assertEquals($service, registry::get_service_by_id($id));
    }

    public function test_names_are_unique(): void {
        registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h']);
        $other = registry::create_service((object) ['name' => 'erp', 'base_url' => 'https://h']);
        $this->assertTrue(registry::update_service($other, (object) ['name' => 'erp', 'timeout' => 9]));
        foreach ([null, $other] as $id) {
            try {
                $data = (object) ['name' => 'crm', 'base_url' => 'https://h'];
                $id === null ? registry::create_service($data) : registry::update_service($id, $data);
                $this->fail('accepted');
            } catch (\moodle_exception $e) {
                $this->assertSame('error_name_exists', $e->errorcode);
            }
        }
    }

    public function test_a_change_touches_only_what_is_set(): void {
        $id = registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h', 'auth_token' => 'T']);
        $before = registry::get_service_by_id($id);
        registry::update_service($id, (object) ['timeout' => 9, 'unknown' => 1]);
        $after = registry::get_service_by_id($id);
        $this->assertEquals(9, $after->timeout);
        $before->timeout = $after->timeout;
        $before->timemodified = $after->timemodified;
        $this->assertEquals($before, $after);
        $this->assertCount(2, $this->broker->hints);
    }

    public function test_the_fields_of_every_transport_are_kept(): void {
        $fields = [
            'auth_type' => 'oauth2', 'auth_user' => 'client', 'auth_header' => 'X-Key', 'auth_url' => 'https://h/token',
            'auth_scope' => 'events', 'client_cert' => self::PEM, 'headers' => '{"X-Site":"{{site.shortname}}"}',
            'body_type' => 'raw', 'content_type' => 'text/plain',
            'signing_secret' => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
            'signing_secret_old' => 'whsec_' . base64_encode(str_repeat('o', 24)),
            'soap_version' => '1.2', 'soap_headers' => '{}',
        ];
        $id = registry::create_service((object) (['name' => 'crm', 'base_url' => 'https://h'] + $fields));
        $this->assertSame($fields, array_intersect_key((array) registry::get_service_by_id($id), $fields));
        $refused = ['auth_type' => 'digest', 'body_type' => 'xml', 'soap_version' => '2.0', 'auth_scope' => str_repeat('ñ', 256)];
        foreach ($refused as $name => $value) {
            try {
                registry::update_service($id, (object) [$name => $value]);
                $this->fail("accepted: $name");
            } catch (\moodle_exception $e) {
                $this->assertSame($name === 'auth_scope' ? 'error_too_long' : 'error_choice', $e->errorcode);
            }
        }
    }

    public function test_secrets_are_encrypted_once_and_only_they(): void {
        $key = 'whsec_' . base64_encode(str_repeat('k', 24));
        $secrets = ['auth_token' => 'T', 'client_cert' => self::PEM, 'signing_secret' => $key];
        $id = registry::create_service((object) (['name' => 'crm', 'base_url' => 'https://h'] + $secrets));
        $before = registry::get_service_by_id($id);
        $this->assertTrue(registry::encrypt_service($id));
        $after = registry::get_service_by_id($id);
        foreach ($secrets as $name => $text) {
            $this->assertStringStartsWith('sodium:', $after->$name);
            $this->assertSame($text, \core\encryption::decrypt($after->$name));
            $before->$name = $after->$name;
        }
        $before->timemodified = $after->timemodified;
        $this->assertEquals($before, $after);
        $this->assertFalse(registry::encrypt_service($id), 'nothing left to do');
        $this->assertEquals($after, registry::get_service_by_id($id));
    }

    public function test_a_refused_change_changes_nothing(): void {
        $id = registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h']);
        $before = registry::get_service_by_id($id);
        try {
            registry::update_service($id, (object) ['timeout' => 7, 'base_url' => 'nonsense']);
            $this->fail('accepted');
        } catch (\moodle_exception $e) {
            $this->assertSame('error_invalid_url', $e->errorcode);
        }
        $this->assertEquals($before, registry::get_service_by_id($id));
    }

    public function test_deleting_a_service_deletes_what_hangs_on_it(): void {
        global $DB;
        $id = registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h']);
        $other = registry::create_service((object) ['name' => 'erp', 'base_url' => 'https://h']);
        foreach ([$id, $other] as $serviceid) {
            $DB->insert_record('local_integrationhub_rules', (object) ['eventname' => '\core\event\a', 'serviceid' => $serviceid]);
            $DB->insert_record('local_integrationhub_log', (object) ['endpoint' => '/', 'serviceid' => $serviceid]);
            $DB->insert_record('local_integrationhub_dlq', (object) ['eventname' => '\core\event\a', 'serviceid' => $serviceid]);
            $DB->insert_record('local_integrationhub_stat', (object) ['serviceid' => $serviceid, 'width' => 60, 'timestart' => 60]);
            $DB->insert_record('local_integrationhub_backlog', (object) ['serviceid' => $serviceid]);
        }
        $this->assertTrue(registry::delete_service($id));
        foreach (['cb', 'rules', 'log', 'dlq', 'stat', 'backlog'] as $table) {
            $left = $DB->get_fieldset_select('local_integrationhub_' . $table, 'serviceid', '');
            $this->assertEquals([$other], $left, $table);
        }
        $this->assertSame(['erp'], array_column(registry::get_all_services(), 'name'));
        $this->assertFalse(registry::get_service('crm'));
        $this->expectException(\dml_exception::class);
        registry::get_service_by_id($id);
    }

    public function test_a_hint_that_cannot_be_sent_changes_nothing(): void {
        $this->broker->error = 'away';
        registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h']);
        $this->assertDebuggingCalled('Integration Hub: hint not sent: away');
        $this->assertNotFalse(registry::get_service('crm'));
    }

    public function test_no_hint_without_a_broker(): void {
        set_config('brokerurl', '', 'local_integrationhub');
        registry::create_service((object) ['name' => 'crm', 'base_url' => 'https://h']);
        $this->assertSame([], $this->broker->hints);
    }
}
