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
use local_integrationhub\local\secrets;
use local_integrationhub\local\service_fields;

/**
 * The list of services.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class services_page implements named_templatable, \renderable {
    /** @var \stdClass[] as service\overview gives them */
    private $services;

    /** @var bool whether the user may change them */
    private $canmanage;

    /**
     * Constructor.
     *
     * @param \stdClass[] $services
     * @param bool $canmanage
     */
    public function __construct(array $services, bool $canmanage) {
        $this->services = $services;
        $this->canmanage = $canmanage;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/services';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $add = [];
        foreach (service_fields::TYPES as $type) {
            $add[] = [
                'url' => page::url('service', ['type' => $type])->out(false),
                'label' => get_string("addservice_$type", 'local_integrationhub'),
            ];
        }
        return [
            'canmanage' => $this->canmanage,
            'add' => $add,
            'importurl' => page::url('service_import')->out(false),
            'exporturl' => page::url('service_export', ['sesskey' => sesskey()])->out(false),
            'services' => array_map(function (\stdClass $service) use ($output): array {
                return $this->row($service, $output);
            }, array_values($this->services)),
            'hasservices' => (bool) $this->services,
        ];
    }

    /**
     * A service.
     *
     * @param \stdClass $service
     * @param \renderer_base $output
     * @return array
     */
    private function row(\stdClass $service, \renderer_base $output): array {
        return [
            'name' => $service->name,
            'editurl' => $this->canmanage ? page::url('service', ['id' => $service->id])->out(false) : '',
            'type' => get_string("type_$service->type", 'local_integrationhub'),
            'address' => secrets::masked($service->base_url),
            'rules' => $service->rules,
            'rulesurl' => page::url('rules', ['serviceid' => $service->id])->out(false),
            'requests' => $service->requests,
            'failures' => $service->failures,
            'latency' => $service->latency === null ? '' : get_string('milliseconds', 'local_integrationhub', $service->latency),
            'dead' => $service->dead,
            'state' => badges::service($service),
            'breaker' => badges::breaker($service),
            'menu' => $this->canmanage ? $this->menu($service, $output) : '',
        ];
    }

    /**
     * What can be done with a service.
     *
     * @param \stdClass $service
     * @param \renderer_base $output
     * @return string HTML
     */
    private function menu(\stdClass $service, \renderer_base $output): string {
        $id = (int) $service->id;
        $onoff = $service->enabled ? 'disable' : 'enable';
        $pause = $service->paused ? 'resume' : 'pause';
        $links = [
            [page::url('service', ['id' => $id]), 'edit_action', []],
            [page::url('service_test', ['id' => $id]), 'testconnection', []],
            actions::change('service_action', $id, $onoff, $onoff),
            actions::change('service_action', $id, $pause, $pause),
            actions::change('service_action', $id, 'resetbreaker', 'resetcircuit'),
            actions::change('service_action', $id, 'duplicate', 'duplicate'),
            [page::url('service_export', ['id' => $id, 'sesskey' => sesskey()]), 'export', []],
            actions::change('service_action', $id, 'delete', 'deleteservice'),
        ];
        return actions::menu($output, get_string('actions_of', 'local_integrationhub', $service->name), $links);
    }
}
