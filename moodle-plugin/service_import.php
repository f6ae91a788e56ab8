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
 * Imports services from JSON.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\form\import_form;
use local_integrationhub\local\page;
use local_integrationhub\output\tabs;
use local_integrationhub\service\transfer;

page::begin('service_import', [], page::MANAGE, 'import', 'services');

$form = new import_form($PAGE->url);
if ($form->is_cancelled()) {
    redirect(page::url('services'));
}
$error = '';
if ($form->get_data()) {
    try {
        $names = transfer::import($form->json());
        $done = get_string('import_done', 'local_integrationhub', s(implode(', ', $names)));
        redirect(page::url('services'), $done, null, \core\output\notification::NOTIFY_SUCCESS);
    } catch (moodle_exception $e) {
        $error = $e->getMessage();
    }
}

$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('services'));
echo $output->heading(get_string('import', 'local_integrationhub'), 3);
echo $output->render_from_template('local_integrationhub/note', ['text' => get_string('import_desc', 'local_integrationhub')]);
if ($error !== '') {
    echo $output->notification(s($error), \core\output\notification::NOTIFY_ERROR);
}
echo $form->render();
echo $output->footer();
