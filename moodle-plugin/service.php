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

/**
 * Makes or edits a service.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\form\service_form;
use local_integrationhub\local\page;
use local_integrationhub\local\secrets;
use local_integrationhub\output\tabs;
use local_integrationhub\service\registry;

$id = optional_param('id', 0, PARAM_INT);
$type = optional_param('type', 'rest', PARAM_ALPHA);

page::begin('service', $id ? ['id' => $id] : ['type' => $type], page::MANAGE, $id ? 'editservice' : 'addservice', 'services');
$service = $id ? registry::get_service_by_id($id) : null;
$form = service_form::of_type($service->type ?? $type, $PAGE->url, $service);
if ($form->is_cancelled()) {
    redirect(page::url('services'));
}
$values = $form->values();
if ($values !== null) {
    $sealed = (object) secrets::sealed($values, $values['type']);
    if ($service) {
        registry::update_service($id, $sealed);
    } else {
        registry::create_service($sealed);
    }
    $done = get_string($service ? 'serviceupdated' : 'servicecreated', 'local_integrationhub');
    redirect(page::url('services'), $done, null, \core\output\notification::NOTIFY_SUCCESS);
}

$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('services'));
echo $output->heading($service ? s($service->name) : get_string('addservice_' . $form::TYPE, 'local_integrationhub'), 3);
echo $form->render();
echo $output->footer();
