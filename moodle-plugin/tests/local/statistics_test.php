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

use local_integrationhub\local\statistics\counts;
use local_integrationhub\local\statistics\period;
use local_integrationhub\local\statistics\reader;
use local_integrationhub\output\dashboard_page;

/**
 * What the dashboard makes of the workers' statistics.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 * @covers     \local_integrationhub\local\statistics\counts
 * @covers     \local_integrationhub\local\statistics\period
 * @covers     \local_integrationhub\local\statistics\reader
 * @covers     \local_integrationhub\output\charts
 * @covers     \local_integrationhub\output\dashboard_page
 * @covers     \local_integrationhub\external\dashboard
 */
final class statistics_test extends \advanced_testcase {
    /** A moment: 2026-11-25 10:07:30 UTC. */
    private const NOW = 1795601250;

    protected function setUp(): void {
        parent::setUp();
        $this->resetAfterTest();
        $this->setAdminUser();
    }

    /**
     * Writes a row as a worker does.
     *
     * @param int $time
     * @param array $values
     */
    private function stat(int $time, array $values): void {
        global $DB;
        $width = $values['width'] ?? 60;
        $row = $values + ['serviceid' => 1, 'ruleid' => 1, 'width' => $width, 'timestart' => $time - $time % $width];
        $DB->insert_record('local_integrationhub_stat', (object) $row);
    }

    public function test_periods_end_now_and_are_cut_into_equal_parts(): void {
        foreach (period::ALL as $key => [$seconds, $step]) {
            $period = new period($key, self::NOW);
            $parts = $period->parts();
            $this->assertCount($seconds / $step, $parts, $key);
            $this->assertLessThanOrEqual(self::NOW, end($parts));
            $this->assertGreaterThan(self::NOW, end($parts) + $step);
            $this->assertSame(0, $parts[0] % $step);
            $this->assertNotSame($period->label($parts[0]), $period->label($parts[1]), $key);
        }
        $this->assertSame('24h', (new period('nonsense'))->key);
        $this->assertSame(array_keys(period::ALL), array_keys(period::names()));
    }

    public function test_parts_and_services_are_summed_up(): void {
        $this->stat(self::NOW, ['delivered' => 3, 'h4' => 3, 'latencysum' => 15000, 'latencymax' => 6000]);
        $this->stat(self::NOW, ['ruleid' => 2, 'retried' => 2, 'dead' => 1, 'h6' => 3]);
        $this->stat(self::NOW, ['ruleid' => 0, 'backlog' => 7]);
        $this->stat(self::NOW - 60, ['ruleid' => 0, 'backlog' => 9]);
        $this->stat(self::NOW, ['serviceid' => 2, 'ruleid' => 0, 'backlog' => 4]);
        $this->stat(self::NOW - 7200, ['serviceid' => 2, 'delivered' => 5, 'h0' => 5]);
        $this->stat(self::NOW - 3 * 86400, ['width' => 3600, 'delivered' => 11, 'h1' => 11]);
        $this->stat(self::NOW - 20 * 86400, ['width' => 86400, 'delivered' => 100, 'h1' => 100]);
        $this->stat(self::NOW - 100 * 86400, ['width' => 86400, 'delivered' => 1000, 'h1' => 1000]);

        [$parts, $services] = reader::of(new period('24h', self::NOW));
        $last = end($parts);
        $this->assertSame([3, 2, 1, 13], [$last->delivered, $last->retried, $last->dead, $last->backlog]);
        $this->assertSame([1 => 3, 2 => 5], array_map(function (counts $counts): int {
            return $counts->delivered;
        }, $services));
        $this->assertSame(3, $services[1]->failures());
        [$parts] = reader::of(new period('24h', self::NOW), 2);
        $this->assertSame([0, 4], [end($parts)->delivered, end($parts)->backlog]);
        foreach (['1h' => 3, '6h' => 8, '24h' => 8, '7d' => 19, '30d' => 119, '90d' => 119] as $key => $expected) {
            [$parts, $services] = reader::of(new period($key, self::NOW));
            $this->assertSame($expected, array_sum(array_column($parts, 'delivered')), $key);
            $this->assertSame($expected, array_sum(array_column($services, 'delivered')), $key);
        }
        $this->assertSame([1 => 6, 2 => 0], array_map(function (counts $counts): int {
            return $counts->requests();
        }, reader::since(self::NOW - 3600)));
    }

    public function test_d23_a_look_takes_one_query_however_many_services_there_are(): void {
        global $DB;
        for ($i = 1; $i <= 30; $i++) {
            $this->stat(self::NOW, ['serviceid' => $i, 'delivered' => 1]);
        }
        $before = $DB->perf_get_reads();
        [, $services] = reader::of(new period('24h', self::NOW));
        $this->assertSame(1, $DB->perf_get_reads() - $before);
        $this->assertCount(30, $services);
    }

    /**
     * Latencies: histogram, slowest, share, what is told.
     *
     * @return array
     */
    public static function latencies(): array {
        return [
            'none' => [[], 0, 0.5, null],
            'one, of at most 0.5 ms' => [[0 => 1], 300, 0.5, 0.25],
            'never more than the slowest' => [[0 => 1], 300, 0.99, 0.3],
            'the middle of a cell' => [[3 => 10], 4000, 0.5, 3.0],
            'two cells' => [[1 => 90, 10 => 10], 500000, 0.5, 0.5 + 0.5 * 50 / 90],
            'the upper one' => [[1 => 90, 10 => 10], 500000, 0.95, 256 + 256 * 0.5],
            'the last one ends with the slowest' => [[18 => 2], 100000000, 1.0, 100000.0],
        ];
    }

    /**
     * A percentile is found in the histogram.
     *
     * @param array $cells
     * @param int $max microseconds
     * @param float $share
     * @param float|null $expected milliseconds
     * @dataProvider latencies
     */
    public function test_percentiles(array $cells, int $max, float $share, ?float $expected): void {
        $counts = new counts();
        $counts->cells = $cells + $counts->cells;
        ksort($counts->cells);
        $counts->latencymax = $max;
        if ($expected === null) {
            $this->assertNull($counts->percentile($share));
            $this->assertNull($counts->average());
        } else {
            $this->assertEqualsWithDelta($expected, $counts->percentile($share), 0.001);
        }
    }

    public function test_charts_with_tables_and_live_regions(): void {
        global $PAGE;
        $PAGE->set_url('/local/integrationhub/index.php');
        $generator = $this->getDataGenerator()->get_plugin_generator('local_integrationhub');
        $service = $generator->create_service(['name' => 'c<b>rm']);
        $now = time();
        $this->stat($now, ['serviceid' => $service->id, 'delivered' => 4, 'retried' => 2, 'h4' => 6, 'latencymax' => 8000]);
        $output = $PAGE->get_renderer('local_integrationhub');
        $data = (new dashboard_page(new status(), true, new period('1h', $now), (int) $service->id))->export_for_template($output);
        $charts = array_column($data['charts'], null, 'name');
        $this->assertSame(['deliveries', 'latency', 'backlog'], array_keys($charts));
        $this->assertSame([false, false, true], array_values(array_column($charts, 'isempty')));
        $chart = json_decode($charts['deliveries']['data']);
        $this->assertSame('bar', $chart->type);
        $this->assertSame([60, 4, 2], [count($chart->labels), end($chart->series[0]->values), end($chart->series[1]->values)]);
        $this->assertSame(['4', '2', '0'], $charts['deliveries']['rows'][0]['cells'], 'the latest first');
        $this->assertSame('–', $charts['latency']['rows'][5]['cells'][0]);
        $this->assertSame([4, 2], [$data['services'][0]['delivered'], $data['services'][0]['failures']]);

        $state = \local_integrationhub\external\dashboard::execute('1h', (int) $service->id);
        $names = ['summary', 'services', 'table-deliveries', 'table-latency', 'table-backlog'];
        $this->assertSame($names, array_column($state['regions'], 'name'));
        $html = array_column($state['regions'], 'html', 'name');
        $this->assertStringContainsString('c&lt;b&gt;rm', $html['services']);
        $this->assertStringNotContainsString('<b>', $html['services']);
        $this->assertSame('bar', json_decode($state['charts'][0]['data'])->type);
        $returns = \local_integrationhub\external\dashboard::execute_returns();
        $this->assertNotEmpty(\core_external\external_api::clean_returnvalue($returns, $state));

        $this->setUser($this->getDataGenerator()->create_user());
        $this->expectException(\required_capability_exception::class);
        \local_integrationhub\external\dashboard::execute();
    }
}
