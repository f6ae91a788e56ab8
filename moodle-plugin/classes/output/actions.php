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

/**
 * The menu of what can be done with a service or a rule.
 *
 * Changes are links to a page that asks and then sends a form; with JavaScript the harmless ones send that form at once.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class actions {
    /**
     * Makes a menu.
     *
     * @param \renderer_base $output
     * @param string $label of the menu, for those who do not see where it stands
     * @param array $links [url, label key or text, attributes]
     * @return string HTML
     */
    public static function menu(\renderer_base $output, string $label, array $links): string {
        $menu = new \action_menu();
        $menu->set_kebab_trigger($label);
        $menu->set_boundary('window');
        foreach ($links as [$url, $text, $attributes]) {
            $menu->add(new \action_menu_link_secondary($url, null, get_string($text, 'local_integrationhub'), $attributes));
        }
        return $output->render($menu);
    }

    /**
     * A link to a change.
     *
     * @param string $script that carries it out
     * @param int $id
     * @param string $action
     * @param string $label
     * @return array
     */
    public static function change(string $script, int $id, string $action, string $label): array {
        $attributes = $action === 'delete' ? ['class' => 'text-danger'] : ['data-ih-post' => 1];
        return [page::url($script, ['id' => $id, 'action' => $action]), $label, $attributes];
    }
}
