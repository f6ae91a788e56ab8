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

use local_integrationhub\local\statistics\counts;
use local_integrationhub\local\statistics\period;

/**
 * The charts of the dashboard, by core's chart API, each with the same numbers as a table.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class charts {
    /** Colours that are told apart by eyes of all kinds, and from white. */
    private const COLOURS = ['#0f6cbf', '#b35900', '#8b1a3a'];

    /** Shares of the latencies, by their names. */
    public const SHARES = ['p50' => 0.5, 'p95' => 0.95, 'p99' => 0.99];

    /** @var period */
    private $period;

    /** @var counts[] by part of the period */
    private $parts;

    /**
     * Constructor.
     *
     * @param period $period
     * @param counts[] $parts
     */
    public function __construct(period $period, array $parts) {
        $this->period = $period;
        $this->parts = $parts;
    }

    /**
     * All of them.
     *
     * @return array of the template chart
     */
    public function export(): array {
        $sum = function (string $name): array {
            return array_values(array_column($this->parts, $name));
        };
        $deliveries = ['chart_delivered' => $sum('delivered'), 'chart_retried' => $sum('retried'), 'chart_dead' => $sum('dead')];
        $latencies = [];
        foreach (self::SHARES as $name => $share) {
            $latencies["chart_$name"] = array_map(function (counts $counts) use ($share): ?float {
                return self::rounded($counts->percentile($share));
            }, array_values($this->parts));
        }
        $bars = new \core\chart_bar();
        $bars->set_stacked(true);
        return [
            $this->chart('deliveries', $bars, $deliveries),
            $this->chart('latency', new \core\chart_line(), $latencies),
            $this->chart('backlog', new \core\chart_line(), ['chart_waiting' => $sum('backlog')]),
        ];
    }

    /**
     * A number of milliseconds as it is shown.
     *
     * @param float|null $milliseconds
     * @return float|null
     */
    public static function rounded(?float $milliseconds): ?float {
        return $milliseconds === null ? null : round($milliseconds, $milliseconds < 10 ? 1 : 0);
    }

    /**
     * One chart.
     *
     * @param string $name
     * @param \core\chart_base $chart
     * @param array $series key of the name => values
     * @return array
     */
    private function chart(string $name, \core\chart_base $chart, array $series): array {
        $labels = array_map([$this->period, 'label'], array_keys($this->parts));
        $headers = [];
        foreach ($series as $key => $values) {
            $line = new \core\chart_series(get_string($key, 'local_integrationhub'), $values);
            $line->set_color(self::COLOURS[count($headers)]);
            $chart->add_series($line);
            $headers[] = get_string($key, 'local_integrationhub');
        }
        $chart->set_labels($labels);
        $chart->get_yaxis(0, true)->set_min(0);
        $rows = [];
        foreach ($labels as $i => $label) {
            $cells = array_map(function (array $values) use ($i): string {
                return (string) ($values[$i] ?? '–');
            }, array_values($series));
            $rows[] = ['label' => $label, 'cells' => $cells];
        }
        return [
            'name' => $name,
            'title' => get_string("chart_$name", 'local_integrationhub'),
            'data' => json_encode($chart),
            'isempty' => !array_filter(array_merge(...array_values($series))),
            'headers' => $headers,
            // The latest first: that is what one looks for.
            'rows' => array_reverse($rows),
        ];
    }
}
