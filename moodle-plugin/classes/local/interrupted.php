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

use core\event\manager;

/**
 * Events that Moodle has not dispatched because an observer died.
 *
 * Core catches exceptions of observers, but neither errors nor the end of the script (exit, redirect()). After one of these it
 * takes itself to be dispatching for as long as the process lives, and only collects: no observer is told of anything any
 * more, be it raised by later tasks of the same cron, later calls of the same AJAX request or while the request shuts down.
 * When nothing can be dispatching (a request shuts down, a task of ours is run) the state is mended here, so that the next
 * events reach their observers, and what was collected is handed to the publisher.
 *
 * Core no longer knows then what was rolled back. So an event that says that a row was made, changed or deleted is passed over
 * when the database says otherwise, unless another event tells that the row was deleted later.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class interrupted {
    /**
     * Mends core's state, if it must be; call it only when nothing can be dispatching.
     *
     * @return array[] event, whether internal observers have been told of it
     */
    public static function take(): array {
        global $DB;
        $flag = self::property('dispatching');
        $waiting = self::property('buffer');
        $committed = self::property('extbuffer');
        if ($flag === null || $waiting === null || $committed === null || $flag->getValue() !== true) {
            return [];
        }
        if ($DB->is_transaction_started()) {
            // It will be rolled back by who ends the script.
            return [];
        }
        $events = [];
        foreach ($committed->getValue() as $event) {
            $events[] = [$event, true];
        }
        $deleted = self::deleted(array_merge($committed->getValue(), $waiting->getValue()));
        foreach ($waiting->getValue() as $event) {
            if (!self::is_undone($event, $deleted)) {
                $events[] = [$event, false];
            }
        }
        $waiting->setValue(null, []);
        $committed->setValue(null, []);
        $flag->setValue(null, false);
        return $events;
    }

    /**
     * A static property of core's event manager.
     *
     * @param string $name
     * @return \ReflectionProperty|null null: this Moodle has none of this name
     */
    private static function property(string $name): ?\ReflectionProperty {
        if (!property_exists(manager::class, $name)) {
            return null;
        }
        $property = new \ReflectionProperty(manager::class, $name);
        $property->setAccessible(true);
        return $property;
    }

    /**
     * The rows that events say were deleted.
     *
     * @param \core\event\base[] $events
     * @return bool[] by table and id
     */
    private static function deleted(array $events): array {
        $deleted = [];
        foreach ($events as $event) {
            if ($event->crud === 'd') {
                $deleted["$event->objecttable $event->objectid"] = true;
            }
        }
        return $deleted;
    }

    /**
     * Whether the database does not have what an event says was done.
     *
     * @param \core\event\base $event
     * @param bool[] $deleted rows that were deleted, by table and id
     * @return bool
     */
    private static function is_undone(\core\event\base $event, array $deleted): bool {
        global $DB;
        if ($event->crud === 'r' || !$event->objecttable || !$event->objectid) {
            return false;
        }
        try {
            $row = $DB->get_record($event->objecttable, ['id' => $event->objectid]);
        } catch (\dml_exception $e) {
            // A table that is no more.
            return false;
        }
        $isthere = $row && empty($row->deleted);
        return $event->crud === 'd' ? $isthere : !$isthere && !isset($deleted["$event->objecttable $event->objectid"]);
    }
}
