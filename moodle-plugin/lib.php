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
 * What Moodle calls.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

/**
 * The checks of the status page.
 *
 * @return core\check\check[]
 */
function local_integrationhub_status_checks(): array {
    $names = ['broker', 'workers', 'outbox', 'deadletters', 'rules', 'secrets', 'tls', 'webhooks'];
    return array_map(function (string $name): core\check\check {
        $class = "local_integrationhub\\check\\$name";
        return new $class();
    }, $names);
}

/**
 * Adds the hub to the navigation of those who may see it.
 *
 * @param global_navigation $navigation
 */
function local_integrationhub_extend_navigation(global_navigation $navigation): void {
    if (isloggedin() && has_capability('local/integrationhub:view', context_system::instance())) {
        $navigation->add(
            get_string('pluginname', 'local_integrationhub'),
            new moodle_url('/local/integrationhub/index.php'),
            navigation_node::TYPE_CUSTOM,
            null,
            'integrationhub',
            new pix_icon('i/settings', '')
        );
    }
}
