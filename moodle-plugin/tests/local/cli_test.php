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
 * What the command-line scripts share; the scripts themselves are run by tests/plugin.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\cli
 */
final class cli_test extends \advanced_testcase {
    /** @var array|null the command line of PHPUnit */
    private $argv;

    protected function setUp(): void {
        global $CFG;
        parent::setUp();
        require_once($CFG->libdir . '/clilib.php');
        $this->argv = $_SERVER['argv'] ?? null;
    }

    protected function tearDown(): void {
        $_SERVER['argv'] = $this->argv;
        parent::tearDown();
    }

    public function test_exactly_one_action(): void {
        $this->assertSame(['add', 'x'], cli::action(['list' => null, 'add' => 'x', 'url' => 'y'], ['list', 'add']));
        foreach ([['list' => null, 'add' => null], ['list' => true, 'add' => 'x']] as $options) {
            try {
                cli::action($options, ['list', 'add']);
                $this->fail('accepted');
            } catch (\moodle_exception $e) {
                $this->assertSame('cli_one_action', $e->errorcode);
            }
        }
    }

    public function test_an_action_without_its_argument(): void {
        $_SERVER['argv'] = ['x', '--delete=1'];
        $this->assertSame('1', cli::argument('delete', '1'));
        $_SERVER['argv'] = ['x', '--delete'];
        $this->expectException(\moodle_exception::class);
        cli::argument('delete', '1');
    }

    public function test_only_given_fields_are_in_the_record(): void {
        $fields = ['url' => 'base_url', 'type' => 'type', 'auth' => 'auth_type'];
        $record = cli::record(['url' => 'u', 'type' => null, 'auth' => true], $fields);
        $this->assertEquals((object) ['base_url' => 'u', 'auth_type' => ''], $record);
    }

    public function test_a_file_that_is_not_there(): void {
        $this->expectException(\moodle_exception::class);
        cli::file_content('/nowhere/file');
    }

    /**
     * URLs with passwords, as d18 found them in a page.
     *
     * @return array
     */
    public static function urls(): array {
        return [
            ['amqp://u:SECRET@h/v', 'amqp://u:***@h/v'], ['amqp://u:SEC%2FRET@h', 'amqp://u:***@h'],
            ['https://u:SEC@RET@h/x', 'https://u:***@h/x'], ['https://h:80/a:b@c', 'https://h:80/a:b@c'],
            ['amqp://:SECRET@h', 'amqp://:***@h'],
        ];
    }

    /**
     * Tables show no password.
     *
     * @dataProvider urls
     * @param string $url
     * @param string $shown
     */
    public function test_d18_passwords_in_urls_are_masked(string $url, string $shown): void {
        $this->assertSame($shown, cli::masked($url));
    }
}
