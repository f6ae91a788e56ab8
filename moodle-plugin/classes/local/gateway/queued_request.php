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

namespace local_integrationhub\local\gateway;

use local_integrationhub\local\message;
use local_integrationhub\local\publisher;
use local_integrationhub\mih;
use local_integrationhub\rule\registry;

/**
 * A request of the gateway that the worker fleet sends: it goes the way of the events.
 *
 * For the fleet it is a message like any other, with an event name of its own for each service, so that the broker brings it
 * to that service's queue and nowhere else; endpoint and payload are in it. The rule that makes the request of it belongs to
 * the hub: there is one for each service, method and number of path segments that was ever asked for, made at the first time
 * and shown among the others. An administrator who disables it turns queued requests of that kind off.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class queued_request {
    /** Most segments of a path. */
    private const MAXSEGMENTS = 12;

    /** Seconds to wait for another process that makes the rule. */
    private const LOCKTIME = 10;

    /** Methods of rules. */
    private const METHODS = registry::METHODS;

    /**
     * Hands a request over.
     *
     * @param string $servicename
     * @param string $endpoint
     * @param array $payload
     * @param string $method '' is POST
     * @return string id of the message
     * @throws \moodle_exception
     */
    public static function hand_over(string $servicename, string $endpoint, array $payload, string $method): string {
        $service = mih::usable_service($servicename);
        $method = $service->type === 'rest' && $method !== '' ? $method : 'POST';
        if (!in_array($method, self::METHODS, true)) {
            throw self::fault(get_string('error_queue_method', 'local_integrationhub', implode(', ', self::METHODS)));
        }
        $path = self::segments($endpoint);
        self::require_rule($service, $method, count($path));
        $message = self::message($service, $method, $path, $payload);
        publisher::instance()->submit($message);
        return $message->id;
    }

    /**
     * The event name of a service's queued requests.
     *
     * @param int $serviceid
     * @return string
     */
    public static function event_name(int $serviceid): string {
        return '\local_integrationhub\event\request_' . $serviceid;
    }

    /**
     * The message.
     *
     * @param \stdClass $service
     * @param string $method
     * @param string[] $path
     * @param array $payload
     * @return message
     */
    private static function message(\stdClass $service, string $method, array $path, array $payload): message {
        global $USER;
        $other = ['call' => self::call($method, count($path)), 'path' => $path, 'payload' => $payload];
        if (($service->body_type ?? '') === 'raw') {
            $istext = count($payload) === 1 && is_string(reset($payload));
            $other['text'] = $istext ? reset($payload) : ($payload ? json_encode($payload) : '');
        }
        $name = self::event_name((int) $service->id);
        $body = json_encode([
            'eventname' => $name,
            'component' => 'local_integrationhub',
            'action' => 'queued',
            'target' => 'request',
            'userid' => (int) ($USER->id ?? 0),
            'timecreated' => time(),
            'other' => $other,
        ]);
        if ($body === false) {
            throw self::fault(json_last_error_msg());
        }
        return new message($name, $body, time(), true);
    }

    /**
     * Which rule a message is for.
     *
     * @param string $method
     * @param int $segments
     * @return string
     */
    private static function call(string $method, int $segments): string {
        return "$method $segments";
    }

    /**
     * The segments of an endpoint, decoded: the rule encodes them again.
     *
     * @param string $endpoint
     * @return string[]
     * @throws \moodle_exception
     */
    private static function segments(string $endpoint): array {
        $path = ltrim($endpoint, '/');
        if (preg_match('~[\x00-\x20\x7f\\\\#?]~', $path)) {
            throw self::fault(get_string('error_queue_endpoint', 'local_integrationhub'));
        }
        $segments = $path === '' ? [] : array_map('rawurldecode', explode('/', $path));
        if (count($segments) > self::MAXSEGMENTS || array_intersect($segments, ['.', '..'])) {
            throw self::fault(get_string('error_queue_endpoint', 'local_integrationhub'));
        }
        return $segments;
    }

    /**
     * Sees to it that there is a rule, and that it may be used.
     *
     * @param \stdClass $service
     * @param string $method
     * @param int $segments
     * @throws \moodle_exception when it is disabled
     */
    private static function require_rule(\stdClass $service, string $method, int $segments): void {
        $rule = self::find_rule($service, $method, $segments);
        if ($rule === null) {
            $factory = \core\lock\lock_config::get_lock_factory('local_integrationhub');
            $lock = $factory->get_lock('queue_rule_' . $service->id, self::LOCKTIME);
            if (!$lock) {
                throw self::fault(get_string('locktimeout', 'error'));
            }
            try {
                $rule = self::find_rule($service, $method, $segments);
                if ($rule === null) {
                    registry::create_rule((object) self::rule($service, $method, $segments));
                    return;
                }
            } finally {
                $lock->release();
            }
        }
        if (empty($rule->enabled)) {
            throw self::fault(get_string('error_queue_disabled', 'local_integrationhub', $rule->id));
        }
    }

    /**
     * The rule, when there is one.
     *
     * @param \stdClass $service
     * @param string $method
     * @param int $segments
     * @return \stdClass|null
     */
    private static function find_rule(\stdClass $service, string $method, int $segments): ?\stdClass {
        global $DB;
        $wanted = self::rule($service, $method, $segments);
        $conditions = ['eventname' => $wanted['eventname'], 'serviceid' => $service->id, 'http_method' => $method];
        foreach ($DB->get_records(registry::TABLE, $conditions, 'id') as $rule) {
            // The filter tells the path's length; the template goes with the service's body type.
            if ($rule->filter === $wanted['filter'] && $rule->payload_template === $wanted['payload_template']) {
                return $rule;
            }
        }
        return null;
    }

    /**
     * The fields of the rule.
     *
     * @param \stdClass $service
     * @param string $method
     * @param int $segments
     * @return array
     */
    private static function rule(\stdClass $service, string $method, int $segments): array {
        $path = [];
        for ($i = 0; $i < $segments; $i++) {
            $path[] = "{{other.path.$i}}";
        }
        return [
            'eventname' => self::event_name((int) $service->id),
            'serviceid' => (int) $service->id,
            'endpoint' => implode('/', $path),
            'http_method' => $method,
            'payload_template' => ($service->body_type ?? '') === 'raw' ? '{{other.text}}' : '{{other.payload}}',
            'filter' => json_encode(['other.call' => ['$eq' => self::call($method, $segments)]]),
            'enabled' => 1,
        ];
    }

    /**
     * The exception for a request that cannot be queued.
     *
     * @param string $why
     * @return \moodle_exception
     */
    private static function fault(string $why): \moodle_exception {
        return new \moodle_exception('error_queue', 'local_integrationhub', '', $why);
    }
}
