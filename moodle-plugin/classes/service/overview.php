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

namespace local_integrationhub\service;

use local_integrationhub\local\statistics\counts;
use local_integrationhub\local\statistics\reader;

/**
 * How the services are doing, from a fixed number of queries.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class overview {
    /** Seconds that the failures and latencies shown are of. */
    public const PERIOD = 86400;

    /** What the workers saw waiting counts for so many seconds. */
    public const SEENAGE = 300;

    /**
     * All services, by name, each with rules, rulesenabled, state, retryat, requests, failures, latency and dead; waiting is
     * null when no worker has looked lately, and oldest when none waits or it is not known.
     *
     * @return \stdClass[]
     */
    public static function services(): array {
        global $DB;
        $services = registry::get_all_services();
        $rules = $DB->get_records_sql(
            "SELECT serviceid, COUNT(*) AS number, SUM(enabled) AS enabled FROM {local_integrationhub_rules} GROUP BY serviceid"
        );
        $breakers = $DB->get_records('local_integrationhub_cb', null, '', 'serviceid, state, retryat, failure_count');
        $requests = reader::since(time() - self::PERIOD);
        $hour = reader::since(time() - 3600);
        $backlogs = $DB->get_records_select(
            'local_integrationhub_backlog',
            'timeseen > ?',
            [time() - self::SEENAGE],
            '',
            'serviceid, waiting, timeoldest'
        );
        $dead = $DB->get_records_sql_menu(
            "SELECT serviceid, COUNT(*) FROM {local_integrationhub_dlq} WHERE state = :state GROUP BY serviceid",
            ['state' => 'dead']
        );
        foreach ($services as $id => $service) {
            $service->rules = (int) ($rules[$id]->number ?? 0);
            $service->rulesenabled = (int) ($rules[$id]->enabled ?? 0);
            $service->state = $breakers[$id]->state ?? 'closed';
            $service->retryat = (int) ($breakers[$id]->retryat ?? 0);
            $counts = $requests[$id] ?? new counts();
            $service->requests = $counts->requests();
            $service->failures = $counts->failures();
            $service->latency = $counts->average() === null ? null : (int) round($counts->average());
            $service->waiting = isset($backlogs[$id]) ? (int) $backlogs[$id]->waiting : null;
            $oldest = $service->waiting ? $backlogs[$id]->timeoldest : null;
            $service->oldest = $oldest === null ? null : max(0, time() - (int) $oldest);
            $service->dead = (int) ($dead[$id] ?? 0);
            $service->retriedhour = ($hour[$id] ?? new counts())->retried;
        }
        return $services;
    }
}
