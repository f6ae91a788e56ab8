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

use local_integrationhub\service\overview;

/**
 * How the hub is doing, from a fixed number of queries, and what an administrator should do next.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class status {
    /** A worker process that was not seen for so many seconds counts as gone. */
    public const WORKERAGE = 60;

    /** @var \stdClass[] services as service\overview gives them */
    public $services;

    /** @var \stdClass[] worker processes that were seen lately */
    public $workers;

    /** @var int enabled rules */
    public $rules;

    /** @var int dead letters */
    public $dead;

    /** @var int events that wait for the broker */
    public $outbox;

    /** @var int seconds that the oldest of them has waited */
    public $outboxage;

    /**
     * Looks.
     */
    public function __construct() {
        global $DB;
        $this->services = overview::services();
        $since = time() - self::WORKERAGE;
        $this->workers = $DB->get_records_select('local_integrationhub_worker', 'timeseen > ?', [$since], 'host, pid');
        $this->rules = $DB->count_records('local_integrationhub_rules', ['enabled' => 1]);
        $this->dead = $DB->count_records('local_integrationhub_dlq', ['state' => 'dead']);
        $row = $DB->get_record_sql('SELECT COUNT(*) AS number, MIN(timecreated) AS oldest FROM {local_integrationhub_outbox}');
        $this->outbox = (int) $row->number;
        $this->outboxage = $this->outbox ? max(0, time() - (int) $row->oldest) : 0;
    }

    /**
     * What is missing, the first thing to do first: keys of the strings next_... and next_..._desc.
     *
     * @return string[] broker, worker, service, rule
     */
    public function missing(): array {
        $missing = [
            'broker' => !config::has_broker(),
            'worker' => !$this->workers,
            'service' => !$this->services,
            'rule' => !$this->rules,
        ];
        return array_keys(array_filter($missing));
    }

    /**
     * The sum of a number of all services.
     *
     * @param string $name requests, failures or waiting
     * @return int
     */
    public function sum(string $name): int {
        return array_sum(array_column($this->services, $name));
    }

    /**
     * How long the oldest message at the broker has waited.
     *
     * @return int|null seconds; null: none waits, or it is not known
     */
    public function oldest(): ?int {
        $ages = array_filter(array_column($this->services, 'oldest'), 'is_int');
        return $ages ? max($ages) : null;
    }
}
