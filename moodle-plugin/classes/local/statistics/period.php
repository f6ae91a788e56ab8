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
 * A period that ends now, cut into equal parts.
 *
 * The parts begin at multiples of their length. None is shorter than the rows that the workers keep of that time: minutes
 * for two days, hours for 14, then days.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class period {
    /** Periods: key => seconds, seconds of a part. */
    public const ALL = [
        '1h' => [3600, 60],
        '6h' => [21600, 300],
        '24h' => [86400, 900],
        '7d' => [604800, 7200],
        '30d' => [2592000, 86400],
        '90d' => [7776000, 86400],
    ];

    /** The one that is shown first. */
    public const FIRST = '24h';

    /** @var string key of ALL */
    public $key;

    /** @var int seconds of a part */
    public $step;

    /** @var int when the first part begins */
    public $start;

    /** @var int when the last part ends */
    public $end;

    /**
     * Constructor.
     *
     * @param string $key of ALL; anything else is the first one
     * @param int|null $now
     */
    public function __construct(string $key = self::FIRST, ?int $now = null) {
        $this->key = isset(self::ALL[$key]) ? $key : self::FIRST;
        [$seconds, $this->step] = self::ALL[$this->key];
        $now = $now ?? time();
        $this->end = $now - $now % $this->step + $this->step;
        $this->start = $this->end - $seconds;
    }

    /**
     * When the parts begin.
     *
     * @return int[]
     */
    public function parts(): array {
        return range($this->start, $this->end - $this->step, $this->step);
    }

    /**
     * What a part is called. Days are those of UTC, as the workers count them.
     *
     * @param int $time when it begins
     * @return string
     */
    public function label(int $time): string {
        if ($this->step === 86400) {
            return userdate($time, get_string('strftimedateshortmonthabbr', 'langconfig'), 'UTC');
        }
        $format = $this->key === '7d' ? 'strftimedatetimeshort' : 'strftimetime24';
        return userdate($time, get_string($format, 'langconfig'));
    }

    /**
     * The periods to choose from.
     *
     * @return string[] names by key
     */
    public static function names(): array {
        $names = [];
        foreach (array_keys(self::ALL) as $key) {
            $names[$key] = get_string("period_$key", 'local_integrationhub');
        }
        return $names;
    }
}
