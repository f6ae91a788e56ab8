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

namespace local_integrationhub\local\statistics;

/**
 * What became of deliveries in some time.
 *
 * The histogram counts the requests that came to an end: cell i those of at most 0.5 ms * 2^i and more than the cell before,
 * the last one all that took longer.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class counts {
    /** Cells of the histogram. */
    public const CELLS = 19;

    /** Microseconds that the first cell takes. */
    private const FIRST = 500;

    /** Numbers that are added up. */
    public const SUMS = ['delivered', 'retried', 'dead', 'skipped', 'held', 'latencysum'];

    /** @var int requests that succeeded */
    public $delivered = 0;

    /** @var int retries after a request that failed */
    public $retried = 0;

    /** @var int dead letters */
    public $dead = 0;

    /** @var int messages that no rule wanted */
    public $skipped = 0;

    /** @var int times that a message was put off without a request */
    public $held = 0;

    /** @var int microseconds of all requests */
    public $latencysum = 0;

    /** @var int microseconds of the slowest request */
    public $latencymax = 0;

    /** @var int most messages that were seen waiting at the broker */
    public $backlog = 0;

    /** @var int[] the histogram */
    public $cells;

    /**
     * Nothing yet.
     */
    public function __construct() {
        $this->cells = array_fill(0, self::CELLS, 0);
    }

    /**
     * Adds a row of the table, or of several summed up; of services that wait side by side the backlogs are added, too.
     *
     * @param \stdClass $row
     */
    public function add(\stdClass $row): void {
        foreach (self::SUMS as $name) {
            $this->$name += (int) $row->$name;
        }
        $this->latencymax = max($this->latencymax, (int) $row->latencymax);
        $this->backlog += (int) $row->backlog;
        for ($i = 0; $i < self::CELLS; $i++) {
            $this->cells[$i] += (int) $row->{"h$i"};
        }
    }

    /**
     * How many requests came to an end.
     *
     * @return int
     */
    public function requests(): int {
        return array_sum($this->cells);
    }

    /**
     * How many attempts failed: another one followed, or none.
     *
     * @return int
     */
    public function failures(): int {
        return $this->retried + $this->dead;
    }

    /**
     * Average latency.
     *
     * @return float|null milliseconds; null: no request
     */
    public function average(): ?float {
        $requests = $this->requests();
        return $requests ? $this->latencysum / $requests / 1000 : null;
    }

    /**
     * The latency that so much of the requests kept below. Inside of a cell they are taken to be spread evenly.
     *
     * @param float $share 0.95 for p95
     * @return float|null milliseconds; null: no request
     */
    public function percentile(float $share): ?float {
        $requests = $this->requests();
        if (!$requests) {
            return null;
        }
        $rank = $share * $requests;
        $before = 0;
        foreach ($this->cells as $i => $number) {
            if ($number && $before + $number >= $rank) {
                break;
            }
            $before += $number;
        }
        $from = $i ? self::FIRST * 2 ** ($i - 1) : 0;
        $to = $i < self::CELLS - 1 ? self::FIRST * 2 ** $i : max($from, $this->latencymax);
        $value = $from + ($to - $from) * ($rank - $before) / $number;
        return ($this->latencymax ? min($value, $this->latencymax) : $value) / 1000;
    }
}
