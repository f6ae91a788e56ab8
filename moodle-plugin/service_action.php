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
 * Does something with a service: asks first, unless the form has been sent.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\local\page;
use local_integrationhub\output\tabs;
use local_integrationhub\service\action;

$id = required_param('id', PARAM_INT);
$name = required_param('action', PARAM_ALPHA);

page::begin('service_action', ['id' => $id, 'action' => $name], page::MANAGE, 'services', 'services');
$action = new action($id, $name);
if (page::is_change()) {
    redirect(page::url('services'), $action->perform(), null, \core\output\notification::NOTIFY_SUCCESS);
}

$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('services'));
echo $output->question($action->question(), $PAGE->url, page::url('services'), $name === 'delete');
echo $output->footer();
