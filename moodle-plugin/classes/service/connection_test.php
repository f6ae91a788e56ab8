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
use local_integrationhub\local\secrets;
use local_integrationhub\local\uuid;

/**
 * Tries a service from this web server: by its address, its credentials and its signature, without a worker.
 *
 * REST sends one request, SOAP fetches the WSDL, AMQP connects and looks for the exchange. Nothing of a secret is in the result.
 * The worker fleet may be in another network, with other rules of what it may reach.
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
        } catch (\moodle_exception $e) {
            return self::result('', ['error' => $e->getMessage()]);
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
        $url = rtrim($service->base_url, '/') . '/' . ltrim($path, '/');
        $hasbody = !in_array($method, ['GET', 'HEAD'], true);
        $body = $hasbody ? $body : '';
        $headers = ['Accept' => 'application/json'] + ($hasbody ? ['Content-Type' => 'application/json'] : []);
        $headers += credentials::headers($service) + credentials::signature($service, 'test-' . uuid::v7(), $body);
        $certificate = secrets::open((string) $service->client_cert);
        $call = http_call::send($method, $url, $headers, $body, (int) $service->timeout, $certificate);
        return self::result("$method " . secrets::masked($url), (array) $call);
    }

    /**
     * Fetches the WSDL.
     *
     * @param \stdClass $service
     * @return \stdClass
     */
    private static function soap(\stdClass $service): \stdClass {
        $headers = in_array($service->auth_type, ['wsse', 'wssetext'], true) ? [] : credentials::headers($service);
        $began = microtime(true);
        $operations = wsdl_operations::of_url($service->base_url, $headers);
        return self::result('GET ' . secrets::masked($service->base_url), [
            'status' => 200,
            'milliseconds' => (int) round((microtime(true) - $began) * 1000),
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
        if (!class_exists(\AMQPConnection::class)) {
            throw new \moodle_exception('error_amqpmissing', 'local_integrationhub');
        }
        $parts = amqp_service_url::parts($service->base_url);
        $request = 'CONNECT ' . amqp_service_url::url(['pass' => ''] + $parts);
        // Moodle's list of blocked hosts is for HTTP; what it blocks there is as unwelcome here.
        $host = strpos($parts['host'], ':') === false ? $parts['host'] : "[{$parts['host']}]";
        $security = new \core\files\curl_security_helper();
        if ($security->url_is_blocked("https://$host/")) {
            return self::result($request, ['error' => $security->get_blocked_url_string()]);
        }
        $began = microtime(true);
        $error = '';
        try {
            $connection = new \AMQPConnection(self::login($parts, min(30, (int) $service->timeout)));
            $connection->connect();
            if ($parts['exchange'] !== '') {
                $exchange = new \AMQPExchange(new \AMQPChannel($connection));
                $exchange->setName($parts['exchange']);
                $exchange->setType('topic');
                $exchange->setFlags(AMQP_PASSIVE);
                $exchange->declareExchange();
            }
            $connection->disconnect();
        } catch (\AMQPException $e) {
            $error = $e->getMessage();
        }
        $milliseconds = (int) round((microtime(true) - $began) * 1000);
        $body = $error === '' ? get_string('amqp_connected', 'local_integrationhub') : '';
        return self::result($request, ['error' => $error, 'milliseconds' => $milliseconds, 'body' => $body]);
    }

    /**
     * What the amqp extension wants to know.
     *
     * @param array $parts of the address
     * @param int $timeout seconds
     * @return array
     */
    private static function login(array $parts, int $timeout): array {
        $login = [
            'host' => $parts['host'],
            'port' => $parts['port'],
            'vhost' => $parts['vhost'],
            'login' => $parts['user'],
            'password' => $parts['pass'] === '' ? 'guest' : secrets::open($parts['pass']),
        ];
        $login += array_fill_keys(['connect_timeout', 'rpc_timeout', 'read_timeout', 'write_timeout'], $timeout);
        if ($parts['tls']) {
            $login += ['cacert' => openssl_get_cert_locations()['default_cert_file'], 'verify' => true];
        }
        return $login;
    }

    /**
     * A result with all its parts.
     *
     * @param string $request what was tried, without secrets
     * @param array $call
     * @return \stdClass
     */
    private static function result(string $request, array $call): \stdClass {
        $call += ['error' => '', 'status' => 0, 'milliseconds' => 0, 'headers' => [], 'body' => ''];
        $call['success'] = $call['error'] === '' && ($call['status'] === 0 || intdiv($call['status'], 100) === 2);
        $call['request'] = $request;
        $body = fix_utf8($call['body']);
        $call['body'] = \core_text::substr($body, 0, self::EXCERPT);
        $call['more'] = strlen($call['body']) < strlen($body);
        return (object) $call;
    }
}
