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

namespace local_integrationhub\transport;

use local_integrationhub\local\gateway\refused_exception;

/**
 * What the transports have in common.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
trait transport_utils {
    /**
     * The payload as JSON; of an empty one nothing is left, as in 2.0.0.
     *
     * @param array $payload
     * @return string
     * @throws refused_exception when JSON cannot express it
     */
    protected function json_body(array $payload): string {
        if (!$payload) {
            return '';
        }
        $json = json_encode($payload);
        if ($json === false) {
            throw new refused_exception('policy: the payload is no JSON: ' . json_last_error_msg());
        }
        return $json;
    }
}
