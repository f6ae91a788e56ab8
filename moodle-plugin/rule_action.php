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
 * Does something with one rule or several: at once when a form was sent, but asks before it deletes.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\local\page;
use local_integrationhub\output\tabs;
use local_integrationhub\rule\action;

$name = required_param('action', PARAM_ALPHA);
$id = optional_param('id', 0, PARAM_INT);
$chosen = optional_param('chosen', '', PARAM_SEQUENCE);
$confirm = optional_param('confirm', 0, PARAM_BOOL);
$ids = optional_param_array('ids', array_filter(explode(',', $id ? (string) $id : $chosen)), PARAM_INT);

page::begin('rule_action', ['action' => $name], page::MANAGE, 'rules', 'rules');
if (!$ids) {
    $none = get_string('error_no_rule_chosen', 'local_integrationhub');
    redirect(page::url('rules'), $none, null, \core\output\notification::NOTIFY_WARNING);
}
$action = new action($ids, $name);
if (page::is_change() && ($name !== 'delete' || $confirm)) {
    redirect(page::url('rules'), $action->perform(), null, \core\output\notification::NOTIFY_SUCCESS);
}

$do = page::url('rule_action', ['action' => $name, 'chosen' => implode(',', $action->ids()), 'confirm' => 1]);
$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('rules'));
echo $output->question($action->question(), $do, page::url('rules'), $name === 'delete');
echo $output->footer();
