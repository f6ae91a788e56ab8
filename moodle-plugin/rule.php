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
 * Makes or edits a rule.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\form\rule_form;
use local_integrationhub\local\page;
use local_integrationhub\output\tabs;
use local_integrationhub\rule\registry;

$id = optional_param('id', 0, PARAM_INT);
$serviceid = optional_param('serviceid', 0, PARAM_INT);

page::begin('rule', $id ? ['id' => $id] : [], page::MANAGE, $id ? 'editrule' : 'addrule', 'rules');
$rule = $id ? registry::get_rule($id) : null;
if ($rule === false) {
    throw new moodle_exception('error_rule_not_found', 'local_integrationhub', page::url('rules'), $id);
}
$attributes = ['class' => 'local-integrationhub-form', 'autocomplete' => 'off'];
$form = new rule_form($PAGE->url, ['rule' => $rule, 'serviceid' => $serviceid ?: ''], 'post', '', $attributes);
if ($form->is_cancelled()) {
    redirect(page::url('rules'));
}
$values = $form->values();
if ($values !== null) {
    if ($rule) {
        registry::update_rule($id, (object) $values);
    } else {
        registry::create_rule((object) $values);
    }
    $done = get_string($rule ? 'ruleupdated' : 'rulecreated', 'local_integrationhub');
    redirect(page::url('rules'), $done, null, \core\output\notification::NOTIFY_SUCCESS);
}

$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('rules'));
echo $output->heading(get_string($rule ? 'editrule' : 'addrule', 'local_integrationhub'), 3);
echo $form->render();
echo $output->footer();
