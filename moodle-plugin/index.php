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
 * The dashboard.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\local\page;
use local_integrationhub\local\statistics\period;
use local_integrationhub\local\status;
use local_integrationhub\output\dashboard_page;
use local_integrationhub\output\tabs;

// Addresses of version 2.0.0, whose dashboard held the services, too.
$action = optional_param('action', '', PARAM_ALPHA);
$serviceid = optional_param('serviceid', 0, PARAM_INT);

$period = new period(optional_param('period', '', PARAM_ALPHANUM));
$parameters = array_filter(['period' => $period->key, 'serviceid' => $serviceid]);
page::begin('index', $parameters, page::VIEW, 'dashboard_tab');
if ($action === 'add' || $action === 'edit') {
    redirect(page::url('service', $action === 'edit' ? ['id' => $serviceid] : ['type' => 'rest']));
} else if ($action === 'delete' || $action === 'resetcircuit') {
    $name = $action === 'delete' ? 'delete' : 'resetbreaker';
    redirect(page::url('service_action', ['id' => $serviceid, 'action' => $name]));
}

$PAGE->requires->js_call_amd('local_integrationhub/dashboard', 'init');
$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('index'));
echo $output->render(new dashboard_page(new status(), page::can_manage(), $period, $serviceid));
echo $output->footer();
