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
 * What follows when services or rules change.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class change {
    /**
     * Called by the registries after each change.
     */
    public static function announce(): void {
        wanted_events::invalidate();
        try {
            publisher::instance()->hint_configuration();
        } catch (\Throwable $e) {
            // The fleet looks for changes by itself: a hint that cannot be sent costs two seconds.
            debugging('Integration Hub: hint not sent: ' . $e->getMessage(), DEBUG_DEVELOPER);
        }
    }

    /**
     * A breaker has changed its state: the fleet looks at the table.
     *
     * @param int $serviceid
     */
    public static function announce_breaker(int $serviceid): void {
        try {
            publisher::instance()->hint('breaker', $serviceid);
        } catch (\Throwable $e) {
            debugging('Integration Hub: hint not sent: ' . $e->getMessage(), DEBUG_DEVELOPER);
        }
    }

    /**
     * The fields that have a new value.
     *
     * @param array $values new ones
     * @param \stdClass $old record
     * @return string[]
     */
    public static function fields(array $values, \stdClass $old): array {
        $changed = [];
        foreach ($values as $name => $value) {
            if ((string) $value !== (string) ($old->$name ?? '')) {
                $changed[] = $name;
            }
        }
        return $changed;
    }
}
