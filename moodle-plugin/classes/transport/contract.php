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

/**
 * What every transport can do.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
interface contract {
    /**
     * Sends a request to a service, and again as the service's retries say; no breaker is asked.
     *
     * @param \stdClass $service
     * @param string $endpoint
     * @param array $payload
     * @param string $method
     * @return array success, response, error, latency, attempts and http_code
     */
    public function execute(\stdClass $service, string $endpoint, array $payload, string $method = ''): array;
}
