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

use local_integrationhub\local\gateway\circuit_open_exception;
use local_integrationhub\local\gateway\request_log;
use local_integrationhub\local\gateway\sender;
use local_integrationhub\service\circuit_breaker;
use local_integrationhub\service\registry;

/**
 * The gateway: how other plugins call the services that an administrator has configured.
 *
 * A call is made in this process, at once, with the service's time-out, its retries (as long as the request has time for
 * them) and its circuit breaker, which it shares with the worker fleet. What the service answers is in the response; only
 * what forbids the call is an exception.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class mih {
    /** Table of recent requests. */
    const LOG_TABLE = 'local_integrationhub_log';

    /** @var self|null */
    private static $instance = null;

    /**
     * The gateway of this process.
     *
     * @return self
     */
    public static function instance(): self {
        if (self::$instance === null) {
            self::$instance = new self();
        }
        return self::$instance;
    }

    /**
     * Calls a service.
     *
     * @param string $servicename
     * @param string $endpoint
     * @param array $payload
     * @param string $method
     * @return mih_response
     * @throws \moodle_exception as execute_request() does
     */
    public static function request(
        string $servicename,
        string $endpoint = '/',
        array $payload = [],
        string $method = 'POST'
    ): mih_response {
        return self::instance()->execute_request($servicename, $endpoint, $payload, $method);
    }

    /**
     * Begins a request that is put together step by step.
     *
     * @param string $service
     * @return mih_request
     */
    public static function send(string $service): mih_request {
        return new mih_request($service);
    }

    /**
     * Calls a service.
     *
     * @param string $servicename
     * @param string $endpoint path, routing key or operation
     * @param array $payload
     * @param string $method '' is POST
     * @return mih_response
     * @throws \moodle_exception service_not_found, service_disabled (or paused), circuit_open
     */
    public function execute_request(
        string $servicename,
        string $endpoint = '/',
        array $payload = [],
        string $method = ''
    ): mih_response {
        global $DB;
        $service = self::usable_service($servicename);
        $breaker = circuit_breaker::from_service($service);
        if ($DB->is_transaction_started()) {
            $breaker->hold();
        }
        $method = strtoupper($method);
        if (!$breaker->is_available()) {
            request_log::refused($service, $endpoint, $method);
            throw new circuit_open_exception($servicename);
        }
        try {
            $result = (new sender($service, $breaker))->send(self::transport($service), $endpoint, $payload, $method);
        } finally {
            // Whatever went wrong before an answer was judged: somebody else may probe.
            $breaker->settle();
        }
        request_log::sent($service, $endpoint, $method, $result);
        return new mih_response(
            $result['success'],
            $result['http_code'],
            $result['response'],
            $result['error'],
            $result['latency'],
            $result['attempts']
        );
    }

    /**
     * A service that may be called.
     *
     * @param string $name
     * @return \stdClass
     * @throws \moodle_exception
     */
    public static function usable_service(string $name): \stdClass {
        $service = registry::get_service($name);
        if (!$service) {
            throw new \moodle_exception('service_not_found', 'local_integrationhub', '', $name);
        }
        if (empty($service->enabled) || !empty($service->paused)) {
            throw new \moodle_exception('service_disabled', 'local_integrationhub', '', $name);
        }
        return $service;
    }

    /**
     * The transport of a service; a type that nobody knows is REST.
     *
     * @param \stdClass $service
     * @return transport\base
     */
    private static function transport(\stdClass $service): transport\base {
        switch ($service->type) {
            case 'amqp':
                return new transport\amqp();
            case 'soap':
                return new transport\soap();
            default:
                return new transport\http();
        }
    }
}
