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
 * The plugin's folder in the local cache of this host: what its processes tell each other.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class local_folder {
    /** @var string|null path, once it is known to exist */
    private static $path = null;

    /**
     * The folder's path; it is made when it is missing.
     *
     * @return string
     */
    public static function path(): string {
        if (self::$path === null || !is_dir(self::$path)) {
            self::$path = make_localcache_directory('local_integrationhub');
        }
        return self::$path;
    }
}
