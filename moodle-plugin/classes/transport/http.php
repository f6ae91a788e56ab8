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

use local_integrationhub\local\gateway\http_request;
use local_integrationhub\local\gateway\oauth;
use local_integrationhub\local\gateway\outcome;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\rest_url;
use local_integrationhub\local\gateway\secrets;
use local_integrationhub\local\gateway\service_headers;

/**
 * REST services: the payload as JSON, as a form or as text, or in the query of a GET.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class http extends base {
    /** Methods that are known to carry their payload in the query. */
    private const QUERYMETHODS = ['GET', 'HEAD'];

    /**
     * Makes one attempt.
     *
     * @param \stdClass $service
     * @param float $timeout
     * @param string $endpoint
     * @param array $payload
     * @param string $method
     * @param string $id
     * @return outcome
     */
    public function attempt(
        \stdClass $service,
        float $timeout,
        string $endpoint,
        array $payload,
        string $method,
        string $id
    ): outcome {
        $request = $this->request($service, $endpoint, $payload, $method === '' ? 'POST' : $method, $id);
        $request->timeout = $timeout;
        $request->clientcert = secrets::open($service->client_cert ?? null, 'client certificate');
        return oauth::send($service, $request);
    }

    /**
     * Puts the request together, but for a token of OAuth 2.0.
     *
     * @param \stdClass $service
     * @param string $endpoint
     * @param array $payload
     * @param string $method
     * @param string $id
     * @return http_request
     */
    private function request(\stdClass $service, string $endpoint, array $payload, string $method, string $id): http_request {
        if (!preg_match('~^[A-Z]{1,10}$~D', $method)) {
            throw new refused_exception('policy: the method is none of HTTP');
        }
        $url = rest_url::join($service->base_url, $endpoint);
        $inquery = in_array($method, self::QUERYMETHODS, true);
        $request = new http_request($method, $inquery ? rest_url::with_query($url, $payload) : $url);
        $headers = ['Accept' => 'application/json'];
        if (!$inquery) {
            [$request->body, $type] = $this->body($service, $payload);
            $headers = ['Content-Type' => $type] + $headers;
        }
        $custom = service_headers::custom($service, $payload);
        if (in_array('accept', array_map('strtolower', array_keys($custom)), true)) {
            unset($headers['Accept']);
        }
        $headers += service_headers::authorization($service);
        $headers += service_headers::identity($service, $id, (string) $request->body);
        foreach ($headers + $custom as $name => $value) {
            $request->add_header($name, $value);
        }
        return $request;
    }

    /**
     * The body and its type.
     *
     * @param \stdClass $service
     * @param array $payload
     * @return string[]
     */
    private function body(\stdClass $service, array $payload): array {
        switch ($service->body_type ?? 'json') {
            case 'form':
                return [http_build_query($payload, '', '&'), 'application/x-www-form-urlencoded'];
            case 'raw':
                $type = (string) ($service->content_type ?? '') ?: 'text/plain; charset=utf-8';
                // One text is sent as it is; anything else has no form but JSON.
                $istext = count($payload) === 1 && is_string(reset($payload));
                return [$istext ? reset($payload) : $this->json_body($payload), $type];
            default:
                return [$this->json_body($payload), 'application/json'];
        }
    }
}
