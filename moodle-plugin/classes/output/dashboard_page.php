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

namespace local_integrationhub\output;

use core\output\named_templatable;
use local_integrationhub\local\page;
use local_integrationhub\local\status;

/**
 * The dashboard: what to do next, the numbers of the last day, and the worker processes.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class dashboard_page implements named_templatable, \renderable {
    /** @var status */
    private $status;

    /** @var bool whether the user may change things */
    private $canmanage;

    /**
     * Constructor.
     *
     * @param status $status
     * @param bool $canmanage
     */
    public function __construct(status $status, bool $canmanage) {
        $this->status = $status;
        $this->canmanage = $canmanage;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/dashboard';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $status = $this->status;
        $troubled = array_map(function (\stdClass $service): array {
            return ['name' => $service->name, 'state' => get_string("circuit_$service->state", 'local_integrationhub')];
        }, array_values($status->troubled()));
        return [
            'next' => array_map([$this, 'step'], $status->missing()),
            'hasnext' => (bool) $status->missing(),
            'numbers' => [
                self::number('dashboard_requests', $status->sum('requests')),
                self::number('dashboard_failures', $status->sum('failures'), $status->sum('failures') > 0),
                self::number('dlq', $status->dead, $status->dead > 0),
                self::number('dashboard_outbox', $status->outbox, false, $this->waiting()),
                self::number('dashboard_workers', count($status->workers), !$status->workers),
                self::number('dashboard_rules', $status->rules),
            ],
            'troubled' => $troubled,
            'hastroubled' => (bool) $troubled,
            'servicesurl' => page::url('services')->out(false),
            'workers' => array_map([self::class, 'worker'], array_values($status->workers)),
            'hasworkers' => (bool) $status->workers,
        ];
    }

    /**
     * Something to do.
     *
     * @param string $what
     * @return array
     */
    private function step(string $what): array {
        $settings = new \moodle_url('/admin/settings.php', ['section' => 'local_integrationhub']);
        $urls = ['broker' => $settings, 'service' => page::url('services'), 'rule' => page::url('rules')];
        $may = $what === 'broker' ? has_capability('moodle/site:config', \context_system::instance()) : $this->canmanage;
        return [
            'what' => $what,
            'title' => get_string("next_$what", 'local_integrationhub'),
            'text' => get_string("next_{$what}_desc", 'local_integrationhub'),
            'url' => $may && isset($urls[$what]) ? $urls[$what]->out(false) : '',
        ];
    }

    /**
     * A number with its name.
     *
     * @param string $key of the name
     * @param int $number
     * @param bool $isbad whether it asks for attention
     * @param string $note
     * @return array
     */
    private static function number(string $key, int $number, bool $isbad = false, string $note = ''): array {
        return ['name' => get_string($key, 'local_integrationhub'), 'number' => $number, 'isbad' => $isbad, 'note' => $note];
    }

    /**
     * How long the oldest event has waited for the broker.
     *
     * @return string
     */
    private function waiting(): string {
        if (!$this->status->outbox) {
            return '';
        }
        return get_string('dashboard_oldest', 'local_integrationhub', format_time(max(1, $this->status->outboxage)));
    }

    /**
     * A worker process.
     *
     * @param \stdClass $worker
     * @return array
     */
    private static function worker(\stdClass $worker): array {
        return [
            'host' => $worker->host,
            'pid' => $worker->pid,
            'version' => $worker->version,
            'progress' => $worker->timeprogress ? format_time(max(1, time() - $worker->timeprogress)) : '–',
            'inflight' => $worker->inflight,
            'delivered' => $worker->delivered,
            'dead' => $worker->dead,
            'memory' => display_size($worker->memory),
        ];
    }
}
