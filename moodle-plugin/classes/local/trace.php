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
 * All that is known of one message: its attempts, its dead letters, and whether it still waits in the outbox.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class trace {
    /** Most attempts that are told. */
    private const MAXATTEMPTS = 200;

    /** @var string */
    public $messageid;

    /** @var \stdClass[] rows of the log, the oldest first */
    public $attempts;

    /** @var \stdClass[] rows of dead letters */
    public $letters;

    /** @var \stdClass|null row of the outbox */
    public $outbox;

    /**
     * Looks.
     *
     * @param string $messageid
     */
    public function __construct(string $messageid) {
        global $DB;
        $this->messageid = $messageid;
        $condition = ['messageid' => $messageid];
        $this->attempts = $DB->get_records('local_integrationhub_log', $condition, 'id', '*', 0, self::MAXATTEMPTS);
        $this->letters = $DB->get_records('local_integrationhub_dlq', $condition, 'id');
        $this->outbox = $DB->get_record('local_integrationhub_outbox', $condition) ?: null;
    }

    /**
     * Whether nothing is known of it.
     *
     * @return bool
     */
    public function is_empty(): bool {
        return !$this->attempts && !$this->letters && !$this->outbox;
    }

    /**
     * The event's name.
     *
     * @return string '' when it is not known
     */
    public function eventname(): string {
        foreach (array_merge([$this->outbox], $this->letters, $this->attempts) as $row) {
            if ((string) ($row->eventname ?? '') !== '') {
                return $row->eventname;
            }
        }
        return '';
    }
}
