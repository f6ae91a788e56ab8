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

namespace local_integrationhub\check;

use core\check\result;
use local_integrationhub\local\health;

/**
 * Whether worker processes are alive and get on.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class workers extends base {
    /**
     * The result.
     *
     * @return result
     */
    public function get_result(): result {
        $workers = health::workers();
        if (!$workers) {
            return health::is_used() ? $this->tell(result::ERROR, 'none') : $this->tell(result::NA, 'unused');
        }
        $stuck = array_filter($workers, function (\stdClass $worker): bool {
            return $worker->stuck;
        });
        if ($stuck) {
            return $this->tell(result::ERROR, 'stuck', count($stuck), array_map([self::class, 'line'], $stuck));
        }
        return $this->tell(result::OK, 'ok', count($workers), array_map([self::class, 'line'], $workers));
    }

    /**
     * A process in one line.
     *
     * @param \stdClass $worker
     * @return string
     */
    private static function line(\stdClass $worker): string {
        $progress = userdate($worker->timeprogress, get_string('strftimedatetimeaccurate', 'core_langconfig'));
        return get_string('checkworkers_line', 'local_integrationhub', [
            'process' => "$worker->host: $worker->pid",
            'version' => $worker->version,
            'inflight' => $worker->inflight,
            'progress' => $progress,
        ]);
    }
}
