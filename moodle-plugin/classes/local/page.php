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

namespace local_integrationhub\local;

use local_integrationhub\output\tabs;

/**
 * What all pages begin with.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class page {
    /** Who may look. */
    public const VIEW = 'local/integrationhub:view';

    /** Who may change. */
    public const MANAGE = 'local/integrationhub:manage';

    /** Who may send dead letters again or throw them away. */
    public const REPLAY = 'local/integrationhub:replay';

    /**
     * Lets in who is logged in and has the capability, and sets up the page.
     *
     * @param string $name of the script, without .php
     * @param array $parameters of its address
     * @param string $capability
     * @param string $title key of the page's title
     * @param string|null $parent script of the tab that it belongs to, for the navigation bar
     */
    public static function begin(
        string $name,
        array $parameters = [],
        string $capability = self::VIEW,
        string $title = 'pluginname',
        ?string $parent = null
    ): void {
        global $PAGE;
        require_login(null, false);
        $context = \context_system::instance();
        require_capability($capability, $context);
        $PAGE->set_context($context);
        $PAGE->set_url(self::url($name, $parameters));
        $PAGE->set_pagelayout('admin');
        $PAGE->set_primary_active_tab('siteadminnode');
        $PAGE->set_secondary_active_tab('modules');
        $PAGE->set_title(get_string($title, 'local_integrationhub') . ' - ' . get_string('pluginname', 'local_integrationhub'));
        $PAGE->set_heading(get_string('pluginname', 'local_integrationhub'));
        if ($parent === null) {
            // With a search or a period in its address it is still the same page of the navigation.
            \navigation_node::override_active_url(self::url($name));
        } else {
            $PAGE->navbar->add(get_string('pluginname', 'local_integrationhub'), self::url('index'));
            $above = tabs::PAGES[$parent];
            $PAGE->navbar->add(get_string($above, 'local_integrationhub'), self::url($parent));
            if ($title !== $above) {
                $PAGE->navbar->add(get_string($title, 'local_integrationhub'));
            }
        }
    }

    /**
     * Whether the user may change things.
     *
     * @return bool
     */
    public static function can_manage(): bool {
        return has_capability(self::MANAGE, \context_system::instance());
    }

    /**
     * Whether the user may send dead letters again.
     *
     * @return bool
     */
    public static function can_replay(): bool {
        return has_capability(self::REPLAY, \context_system::instance());
    }

    /**
     * The address of a page.
     *
     * @param string $name of the script, without .php
     * @param array $parameters
     * @return \moodle_url
     */
    public static function url(string $name, array $parameters = []): \moodle_url {
        return new \moodle_url("/local/integrationhub/$name.php", $parameters);
    }

    /**
     * Whether a form with a change was sent, by the user and not by another site.
     *
     * @return bool
     */
    public static function is_change(): bool {
        return data_submitted() && confirm_sesskey();
    }
}
