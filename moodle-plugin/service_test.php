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
 * Tries a service and shows what it answers.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\form\connection_form;
use local_integrationhub\local\page;
use local_integrationhub\output\connection_result;
use local_integrationhub\output\tabs;
use local_integrationhub\service\connection_test;
use local_integrationhub\service\registry;

$id = required_param('id', PARAM_INT);

page::begin('service_test', ['id' => $id], page::MANAGE, 'testconnection', 'services');
$service = registry::get_service_by_id($id);
$form = new connection_form($PAGE->url, ['service' => $service], 'post', '', ['class' => 'local-integrationhub-form']);
if ($form->is_cancelled()) {
    redirect(page::url('services'));
}
$result = null;
$data = $form->get_data();
if ($data) {
    \core\session\manager::write_close();
    $result = connection_test::run($service, $data->method ?? 'GET', $data->path ?? '', $data->body ?? '');
}

$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('services'));
echo $output->heading(get_string('testconnection_of', 'local_integrationhub', s($service->name)), 3);
echo $output->render_from_template('local_integrationhub/note', [
    'text' => get_string("testconnection_desc_$service->type", 'local_integrationhub'),
]);
if ($result) {
    echo $output->render(new connection_result($result));
}
echo $form->render();
echo $output->footer();
