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
 * The set of event names that some enabled rule of an enabled service wants.
 *
 * No database read per event: the set lives in a static variable and in an application cache, with the time at which it
 * was read. The registries forget it when they change something. Rules changed by SQL take effect when the set is read
 * again: after MAXAGE seconds at the latest.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class wanted_events {
    /** Seconds after which the set is read again. */
    public const MAXAGE = 2;

    /** Key in the cache. */
    private const KEY = 'set';

    /** @var array|null ['time' => int, 'names' => [eventname or wildcard => 1]] */
    private static $set = null;

    /**
     * Whether some rule wants this event.
     *
     * @param string $eventname event class with its leading backslash
     * @return bool
     */
    public static function contains(string $eventname): bool {
        $names = self::names();
        return isset($names[$eventname]) || isset($names[event_name::wildcard($eventname)]);
    }

    /**
     * Forgets the set, here and in the cache.
     */
    public static function invalidate(): void {
        self::$set = null;
        \cache::make('local_integrationhub', 'wanted_events')->delete(self::KEY);
    }

    /**
     * The set, from the nearest place that is fresh enough.
     *
     * @return array
     */
    private static function names(): array {
        $now = time();
        if (self::is_fresh(self::$set, $now)) {
            return self::$set['names'];
        }
        $cache = \cache::make('local_integrationhub', 'wanted_events');
        $set = $cache->get(self::KEY);
        if (!self::is_fresh($set, $now)) {
            $set = ['time' => $now, 'names' => self::read()];
            $cache->set(self::KEY, $set);
        }
        self::$set = $set;
        return $set['names'];
    }

    /**
     * Whether a set may be used; one from the future (the clock was set back) may not.
     *
     * @param mixed $set
     * @param int $now
     * @return bool
     */
    private static function is_fresh($set, int $now): bool {
        return is_array($set) && $set['time'] <= $now && $now - $set['time'] < self::MAXAGE;
    }

    /**
     * Reads the names from the database.
     *
     * Not DISTINCT: databases compare names without regard to case and would drop one of two that differ in it.
     *
     * @return array
     */
    private static function read(): array {
        global $DB;
        $sql = "SELECT r.eventname
                  FROM {local_integrationhub_rules} r
                  JOIN {local_integrationhub_svc} s ON s.id = r.serviceid
                 WHERE r.enabled = 1 AND s.enabled = 1";
        return array_fill_keys($DB->get_fieldset_sql($sql), 1);
    }
}
