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
use local_integrationhub\local\statistics\counts;
use local_integrationhub\local\statistics\period;
use local_integrationhub\local\statistics\reader;
use local_integrationhub\local\status;

/**
 * The dashboard: what to do next, how the services and the workers are doing, and charts of a period.
 *
 * It is drawn anew while it is looked at: regions() are the parts that change.
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

    /** @var period */
    private $period;

    /** @var int service that the charts are of; 0: all */
    private $serviceid;

    /**
     * Constructor.
     *
     * @param status $status
     * @param bool $canmanage
     * @param period|null $period null: the one that is shown first
     * @param int $serviceid
     */
    public function __construct(status $status, bool $canmanage, ?period $period = null, int $serviceid = 0) {
        $this->status = $status;
        $this->canmanage = $canmanage;
        $this->period = $period ?? new period();
        $this->serviceid = isset($status->services[$serviceid]) ? $serviceid : 0;
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
        [$parts, $services] = reader::of($this->period, $this->serviceid);
        return [
            'url' => page::url('index')->out(false),
            'periods' => self::options(period::names(), $this->period->key),
            'servicenames' => self::options(
                [0 => get_string('service_any', 'local_integrationhub')] + array_column($this->status->services, 'name', 'id'),
                $this->serviceid
            ),
            'period' => $this->period->key,
            'serviceid' => $this->serviceid,
            'updated' => userdate(time(), get_string('strftimetime24', 'langconfig') . ':%S'),
            'charts' => (new charts($this->period, $parts))->export(),
        ] + $this->summary() + $this->services($services);
    }

    /**
     * The parts that change while the page is looked at.
     *
     * @param \renderer_base $output
     * @return array regions: HTML by name; charts: as the template has them; updated: when
     */
    public function regions(\renderer_base $output): array {
        $data = $this->export_for_template($output);
        $regions = [
            'summary' => $output->render_from_template('local_integrationhub/dashboard_summary', $data),
            'services' => $output->render_from_template('local_integrationhub/dashboard_services', $data),
        ];
        foreach ($data['charts'] as $chart) {
            $regions["table-$chart[name]"] = $output->render_from_template('local_integrationhub/chart_table', $chart);
        }
        return ['regions' => $regions, 'charts' => $data['charts'], 'updated' => $data['updated']];
    }

    /**
     * What to do next, and the numbers of now.
     *
     * @return array
     */
    private function summary(): array {
        $status = $this->status;
        return [
            'next' => array_map([$this, 'step'], $status->missing()),
            'hasnext' => (bool) $status->missing(),
            'numbers' => [
                self::number('dashboard_requests', $status->sum('requests')),
                self::number('dashboard_failures', $status->sum('failures'), $status->sum('failures') > 0),
                self::number('dlq', $status->dead, $status->dead > 0),
                self::number('dashboard_waiting', $status->sum('waiting'), false, self::age($status->oldest())),
                self::number('dashboard_outbox', $status->outbox, false, self::age($status->outbox ? $status->outboxage : null)),
                self::number('dashboard_workers', count($status->workers), !$status->workers),
                self::number('dashboard_rules', $status->rules),
            ],
        ];
    }

    /**
     * The services and the workers.
     *
     * @param counts[] $counts by service
     * @return array
     */
    private function services(array $counts): array {
        $services = [];
        foreach ($this->status->services as $id => $service) {
            if (!$this->serviceid || $this->serviceid === (int) $id) {
                $services[] = $this->service($service, $counts[$id] ?? new counts());
            }
        }
        return [
            'services' => $services,
            'hasservices' => (bool) $services,
            'periodname' => period::names()[$this->period->key],
            'workers' => array_map([self::class, 'worker'], array_values($this->status->workers)),
            'hasworkers' => (bool) $this->status->workers,
        ];
    }

    /**
     * A service.
     *
     * @param \stdClass $service
     * @param counts $counts of the period
     * @return array
     */
    private function service(\stdClass $service, counts $counts): array {
        $latencies = array_map(function (float $share) use ($counts): string {
            $value = charts::rounded($counts->percentile($share));
            return $value === null ? '–' : (string) $value;
        }, array_values(charts::SHARES));
        return [
            'name' => $service->name,
            'url' => page::url('index', ['serviceid' => $service->id, 'period' => $this->period->key])->out(false),
            'deadurl' => page::url('queue', ['serviceid' => $service->id])->out(false),
            'state' => badges::service($service),
            'breaker' => badges::breaker($service),
            'waiting' => $service->waiting ?? '–',
            'oldest' => $service->oldest === null ? '' : format_time(max(1, $service->oldest)),
            'delivered' => $counts->delivered,
            'failures' => $counts->failures(),
            'dead' => $service->dead,
            'latencies' => $latencies,
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
     * Choices of a list.
     *
     * @param array $names by value
     * @param string|int $current
     * @return array
     */
    private static function options(array $names, $current): array {
        $options = [];
        foreach ($names as $value => $name) {
            $options[] = ['value' => $value, 'name' => $name, 'selected' => (string) $value === (string) $current];
        }
        return $options;
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
     * How long the oldest has waited.
     *
     * @param int|null $seconds
     * @return string
     */
    private static function age(?int $seconds): string {
        return $seconds === null ? '' : get_string('dashboard_oldest', 'local_integrationhub', format_time(max(1, $seconds)));
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
