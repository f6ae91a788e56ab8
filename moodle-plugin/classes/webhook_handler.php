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

namespace local_integrationhub;

use local_integrationhub\event\webhook_received;
use local_integrationhub\local\gateway\request_log;

/**
 * What a service has sent becomes an event of Moodle and a row of the log.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class webhook_handler {
    /**
     * Raises the event.
     *
     * @param \stdClass $service
     * @param array $payload
     * @param string $source webhook or amqp
     * @return array success and error
     */
    public static function handle(\stdClass $service, array $payload, string $source = 'webhook'): array {
        try {
            webhook_received::create([
                'context' => \context_system::instance(),
                'other' => [
                    'serviceid' => (int) $service->id,
                    'servicename' => $service->name,
                    'source' => $source,
                    'payload' => $payload,
                ],
            ])->trigger();
        } catch (\Throwable $e) {
            request_log::inbound($service, $source, $e->getMessage());
            return ['success' => false, 'error' => $e->getMessage()];
        }
        request_log::inbound($service, $source);
        return ['success' => true, 'error' => null];
    }
}
