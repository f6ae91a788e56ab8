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

namespace local_integrationhub\service;

use local_integrationhub\local\gateway\http_request;
use local_integrationhub\local\gateway\oauth;
use local_integrationhub\local\gateway\outcome;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\secrets;
use local_integrationhub\local\gateway\service_headers;

/**
 * What a request of the pages needs to be one of a service's: its time-out, certificate and token, as the gateway has them.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class credentials {
    /** Longest wait in seconds, whatever the service's time-out: a person is waiting. */
    public const MAX_SECONDS = 30;

    /**
     * Sends a request with them.
     *
     * @param http_request $request
     * @param \stdClass $service
     * @return outcome
     * @throws refused_exception when it cannot be sent
     */
    public static function send(http_request $request, \stdClass $service): outcome {
        $request->timeout = (float) min((int) $service->timeout, self::MAX_SECONDS);
        $request->clientcert = secrets::open($service->client_cert ?? null, 'client certificate');
        foreach (service_headers::authorization($service) as $name => $value) {
            $request->add_header($name, $value);
        }
        return oauth::send($service, $request);
    }
}
