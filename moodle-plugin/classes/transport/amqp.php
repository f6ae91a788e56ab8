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

use local_integrationhub\local\gateway\amqp_target;
use local_integrationhub\local\gateway\outcome;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\service_headers;

/**
 * AMQP services: the payload is published, persistent, and counts as delivered when the broker has confirmed it and has not
 * returned it. One connection for each service is kept as long as the process works.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class amqp extends base {
    /** @var \AMQPChannel[] in confirm mode, by what tells one connection from another */
    private static $channels = [];

    /** @var array what the broker said of the message under way */
    private $said = [];

    /**
     * Makes one attempt; the method is none of AMQP's business.
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
        $target = amqp_target::parse($service->base_url);
        $key = $target->key($endpoint);
        $body = $this->json_body($payload);
        $properties = [
            'content_type' => 'application/json',
            'delivery_mode' => 2,
            'message_id' => $id,
            'timestamp' => time(),
            'headers' => service_headers::identity($service, $id, $body) + service_headers::custom($service, $payload),
        ];
        $name = $service->id . ' ' . hash('sha256', $service->base_url);
        try {
            $this->publish($name, $target, $timeout, [$body, $key, AMQP_MANDATORY, $properties]);
        } catch (\AMQPException $e) {
            unset(self::$channels[$name]);
            return $this->explain($e, $target);
        }
        return $this->outcome($target, $key, $name);
    }

    /**
     * Publishes, and waits for the broker's answer.
     *
     * @param string $name of the connection
     * @param amqp_target $target
     * @param float $timeout
     * @param array $message body, key, flags, properties
     */
    private function publish(string $name, amqp_target $target, float $timeout, array $message): void {
        $channel = self::$channels[$name] ?? null;
        if ($channel === null || !$channel->isConnected()) {
            $channel = self::open($target, $timeout);
            self::$channels[$name] = $channel;
        }
        $this->said = [];
        // The return comes before the acknowledgement, so only that ends the wait.
        $channel->setReturnCallback(function () {
            $this->said['returned'] = true;
            return true;
        });
        $channel->setConfirmCallback(function (): bool {
            $this->said['ack'] = true;
            return false;
        }, function (): bool {
            $this->said['nack'] = true;
            return false;
        });
        $exchange = new \AMQPExchange($channel);
        $exchange->setName($target->exchange);
        $exchange->publish(...$message);
        $channel->waitForConfirm($timeout);
    }

    /**
     * Opens a channel, and declares what the URL asks for.
     *
     * @param amqp_target $target
     * @param float $timeout
     * @return \AMQPChannel
     */
    private static function open(amqp_target $target, float $timeout): \AMQPChannel {
        $channel = new \AMQPChannel(amqp_helper::connect($target, $timeout));
        if ($target->dlq !== '') {
            $channel = amqp_helper::ensure_queue($channel, $target->dlq);
        }
        if ($target->queue !== '') {
            $letters = ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $target->dlq];
            $channel = amqp_helper::ensure_queue($channel, $target->queue, $target->dlq === '' ? [] : $letters);
        }
        $channel->confirmSelect();
        return $channel;
    }

    /**
     * What the broker's answer means.
     *
     * @param amqp_target $target
     * @param string $key
     * @param string $name of the connection
     * @return outcome
     */
    private function outcome(amqp_target $target, string $key, string $name): outcome {
        $where = ($target->exchange === '' ? 'DefEx' : 'Ex:' . $target->exchange) . " -> RK:$key";
        if (isset($this->said['ack'])) {
            return isset($this->said['returned'])
                ? new outcome(outcome::UNROUTED, 0, null, "AMQP Error: unroutable: no queue takes $where")
                : new outcome(outcome::CONFIRMED, 0, "Published to $where");
        }
        unset(self::$channels[$name]);
        return isset($this->said['nack'])
            ? new outcome(outcome::NACKED, 0, null, 'AMQP Error: refused by the broker')
            : new outcome(outcome::LOST, 0, null, 'AMQP Error: no confirm in time');
    }

    /**
     * What an exception of the extension means.
     *
     * @param \AMQPException $e
     * @param amqp_target $target
     * @return outcome
     */
    private function explain(\AMQPException $e, amqp_target $target): outcome {
        $text = str_replace([$target->broker->password, rawurlencode($target->broker->password)], '***', $e->getMessage());
        $kind = outcome::LOST;
        $isrefused = in_array($e->getCode(), [403, 530], true);
        if ($isrefused || preg_match('~ACCESS_REFUSED|NOT_ALLOWED|username or password~i', $text)) {
            $kind = outcome::ACCESS;
        } else if ($e->getCode() === 404) {
            $kind = outcome::UNROUTED;
        } else if (strpos($text, 'name look-up') === 0) {
            $kind = outcome::DNS;
        } else if (preg_match('~certificate|ssl|tls~i', $text)) {
            $kind = outcome::TLS;
        }
        return new outcome($kind, 0, null, 'AMQP Error: ' . $text);
    }
}
