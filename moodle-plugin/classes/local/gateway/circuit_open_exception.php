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

namespace local_integrationhub\local\gateway;

/**
 * The service's circuit breaker is open: nothing was sent.
 *
 * The error code is that of 2.0.0, whose language string names the state; the message is a sentence.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class circuit_open_exception extends \moodle_exception {
    /**
     * Constructor.
     *
     * @param string $service its name
     */
    public function __construct(string $service) {
        parent::__construct('circuit_open', 'local_integrationhub', '', $service);
        $this->message = get_string('circuit_open_error', 'local_integrationhub', $service);
    }
}
