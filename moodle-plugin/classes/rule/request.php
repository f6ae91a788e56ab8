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

namespace local_integrationhub\rule;

/**
 * The request that a rule makes of an event, as the worker makes it, for previews: without secrets, time and message id.
 *
 * tests/cases is made by both.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class request {
    /** @var string method, AMQP for a message */
    public $method;

    /** @var string address */
    public $url;

    /** @var array headers: name => value; those that prove who calls have *** for the secret */
    public $headers = [];

    /** @var string body */
    public $body = '';

    /**
     * Makes a request.
     *
     * @param \stdClass $rule endpoint, http_method, payload_template
     * @param \stdClass $service
     * @param event_data $data
     * @return self
     * @throws syntax_exception when the event and the rule make no request
     */
    public static function of(\stdClass $rule, \stdClass $service, event_data $data): self {
        $request = new self();
        $method = strtoupper((string) ($rule->http_method ?? '')) ?: 'POST';
        $type = in_array($service->type, ['amqp', 'soap'], true) ? $service->type : 'rest';
        $israw = $type === 'rest' && ($service->body_type ?? 'json') === 'raw' && $method !== 'GET';
        $template = (string) ($rule->payload_template ?? '');
        if (template::is_none($template)) {
            $payload = $data->json;
        } else {
            $payload = $israw ? renderer::text($template, $data) : renderer::json($template, $data);
        }
        $endpoint = renderer::text((string) ($rule->endpoint ?? ''), $data, $type === 'rest');
        if ($type === 'amqp') {
            $request->message($service, $endpoint, $payload);
        } else if ($type === 'soap') {
            $request->method = 'POST';
            $request->url = $service->base_url . '#' . ltrim($endpoint, '/');
            $request->headers = ['Content-Type' => 'text/xml'];
            $request->body = $payload;
        } else {
            $request->method = $method;
            $request->url = self::address($service->base_url, $endpoint);
            $request->rest((string) ($service->body_type ?? 'json'), $service, $payload);
        }
        if ($type !== 'amqp') {
            $request->add_headers($service, $data);
        }
        return $request;
    }

    /**
     * Base and endpoint joined.
     *
     * @param string $base
     * @param string $endpoint
     * @return string
     */
    private static function address(string $base, string $endpoint): string {
        if (preg_match('~(^|/)\.{1,2}(/|$|[?#])~', str_ireplace('%2e', '.', $endpoint))) {
            throw new syntax_exception('the endpoint holds a "." or ".." segment');
        }
        return rtrim($base, '/') . '/' . ltrim($endpoint, '/');
    }

    /**
     * What a REST request carries.
     *
     * @param string $bodytype
     * @param \stdClass $service
     * @param string $payload
     */
    private function rest(string $bodytype, \stdClass $service, string $payload): void {
        if ($this->method === 'GET') {
            $query = self::form($payload);
            $this->url .= $query === '' ? '' : (strpos($this->url, '?') === false ? '?' : '&') . $query;
            return;
        }
        if ($bodytype === 'raw') {
            $this->headers['Content-Type'] = (string) ($service->content_type ?? '') ?: 'text/plain';
            $this->body = $payload;
        } else if ($bodytype === 'form') {
            $this->headers['Content-Type'] = 'application/x-www-form-urlencoded';
            $this->body = self::form($payload);
        } else {
            $this->headers['Content-Type'] = 'application/json';
            $this->body = $payload === '[]' || $payload === '{}' ? '' : $payload;
        }
    }

    /**
     * A payload as a form.
     *
     * @param string $payload
     * @return string
     */
    private static function form(string $payload): string {
        $node = json_reader::read(new source($payload), 512);
        if ($node['type'] !== 'object' && $node['type'] !== 'array') {
            throw new syntax_exception('a form needs a payload that is an object or an array');
        }
        return http_build_query(value::php($node), '', '&');
    }

    /**
     * A message of AMQP.
     *
     * @param \stdClass $service
     * @param string $endpoint
     * @param string $payload
     */
    private function message(\stdClass $service, string $endpoint, string $payload): void {
        parse_str((string) parse_url($service->base_url, PHP_URL_QUERY), $query);
        $exchange = (string) ($query['exchange'] ?? '');
        $key = ltrim($endpoint, '/') ?: (string) ($query['routing_key'] ?? '');
        if ($key === '' && $exchange === '') {
            $key = (string) ($query['queue_declare'] ?? '');
        }
        $address = preg_replace('~^(amqps?://)[^/?#]*@~i', '$1', strtok($service->base_url, '?'));
        $this->method = 'AMQP';
        $this->url = $address . '?exchange=' . rawurlencode($exchange) . '&routing_key=' . rawurlencode($key);
        $this->headers = ['Content-Type' => 'application/json'];
        $this->body = $payload === '[]' || $payload === '{}' ? '' : $payload;
    }

    /**
     * The headers of all requests: who calls, with the secret hidden, and those of the service.
     *
     * @param \stdClass $service
     * @param event_data $data
     */
    private function add_headers(\stdClass $service, event_data $data): void {
        $this->headers['Accept'] = 'application/json';
        if ((string) ($service->auth_token ?? '') !== '') {
            if ($service->auth_type === 'apikey') {
                $this->headers[(string) ($service->auth_header ?? '') ?: 'X-API-Key'] = '***';
            } else if ($service->auth_type === 'bearer' || $service->auth_type === 'oauth2') {
                $this->headers['Authorization'] = 'Bearer ***';
            } else if ($service->auth_type === 'basic') {
                $this->headers['Authorization'] = 'Basic ***';
            }
        }
        foreach ((array) json_decode((string) ($service->headers ?? ''), true) as $name => $value) {
            if (is_string($value)) {
                $this->headers[$name] = renderer::text($value, $data);
            }
        }
    }
}
