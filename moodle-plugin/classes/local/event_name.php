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

/**
 * Names of event classes and what follows from them.
 *
 * A name is `\component\event\name`, where the name may have parts of its own (`\mod_x\event\a\b`). A rule may also ask for
 * `\component\event\*`: all events of that component.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class event_name {
    /** The part that separates component and name. */
    private const MIDDLE = '\event\\';

    /**
     * Brings what a person typed into the form above.
     *
     * @param string $name
     * @return string|null null when it cannot be an event name
     */
    public static function normalise(string $name): ?string {
        $name = '\\' . ltrim(trim($name), '\\');
        if (strlen($name) > 255 || !preg_match('~^\\\\[a-z][a-z0-9_]*\\\\event\\\\(\*|[a-z0-9_]+(\\\\[a-z0-9_]+)*)$~i', $name)) {
            return null;
        }
        return $name;
    }

    /**
     * The wildcard that covers an event, `\component\event\*`.
     *
     * @param string $name
     * @return string '' when the name has no component
     */
    public static function wildcard(string $name): string {
        $middle = strpos($name, self::MIDDLE);
        return $middle === false ? '' : substr($name, 0, $middle + strlen(self::MIDDLE)) . '*';
    }

    /**
     * Routing key of an event, or binding key of a wildcard: `mod_forum.post_created`, `mod_quiz.#`.
     *
     * @param string $name
     * @return string
     */
    public static function routing_key(string $name): string {
        $name = ltrim($name, '\\');
        $middle = strpos($name, self::MIDDLE);
        if ($middle !== false) {
            $name = substr_replace($name, '.', $middle, strlen(self::MIDDLE));
        }
        $key = str_replace('\\', '.', $name);
        return substr($key, -2) === '.*' ? substr($key, 0, -1) . '#' : $key;
    }
}
