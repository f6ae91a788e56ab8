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

namespace local_integrationhub\local\inbound;

/**
 * A call that is not taken: the HTTP status and the words for the caller.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class refusal extends \Exception {
    /** @var int HTTP status */
    public $status;

    /** @var bool whether the service's log gets a row */
    public $logged;

    /**
     * Constructor.
     *
     * @param int $status
     * @param string $key of the language string
     * @param mixed $a
     * @param bool $logged
     */
    public function __construct(int $status, string $key, $a = null, bool $logged = false) {
        parent::__construct(get_string($key, 'local_integrationhub', $a));
        $this->status = $status;
        $this->logged = $logged;
    }
}
