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

use core\check\check;
use core\check\result;

/**
 * A check of Moodle's status page (Site administration > Reports > System status).
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class base extends check {
    /**
     * A result with the summary that the string `check<id>_<key>` gives.
     *
     * @param string $status
     * @param string $key
     * @param mixed $a for the string
     * @param string[] $lines plain text, shown as a list in the details
     * @return result
     */
    protected function tell(string $status, string $key, $a = null, array $lines = []): result {
        $id = $this->get_id();
        $summary = get_string("check{$id}_$key", 'local_integrationhub', $a);
        $details = get_string("check{$id}_help", 'local_integrationhub');
        if ($lines) {
            $details .= \html_writer::alist(array_map('s', array_values($lines)));
        }
        return new result($status, $summary, $details);
    }

    /**
     * A result for a list of things that should be none.
     *
     * @param string[] $found
     * @param string $status when there is one
     * @return result
     */
    protected function tell_list(array $found, string $status = result::WARNING): result {
        return $found ? $this->tell($status, 'found', count($found), $found) : $this->tell(result::OK, 'ok');
    }
}
