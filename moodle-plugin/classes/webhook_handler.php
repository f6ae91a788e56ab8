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
 * Core catches exceptions of observers, and no errors: after one of these it dispatches nothing more in the same process, and
 * says nothing. So nothing more is handled here, either: what comes later would be lost to the observers.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class webhook_handler {
    /** @var bool whether core dispatches nothing any more in this process */
    private static $disturbed = false;

    /**
     * Whether events that are raised now would reach nobody.
     *
     * @return bool
     */
    public static function is_disturbed(): bool {
        return self::$disturbed;
    }

    /**
     * Says that core dispatches events again, in tests.
     */
    public static function reset(): void {
        self::$disturbed = false;
    }

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
            if (self::$disturbed) {
                throw new \moodle_exception('webhook_error', 'local_integrationhub');
            }
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
            self::$disturbed = self::$disturbed || $e instanceof \Error;
            request_log::inbound($service, $source, $e->getMessage());
            return ['success' => false, 'error' => $e->getMessage()];
        }
        request_log::inbound($service, $source);
        return ['success' => true, 'error' => null];
    }
}
