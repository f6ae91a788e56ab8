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
 * The configuration of the worker fleet.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\worker_config
 */
final class worker_config_test extends \advanced_testcase {
    protected function setUp(): void {
        global $CFG;
        parent::setUp();
        $this->resetAfterTest();
        set_config('brokerurl', 'amqp://u:p%23@h/v', 'local_integrationhub');
        $CFG->dbtype = 'mariadb';
        $CFG->dbhost = 'db.example';
        $CFG->dbname = 'moodle';
        $CFG->prefix = 'm_';
        $CFG->dboptions = ['dbport' => 3307];
    }

    public function test_the_whole_file(): void {
        $expected = "[broker]\nurl = amqp://u:p%23@h/v\nnamespace = mih\nevents_exchange = moodle.events\n\n"
            . "[database]\nhost = db.example\nport = 3307\nuser = mih\npassword = s#c;r=t\nname = moodle\nprefix = m_\n";
        $this->assertSame($expected, worker_config::text('mih', 's#c;r=t'));
    }

    public function test_a_socket(): void {
        global $CFG;
        $CFG->dboptions = ['dbsocket' => '/run/s', 'dbport' => ''];
        $this->assertStringContainsString("[database]\nsocket = /run/s\nuser", worker_config::text('mih', 'x'));
        $CFG->dboptions = [];
        $this->assertStringContainsString("host = db.example\nport = 3306\n", worker_config::text('mih', 'x'));
    }

    /**
     * Passwords that the file cannot hold.
     *
     * @return array
     */
    public static function passwords(): array {
        return [["a\nb"], ["a\rb"], ["a\0b"], [' a'], ['a ']];
    }

    /**
     * Refused, named, and not shown.
     *
     * @dataProvider passwords
     * @param string $password
     */
    public function test_what_cannot_stand_in_the_file_is_refused(string $password): void {
        try {
            worker_config::text('mih', $password);
            $this->fail('accepted');
        } catch (\moodle_exception $e) {
            $this->assertSame('error_config_value', $e->errorcode);
            $this->assertStringContainsString('database.password', $e->getMessage());
        }
    }

    public function test_needs_a_broker_and_a_database_of_the_kind(): void {
        global $CFG;
        foreach (['pgsql' => 'error_dbtype', 'mysqli' => 'error_nobroker'] as $type => $code) {
            $CFG->dbtype = $type;
            set_config('brokerurl', '', 'local_integrationhub');
            try {
                worker_config::text('mih', 'x');
                $this->fail('accepted');
            } catch (\moodle_exception $e) {
                $this->assertSame($code, $e->errorcode);
            }
        }
    }
}
