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

namespace local_integrationhub\event;

use local_integrationhub\local\publisher;

/**
 * Takes every event of the site.
 *
 * Whatever goes wrong here, the user's page must not notice: core catches only \Exception from an observer, so everything
 * is caught here and reported to developers.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class observer {
    /**
     * Internal observer: runs when the event is triggered, inside the user's transaction if there is one.
     *
     * @param \core\event\base $event
     */
    public static function store_event(\core\event\base $event): void {
        try {
            publisher::instance()->store($event);
        } catch (\Throwable $e) {
            self::report($e);
        }
    }

    /**
     * External observer: runs after the commit.
     *
     * @param \core\event\base $event
     */
    public static function handle_event(\core\event\base $event): void {
        try {
            publisher::instance()->collect($event);
        } catch (\Throwable $e) {
            self::report($e);
        }
    }

    /**
     * Tells developers; users see nothing.
     *
     * @param \Throwable $e
     */
    private static function report(\Throwable $e): void {
        debugging('Integration Hub: ' . get_class($e) . ': ' . $e->getMessage(), DEBUG_DEVELOPER, $e->getTrace());
    }
}
