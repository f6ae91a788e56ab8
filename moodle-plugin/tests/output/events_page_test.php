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

namespace local_integrationhub\output;

use local_integrationhub\table\log_filter;

/**
 * The log of requests.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\output\events_page
 * @covers     \local_integrationhub\table\log_filter
 * @covers     \local_integrationhub\table\log_table
 */
final class events_page_test extends \advanced_testcase {
    public function test_d17_the_log_is_searched_and_shows_what_came_in(): void {
        global $DB, $PAGE;
        $this->resetAfterTest();
        $this->setAdminUser();
        $PAGE->set_url('/local/integrationhub/events.php');
        $output = $PAGE->get_renderer('local_integrationhub');
        $this->assertStringContainsString('No events have been sent yet.', $output->render(new events_page(new log_filter())));
        $service = $this->getDataGenerator()->get_plugin_generator('local_integrationhub')->create_service(['name' => 'crm']);
        $rows = [
            'one' => ['success' => 1, 'outcome' => 'delivered', 'http_status' => 200, 'eventname' => '\core\event\user_created'],
            'two' => ['success' => 0, 'outcome' => 'retry', 'http_status' => 503, 'error_message' => '<b>HTTP 503</b>',
            'ruleid' => 4],
            'three' => ['success' => 0, 'outcome' => 'dead', 'serviceid' => 99],
            'webhook' => ['success' => 1, 'direction' => 'inbound', 'http_method' => 'INBOUND'],
        ];
        foreach ($rows as $name => $row) {
            $DB->insert_record('local_integrationhub_log', (object) ($row + ['serviceid' => $service->id, 'endpoint' => "/$name",
                'messageid' => $name === 'webhook' ? null : "m-$name", 'timecreated' => time()]));
        }
        $expected = [
            [[], ['one', 'two', 'three', 'webhook']], [['outcome' => 'delivered'], ['one', 'webhook']],
            [['outcome' => 'failed'], ['two', 'three']], [['outcome' => 'retry'], ['two']], [['outcome' => 'dead'], ['three']],
            [['direction' => 'inbound'], ['webhook']], [['serviceid' => 99], ['three']], [['ruleid' => 4], ['two']],
            [['search' => 'event\user_'], ['one']], [['search' => 'http 503'], ['two']], [['search' => 'm-thr'], ['three']],
            [['search' => '/%'], []], [['outcome' => 'nonsense', 'direction' => 'up'], ['one', 'two', 'three', 'webhook']],
        ];
        foreach ($expected as [$values, $names]) {
            $html = (new events_page(new log_filter($values)))->export_for_template($output)['table'];
            foreach (array_keys($rows) as $name) {
                $this->assertSame(in_array($name, $names, true), strpos($html, "/$name<") !== false, json_encode($values) . $name);
            }
        }
        $html = $output->render(new events_page(new log_filter()));
        $this->assertStringContainsString('trace.php?messageid=m-one', $html);
        $this->assertStringContainsString('&lt;b&gt;HTTP 503', $html);
        $this->assertStringContainsString('Service 99 is gone', $html);
        $this->assertStringContainsString('Inbound', $html);
    }
}
