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
 * Reads the workers' statistics, each time with one query.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class reader {
    /** Table. */
    private const TABLE = 'local_integrationhub_stat';

    /**
     * What happened in each part of a period.
     *
     * @param period $period
     * @param int $serviceid 0: all services
     * @return array [counts by part, counts by service]
     */
    public static function of(period $period, int $serviceid = 0): array {
        global $DB;
        $parts = [];
        foreach ($period->parts() as $time) {
            $parts[$time] = new counts();
        }
        // The step is one of ours, and the grouping of some databases takes no parameter.
        $part = 'timestart - ' . $DB->sql_modulo('timestart', (string) (int) $period->step);
        $services = [];
        foreach (self::rows("$part AS part", ", $part", $period->start, $period->end, $serviceid) as $row) {
            $services[$row->serviceid] = $services[$row->serviceid] ?? new counts();
            $services[$row->serviceid]->add($row);
            if (isset($parts[$row->part])) {
                $parts[$row->part]->add($row);
            }
        }
        return [$parts, $services];
    }

    /**
     * What happened since some time, of each service.
     *
     * @param int $since
     * @return counts[] by service
     */
    public static function since(int $since): array {
        $services = [];
        foreach (self::rows('MAX(timestart) AS part', '', $since, PHP_INT_MAX, 0) as $row) {
            $services[$row->serviceid] = new counts();
            $services[$row->serviceid]->add($row);
        }
        return $services;
    }

    /**
     * Sums of rows.
     *
     * @param string $part column besides the service
     * @param string $group by which else to sum up
     * @param int $start
     * @param int $end
     * @param int $serviceid 0: any
     * @return \stdClass[]
     */
    private static function rows(string $part, string $group, int $start, int $end, int $serviceid): array {
        global $DB;
        $columns = ['serviceid', $part, 'MAX(latencymax) AS latencymax', 'MAX(backlog) AS backlog'];
        $sums = counts::SUMS;
        for ($i = 0; $i < counts::CELLS; $i++) {
            $sums[] = "h$i";
        }
        foreach ($sums as $name) {
            $columns[] = "SUM($name) AS $name";
        }
        $where = 'width IN (60, 3600, 86400) AND timestart >= :start AND timestart < :end';
        $parameters = ['start' => $start, 'end' => $end];
        if ($serviceid) {
            $where .= ' AND serviceid = :serviceid';
            $parameters['serviceid'] = $serviceid;
        }
        $rows = $DB->get_recordset_sql(
            'SELECT ' . implode(', ', $columns) . ' FROM {' . self::TABLE . "} WHERE $where GROUP BY serviceid$group",
            $parameters
        );
        $found = iterator_to_array($rows, false);
        $rows->close();
        return $found;
    }
}
