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
 * Functions that the pages call.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$functions = [
    'local_integrationhub_replays' => [
        'classname' => 'local_integrationhub\external\replays',
        'description' => 'The latest replays of dead letters, and how far they are.',
        'type' => 'read',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:view',
    ],
    'local_integrationhub_dashboard' => [
        'classname' => 'local_integrationhub\external\dashboard',
        'description' => 'What the dashboard shows now.',
        'type' => 'read',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:view',
    ],
    'local_integrationhub_preview_payload' => [
        'classname' => 'local_integrationhub\external\preview_payload',
        'description' => 'Shows what a template makes of an event.',
        'type' => 'read',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:manage',
    ],
    'local_integrationhub_preview_rule' => [
        'classname' => 'local_integrationhub\external\preview_rule',
        'description' => 'Shows the request that a rule makes of a recent event, and how many events it would have matched.',
        'type' => 'read',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:manage',
    ],
    'local_integrationhub_event_fields' => [
        'classname' => 'local_integrationhub\external\event_fields',
        'description' => 'The paths that a template or a condition may use for an event.',
        'type' => 'read',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:manage',
    ],
    'local_integrationhub_wsdl_operations' => [
        'classname' => 'local_integrationhub\external\wsdl_operations',
        'description' => 'The operations of a WSDL.',
        'type' => 'read',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:manage',
    ],
    'local_integrationhub_test_send' => [
        'classname' => 'local_integrationhub\external\test_send',
        'description' => 'Has a worker send the latest event by a rule.',
        'type' => 'write',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:manage',
    ],
    'local_integrationhub_test_result' => [
        'classname' => 'local_integrationhub\external\test_result',
        'description' => 'What became of a test.',
        'type' => 'write',
        'ajax' => true,
        'loginrequired' => true,
        'capabilities' => 'local/integrationhub:manage',
    ],
];
