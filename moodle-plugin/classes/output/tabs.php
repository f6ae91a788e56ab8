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

namespace local_integrationhub\output;

use local_integrationhub\local\page;
use core\output\named_templatable;

/**
 * The tabs above every page.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class tabs implements named_templatable, \renderable {
    /** Pages: script => key of its name. */
    public const PAGES = [
        'index' => 'dashboard_tab', 'services' => 'services', 'rules' => 'rules', 'queue' => 'queue', 'events' => 'sent_events',
    ];

    /** @var string the page that is shown */
    private $current;

    /**
     * Constructor.
     *
     * @param string $current script, without .php
     */
    public function __construct(string $current) {
        $this->current = $current;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/dashboard_tabs';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $tabs = [];
        foreach (self::PAGES as $page => $name) {
            $tabs[] = [
                'name' => get_string($name, 'local_integrationhub'),
                'url' => page::url($page)->out(false),
                'current' => $page === $this->current,
            ];
        }
        return ['tabs' => $tabs];
    }
}
