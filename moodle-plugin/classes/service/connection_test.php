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

use local_integrationhub\local\amqp_service_url;
use local_integrationhub\local\gateway\amqp_target;
use local_integrationhub\local\gateway\http_request;
use local_integrationhub\local\gateway\outcome;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\rest_url;
use local_integrationhub\local\gateway\signature;
use local_integrationhub\local\secrets;
use local_integrationhub\local\uuid;
use local_integrationhub\transport\amqp_helper;

/**
 * Tries a service from this web server: by its address, its credentials and its signature, without a worker.
 *
 * REST sends one request, SOAP fetches the WSDL, AMQP connects and looks for the exchange. Nothing of a secret is in the result.
 * What the gateway may not reach (local/gateway/network_guard.php), this does not reach either. The worker fleet may be in
 * another network, with other rules of what it may reach.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class connection_test {
    /** Methods of a request. */
    public const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

    /** Bytes of an answer that are shown. */
    private const EXCERPT = 4096;

    /**
     * Tries a service.
     *
     * @param \stdClass $service
     * @param string $method of a REST request
     * @param string $path of a REST request
     * @param string $body of a REST request
     * @return \stdClass success, error, request, status, milliseconds, headers, body
     */
    public static function run(\stdClass $service, string $method = 'GET', string $path = '', string $body = ''): \stdClass {
        try {
            if ($service->type === 'amqp') {
                return self::amqp($service);
            }
            return $service->type === 'soap' ? self::soap($service) : self::rest($service, $method, $path, $body);
        } catch (\moodle_exception | refused_exception $e) {
            return self::result($service, '', ['error' => $e->getMessage()]);
        }
    }

    /**
     * Sends a request.
     *
     * @param \stdClass $service
     * @param string $method
     * @param string $path
     * @param string $body
     * @return \stdClass
     */
    private static function rest(\stdClass $service, string $method, string $path, string $body): \stdClass {
        $request = new http_request($method, rest_url::join($service->base_url, $path));
        $request->add_header('Accept', 'application/json');
        if (!in_array($method, ['GET', 'HEAD'], true)) {
            $request->add_header('Content-Type', 'application/json');
            $request->body = $body;
        }
        self::sign($request, $service);
        $began = microtime(true);
        $outcome = credentials::send($request, $service);
        $isanswer = $outcome->kind === outcome::HTTP && in_array($outcome->error, [null, "HTTP $outcome->status"], true);
        return self::result($service, "$method " . secrets::masked($request->url), [
            'error' => $isanswer ? '' : (string) $outcome->error,
            'status' => $isanswer ? (int) $outcome->status : 0,
            'milliseconds' => self::since($began),
            'headers' => $outcome->headers,
            'body' => (string) $outcome->body,
        ], $request);
    }

    /**
     * Adds the headers of Standard Webhooks: id, time and, with a signing secret, the signature.
     *
     * @param http_request $request
     * @param \stdClass $service
     */
    private static function sign(http_request $request, \stdClass $service): void {
        $id = 'test-' . uuid::v7();
        $now = time();
        $request->add_header('webhook-id', $id);
        $request->add_header('webhook-timestamp', (string) $now);
        $signature = signature::header($service, $id, $now, (string) $request->body);
        if ($signature !== '') {
            $request->add_header('webhook-signature', $signature);
        }
    }

    /**
     * Fetches the WSDL.
     *
     * @param \stdClass $service
     * @return \stdClass
     */
    private static function soap(\stdClass $service): \stdClass {
        $began = microtime(true);
        $operations = wsdl_operations::of_url($service->base_url, $service);
        return self::result($service, 'GET ' . secrets::masked($service->base_url), [
            'status' => 200,
            'milliseconds' => self::since($began),
            'body' => get_string('wsdl_operations', 'local_integrationhub') . ': ' . implode(', ', $operations),
        ]);
    }

    /**
     * Connects to the broker.
     *
     * @param \stdClass $service
     * @return \stdClass
     */
    private static function amqp(\stdClass $service): \stdClass {
        $target = amqp_target::parse($service->base_url);
        $request = 'CONNECT ' . amqp_service_url::url(['pass' => ''] + amqp_service_url::parts($service->base_url));
        $began = microtime(true);
        $error = '';
        try {
            $connection = amqp_helper::connect($target, (float) min(credentials::MAX_SECONDS, (int) $service->timeout));
            if ($target->exchange !== '') {
                $exchange = new \AMQPExchange(new \AMQPChannel($connection));
                $exchange->setName($target->exchange);
                $exchange->setType('topic');
                $exchange->setFlags(AMQP_PASSIVE);
                $exchange->declareExchange();
            }
            $connection->disconnect();
        } catch (\AMQPException | refused_exception $e) {
            $password = $target->broker->password;
            $error = str_replace(array_filter([$password, rawurlencode($password)]), '***', $e->getMessage());
        }
        $body = $error === '' ? get_string('amqp_connected', 'local_integrationhub') : '';
        return self::result($service, $request, ['error' => $error, 'milliseconds' => self::since($began), 'body' => $body]);
    }

    /**
     * How long something took.
     *
     * @param float $began
     * @return int milliseconds
     */
    private static function since(float $began): int {
        return (int) round((microtime(true) - $began) * 1000);
    }

    /**
     * A result with all its parts, and without the secrets that the answer may repeat.
     *
     * @param \stdClass $service
     * @param string $what was tried
     * @param array $call
     * @param http_request|null $request that was sent
     * @return \stdClass
     */
    private static function result(\stdClass $service, string $what, array $call, ?http_request $request = null): \stdClass {
        $call += ['error' => '', 'status' => 0, 'milliseconds' => 0, 'headers' => [], 'body' => ''];
        $call['success'] = $call['error'] === '' && ($call['status'] === 0 || intdiv($call['status'], 100) === 2);
        $masked = function (string $text) use ($service, $request): string {
            return fix_utf8(credentials::mask($text, $service, $request));
        };
        $call['request'] = $masked($what);
        $call['error'] = $masked($call['error']);
        $headers = [];
        foreach ($call['headers'] as $name => $value) {
            $headers[$masked((string) $name)] = $masked($value);
        }
        $call['headers'] = $headers;
        // Before it is cut: half a secret would not be found.
        $body = $masked($call['body']);
        $call['body'] = \core_text::substr($body, 0, self::EXCERPT);
        $call['more'] = strlen($call['body']) < strlen($body);
        return (object) $call;
    }
}
