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

/**
 * What can be done with a service besides editing it.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class action {
    /** Actions that set one field: its new value. */
    private const FIELDS = [
        'enable' => ['enabled' => 1], 'disable' => ['enabled' => 0], 'pause' => ['paused' => 1], 'resume' => ['paused' => 0],
    ];

    /** All actions. */
    private const ALL = ['enable', 'disable', 'pause', 'resume', 'resetbreaker', 'duplicate', 'delete'];

    /** @var \stdClass the service */
    public $service;

    /** @var string what is to be done */
    public $name;

    /**
     * Constructor.
     *
     * @param int $id of the service
     * @param string $name of the action
     * @throws \moodle_exception when there is no such service or action
     */
    public function __construct(int $id, string $name) {
        if (!in_array($name, self::ALL, true)) {
            throw new \moodle_exception('invalidaction', 'error');
        }
        $this->service = registry::get_service_by_id($id);
        $this->name = $name;
    }

    /**
     * Does it.
     *
     * @return string what to tell the user, HTML
     */
    public function perform(): string {
        $id = (int) $this->service->id;
        $name = $this->service->name;
        if (isset(self::FIELDS[$this->name])) {
            registry::update_service($id, (object) self::FIELDS[$this->name]);
        } else if ($this->name === 'resetbreaker') {
            registry::reset_breaker($id);
            return get_string('circuitreset', 'local_integrationhub');
        } else if ($this->name === 'duplicate') {
            $name = registry::get_service_by_id(transfer::duplicate($id))->name;
        } else {
            registry::delete_service($id);
            return get_string('servicedeleted', 'local_integrationhub');
        }
        return get_string("service_{$this->name}_done", 'local_integrationhub', s($name));
    }

    /**
     * What the user is asked before.
     *
     * @return array of the template service_question
     */
    public function question(): array {
        global $DB;
        $question = ['question' => get_string("service_{$this->name}_question", 'local_integrationhub', $this->service->name)];
        if ($this->name !== 'delete') {
            return $question;
        }
        $count = function (string $table, array $more = []) use ($DB): int {
            return $DB->count_records("local_integrationhub_$table", ['serviceid' => $this->service->id] + $more);
        };
        $counts = ['rules' => $count('rules'), 'dead' => $count('dlq', ['state' => 'dead']), 'log' => $count('log')];
        return $question + ['consequences' => [
            get_string('service_delete_rules', 'local_integrationhub', $counts['rules']),
            get_string('service_delete_dead', 'local_integrationhub', $counts['dead']),
            get_string('service_delete_log', 'local_integrationhub', $counts['log']),
            get_string('service_delete_waiting', 'local_integrationhub'),
        ]];
    }
}
