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
 * Asks for dead letters to be sent again or thrown away, or stops that; it asks the user before.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\local\page;
use local_integrationhub\local\replays;
use local_integrationhub\output\tabs;
use local_integrationhub\table\dead_filter;

$all = optional_param('actionall', '', PARAM_ALPHA);
$action = $all !== '' ? $all : required_param('action', PARAM_ALPHA);
$id = optional_param('id', 0, PARAM_INT);
$ids = optional_param_array('ids', array_filter(explode(',', optional_param('chosen', '', PARAM_SEQUENCE))), PARAM_INT);
$filter = dead_filter::of_page();

page::begin('queue_action', ['action' => $action], page::REPLAY, 'queue', 'queue');
$back = page::url('queue', $filter->values);
if ($action === 'stop') {
    if (page::is_change()) {
        $key = replays::stop($id) ? 'replay_stopped_done' : 'replay_stopped_late';
        redirect($back, get_string($key, 'local_integrationhub'));
    }
    $do = page::url('queue_action', ['action' => $action, 'id' => $id]);
    $output = $PAGE->get_renderer('local_integrationhub');
    echo $output->header();
    echo $output->render(new tabs('queue'));
    echo $output->question(['question' => get_string('replay_stop_question', 'local_integrationhub')], $do, $back, false);
    echo $output->footer();
    exit;
}
if (!in_array($action, replays::ACTIONS, true)) {
    throw new moodle_exception('invalidaction', 'error');
}
if ($all === '' && !$ids) {
    redirect($back, get_string('error_no_letter_chosen', 'local_integrationhub'), null, \core\output\notification::NOTIFY_WARNING);
}
if (optional_param('confirm', 0, PARAM_BOOL) && page::is_change()) {
    $options = [
        'mode' => optional_param('mode', 'sent', PARAM_ALPHA),
        'rate' => optional_param('rate', replays::RATE, PARAM_INT),
        'stopafter' => optional_param('stopafter', 0, PARAM_INT),
        'canary' => optional_param('canary', 0, PARAM_BOOL),
    ];
    try {
        $number = $all !== '' ? replays::request_all($action, $filter, $options) : replays::request_chosen($action, $ids, $options);
    } catch (moodle_exception $e) {
        redirect($back, s($e->getMessage()), null, \core\output\notification::NOTIFY_ERROR);
    }
    $done = get_string("letters_{$action}_done", 'local_integrationhub', $number);
    redirect($back, $done, null, \core\output\notification::NOTIFY_SUCCESS);
}

$fields = $all !== '' ? ['actionall' => $all] : ['action' => $action, 'chosen' => implode(',', $ids)];
$output = $PAGE->get_renderer('local_integrationhub');
echo $output->header();
echo $output->render(new tabs('queue'));
echo $output->replay_question($action, $all !== '' ? $filter->count() : count($ids), $fields + $filter->values, $back);
echo $output->footer();
