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

use local_integrationhub\local\amqp_service_url;
use local_integrationhub\local\secrets;
use local_integrationhub\rule\registry as rules;

/**
 * Copies, exports and imports of services.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\service\transfer
 */
final class transfer_test extends \advanced_testcase {
    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
    }

    /**
     * Makes a service of each kind, with secrets, and a rule.
     *
     * @return int[] ids
     */
    private function make(): array {
        $key = 'whsec_' . base64_encode(str_repeat('k', 24));
        $rest = registry::create_service((object) secrets::sealed(['name' => 'crm', 'base_url' => 'https://h/a', 'timeout' => 9,
            'auth_token' => 'TOKEN-X', 'signing_secret' => $key, 'headers' => '{"X-A": "b"}', 'rate_limit' => 7], 'rest'));
        $amqp = registry::create_service((object) secrets::sealed(['name' => 'bus', 'type' => 'amqp',
            'base_url' => 'amqp://u:PASS-X@h:5672/v?exchange=e'], 'amqp'));
        rules::create_rule((object) ['eventname' => '\core\event\user_created', 'serviceid' => $rest, 'endpoint' => '/u',
            'payload_template' => '{"a": {{userid}}}', 'filter' => '{"courseid": 2}', 'enabled' => 0]);
        return [$rest, $amqp];
    }

    public function test_an_export_holds_no_secret(): void {
        $this->make();
        $json = transfer::export();
        foreach (['TOKEN-X', 'PASS-X', 'sodium', 'whsec_', 'auth_token', 'signing_secret', 'client_cert'] as $text) {
            $this->assertStringNotContainsString($text, $json);
        }
        $data = json_decode($json, true);
        $this->assertSame(['bus', 'crm'], array_column($data['services'], 'name'));
        $this->assertSame('amqp://u@h:5672/v?exchange=e', $data['services'][0]['base_url']);
        $this->assertSame('/u', $data['services'][1]['rules'][0]['endpoint']);
    }

    public function test_one_service(): void {
        [$rest] = $this->make();
        $this->assertSame(['crm'], array_column(json_decode(transfer::export([$rest]), true)['services'], 'name'));
    }

    public function test_what_is_imported_is_what_was_exported(): void {
        $ids = $this->make();
        $json = transfer::export();
        $old = registry::get_service('crm');
        array_map([registry::class, 'delete_service'], $ids);
        $this->assertSame(['bus', 'crm'], transfer::import($json));
        $new = registry::get_service('crm');
        $this->assertEquals(0, $new->enabled, 'without its secret');
        $this->assertNull($new->auth_token);
        foreach (['base_url', 'timeout', 'headers', 'rate_limit', 'auth_type'] as $field) {
            $this->assertEquals($old->$field, $new->$field, $field);
        }
        [$rule] = array_values(rules::get_all_rules());
        $this->assertEquals([$new->id, '/u', 0], [$rule->serviceid, $rule->endpoint, $rule->enabled]);
        $this->assertSame(['{"courseid": 2}', '{"a": {{userid}}}'], [$rule->filter, $rule->payload_template]);
        $this->assertSame($json, transfer::export());
    }

    public function test_an_import_opens_no_webhook(): void {
        [$rest] = $this->make();
        registry::update_service($rest, (object) ['inbound_open' => 1]);
        $data = json_decode(transfer::export([$rest]), true);
        $this->assertArrayNotHasKey('inbound_open', $data['services'][0]);
        $data['services'][0]['inbound_open'] = 1;
        [$name] = transfer::import(json_encode($data));
        $this->assertEquals([0, 0], [registry::get_service($name)->inbound_open, registry::get_service($name)->enabled]);
    }

    public function test_names_that_are_taken_get_a_number(): void {
        $this->make();
        $this->assertSame(['bus-2', 'crm-2'], transfer::import(transfer::export()));
        $this->assertSame('crm-3', transfer::free_name('crm'));
        $this->assertSame('new', transfer::free_name('new'));
    }

    /**
     * What cannot be imported.
     *
     * @return array
     */
    public static function bad(): array {
        $with = function (array $service): string {
            $good = ['name' => 'good', 'base_url' => 'https://h', 'rules' => []];
            return json_encode(['format' => 'local_integrationhub/services', 'version' => 1, 'services' => [$good, $service]]);
        };
        return [
            'no JSON' => ['nonsense', 'error_import'],
            'something else' => ['{"format": "x", "services": []}', 'error_import'],
            'a newer one' => ['{"format": "local_integrationhub/services", "version": 2, "services": []}', 'error_import_version'],
            'a bad address' => [$with(['name' => 'a', 'base_url' => 'ftp://h']), 'error_import_service'],
            'no name' => [$with(['base_url' => 'https://h']), 'error_import_service'],
            'a bad rule' => [
                $with(['name' => 'a', 'base_url' => 'https://h', 'rules' => [['eventname' => 'x']]]),
                'error_import_service',
            ],
            'no object' => [str_replace('[]', '5', $with(['name' => 'a', 'base_url' => 'x'])), 'error_import_service'],
        ];
    }

    /**
     * All or nothing.
     *
     * @dataProvider bad
     * @param string $json
     * @param string $code
     */
    public function test_a_bad_import_changes_nothing(string $json, string $code): void {
        try {
            transfer::import($json);
            $this->fail('imported');
        } catch (\moodle_exception $e) {
            $this->assertSame($code, $e->errorcode);
        }
        $this->assertSame([], registry::get_all_services());
    }

    public function test_a_copy_has_the_secrets_and_not_the_rules(): void {
        [$rest, $amqp] = $this->make();
        $copy = registry::get_service_by_id(transfer::duplicate($rest));
        $this->assertSame('crm-2', $copy->name);
        $this->assertSame('TOKEN-X', secrets::open($copy->auth_token));
        $this->assertCount(1, rules::get_all_rules());
        $bus = registry::get_service_by_id(transfer::duplicate($amqp));
        $this->assertSame('PASS-X', secrets::open(amqp_service_url::parts($bus->base_url)['pass']));
    }
}
