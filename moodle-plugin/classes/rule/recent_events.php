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

namespace local_integrationhub\rule;

use local_integrationhub\local\event_name;
use local_integrationhub\local\message;

/**
 * Events that have happened here, from the site's log store, as the publisher would have sent them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class recent_events {
    /** Seconds that events are counted over. */
    public const PERIOD = 604800;

    /** Most events that a condition is tried on. */
    public const MAX_TRIED = 2000;

    /** Keys that are numbers when an event happens; log stores may give them as text. */
    private const NUMBERS = ['edulevel', 'contextid', 'contextlevel', 'anonymous', 'timecreated'];

    /**
     * The latest event of a name.
     *
     * @param string $eventname or a wildcard
     * @return event_data|null null when there is none, or no log store that can be read
     */
    public static function latest(string $eventname): ?event_data {
        foreach (self::events($eventname, 0, 1) as $event) {
            return self::data($event);
        }
        return null;
    }

    /**
     * How many events of the last days a condition is true for.
     *
     * @param string $eventname or a wildcard
     * @param string|null $condition checked before
     * @return array happened: number of events; matched: of those that were tried; tried: number
     */
    public static function count(string $eventname, ?string $condition): array {
        $reader = self::reader();
        [$where, $parameters] = self::selection($eventname, time() - self::PERIOD);
        $happened = $reader ? $reader->get_events_select_count($where, $parameters) : 0;
        if (condition::is_none($condition)) {
            return ['happened' => $happened, 'matched' => $happened, 'tried' => $happened];
        }
        $matcher = new matcher($condition);
        $matched = 0;
        $tried = 0;
        foreach (self::events($eventname, time() - self::PERIOD, self::MAX_TRIED) as $event) {
            $tried++;
            try {
                $matched += (int) $matcher->matches(self::data($event));
            } catch (syntax_exception $e) {
                // Too long for a regular expression: the worker would not send it either.
                continue;
            }
        }
        return ['happened' => $happened, 'matched' => $matched, 'tried' => $tried];
    }

    /**
     * Events, the latest first.
     *
     * @param string $eventname
     * @param int $since
     * @param int $limit
     * @return \core\event\base[]
     */
    private static function events(string $eventname, int $since, int $limit): iterable {
        $reader = self::reader();
        if (!$reader) {
            return [];
        }
        [$where, $parameters] = self::selection($eventname, $since);
        return $reader->get_events_select($where, $parameters, 'timecreated DESC, id DESC', 0, $limit);
    }

    /**
     * The log store that is asked.
     *
     * @return \core\log\sql_reader|null
     */
    private static function reader(): ?\core\log\sql_reader {
        $readers = get_log_manager()->get_readers('\core\log\sql_reader');
        return reset($readers) ?: null;
    }

    /**
     * The condition of a query.
     *
     * @param string $eventname
     * @param int $since
     * @return array SQL and parameters
     */
    private static function selection(string $eventname, int $since): array {
        $parameters = ['since' => $since];
        if (substr($eventname, -1) === '*') {
            // A wildcard is all events of a component.
            $component = substr($eventname, 1, strpos($eventname, '\\', 1) - 1);
            return ['component = :component AND timecreated >= :since', $parameters + ['component' => $component]];
        }
        return ['eventname = :eventname AND timecreated >= :since', $parameters + ['eventname' => $eventname]];
    }

    /**
     * An event with what may be looked up for it.
     *
     * @param \core\event\base $event
     * @return event_data
     */
    private static function data(\core\event\base $event): event_data {
        $extra = (array) $event->get_logextra();
        $data = $event->get_data();
        foreach (self::NUMBERS as $key) {
            $data[$key] = (int) $data[$key];
        }
        $data['ip'] = $extra['ip'] ?? null;
        $data['origin'] = $extra['origin'] ?? null;
        $data['realuserid'] = $extra['realuserid'] ?? null;
        return new event_data(message::encode($data), [lookup::class, 'find']);
    }
}
