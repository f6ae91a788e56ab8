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
 * The list of rules.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\local\page;
use local_integrationhub\output\rules_page;
use local_integrationhub\output\tabs;
use local_integrationhub\table\rules_filter;

// Addresses of version 2.0.0.
$action = optional_param('action', '', PARAM_ALPHA);
$ruleid = optional_param('ruleid', 0, PARAM_INT);

$filter = rules_filter::of_page();
page::begin('rules', $filter->parameters(), page::VIEW, 'rules');
if ($action === 'add' || $action === 'edit') {
    redirect(page::url('rule', $action === 'edit' ? ['id' => $ruleid] : []));
} else if ($action === 'delete') {
    redirect(page::url('rule_action', ['id' => $ruleid, 'action' => 'delete']));
}

$PAGE->requires->js_call_amd('local_integrationhub/post', 'init');
$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('rules'));
echo $output->render(new rules_page($filter, page::can_manage()));
echo $output->footer();
