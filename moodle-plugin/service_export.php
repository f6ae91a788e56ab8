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
 * Sends services and their rules as a JSON file, without secrets.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

require(__DIR__ . '/../../config.php');

use local_integrationhub\local\page;
use local_integrationhub\service\registry;
use local_integrationhub\service\transfer;

$id = optional_param('id', 0, PARAM_INT);

page::begin('service_export', [], page::MANAGE, 'export');
require_sesskey();
$name = $id ? clean_filename(registry::get_service_by_id($id)->name) : 'services';
send_file(transfer::export($id ? [$id] : null), "integrationhub-$name.json", 0, 0, true, true, 'application/json');
