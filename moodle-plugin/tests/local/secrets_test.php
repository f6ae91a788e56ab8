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
 * Secrets are sealed once, everywhere they may stand, and nothing else is.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\secrets
 */
final class secrets_test extends \advanced_testcase {
    public function test_sealed(): void {
        $values = ['name' => 'crm', 'auth_token' => 'T', 'signing_secret' => '', 'client_cert' => null, 'timeout' => 5];
        $sealed = secrets::sealed($values, 'rest');
        $this->assertStringStartsWith('sodium:', $sealed['auth_token']);
        $this->assertSame('T', secrets::open($sealed['auth_token']));
        $this->assertSame(['auth_token' => 0] + $values, ['auth_token' => 0] + $sealed, 'the rest stays');
        $this->assertSame($sealed, secrets::sealed($sealed, 'rest'), 'once is enough');
    }

    public function test_the_password_in_an_address_of_amqp(): void {
        $url = 'amqp://u:p%2Fw@h:5672/?exchange=e';
        $sealed = secrets::sealed(['base_url' => $url], 'amqp')['base_url'];
        $this->assertStringNotContainsString('p%2Fw', $sealed);
        $parts = amqp_service_url::parts($sealed);
        $this->assertSame('p/w', secrets::open($parts['pass']));
        $this->assertSame(['u', 'h', 'e'], [$parts['user'], $parts['host'], $parts['exchange']]);
        $this->assertSame($sealed, secrets::sealed(['base_url' => $sealed], 'amqp')['base_url']);
        $this->assertSame($url, secrets::sealed(['base_url' => $url], 'rest')['base_url'], 'only of AMQP');
        $this->assertSame('amqp://h', secrets::sealed(['base_url' => 'amqp://h'], 'amqp')['base_url'], 'nothing to seal');
    }

    public function test_masked(): void {
        $this->assertSame('amqp://u:***@h/', secrets::masked('amqp://u:p@h/'));
        $this->assertSame('https://h/a', secrets::masked('https://h/a'));
        $this->assertSame('***', secrets::masked(\core\encryption::encrypt('amqp://u:p@h/')));
    }
}
