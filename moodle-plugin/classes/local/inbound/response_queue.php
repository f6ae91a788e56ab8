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

namespace local_integrationhub\local\inbound;

use local_integrationhub\local\gateway\amqp_target;
use local_integrationhub\local\gateway\request_log;
use local_integrationhub\local\gateway\secrets;
use local_integrationhub\transport\amqp_helper;
use local_integrationhub\webhook_handler;

/**
 * Takes the messages of one service's response queue.
 *
 * A message is acknowledged after its event was raised. One that is no JSON object never becomes one: it is rejected, so that
 * it goes where the queue's owner has its dead letters go, and is kept with its reason among the hub's dead letters, as
 * discarded. One whose handling fails comes back once; when it fails again it is treated like a bad one, so none holds up
 * those behind it. A task that was killed, or a connection that broke, is no failure of its message.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class response_queue {
    /** Most bytes of a message that are kept. */
    private const MAXKEPT = 65536;

    /** Largest message in bytes. */
    private const MAXBYTES = 1048576;

    /** @var \stdClass */
    private $service;

    /** @var int messages handled */
    public $handled = 0;

    /** @var int messages rejected */
    public $rejected = 0;

    /**
     * Constructor.
     *
     * @param \stdClass $service
     */
    public function __construct(\stdClass $service) {
        $this->service = $service;
    }

    /**
     * Takes what is there.
     *
     * @param int $most messages
     * @param float $until when to stop, at the latest
     * @throws \Exception when the broker is not to be had; what was taken is settled
     */
    public function consume(int $most, float $until): void {
        $timeout = max(1.0, (float) $this->service->timeout);
        $channel = new \AMQPChannel(amqp_helper::connect(amqp_target::parse($this->service->base_url), $timeout));
        $channel = amqp_helper::ensure_queue($channel, $this->service->response_queue);
        $queue = amqp_helper::queue($channel, $this->service->response_queue);
        try {
            for ($i = 0; $i < $most && microtime(true) < $until && !webhook_handler::is_disturbed(); $i++) {
                $envelope = $queue->get(AMQP_NOPARAM);
                if (!$envelope || !$this->settle($queue, $envelope)) {
                    break;
                }
            }
        } finally {
            $channel->getConnection()->disconnect();
        }
    }

    /**
     * Handles one message.
     *
     * @param \AMQPQueue $queue
     * @param \AMQPEnvelope $envelope
     * @return bool false: it has been put back, and should be left alone for now
     */
    private function settle(\AMQPQueue $queue, \AMQPEnvelope $envelope): bool {
        $body = (string) $envelope->getBody();
        try {
            if (strlen($body) > self::MAXBYTES) {
                throw new refusal(413, 'webhook_too_large', self::MAXBYTES);
            }
            $payload = endpoint::decode($body);
        } catch (refusal $e) {
            request_log::inbound($this->service, 'amqp', $e->getMessage());
            $this->reject($queue, $envelope, $e->getMessage(), 1);
            return true;
        }
        $result = webhook_handler::handle($this->service, $payload, 'amqp');
        if ($result['success']) {
            $queue->ack($envelope->getDeliveryTag());
            $this->handled++;
            return true;
        }
        // The broker's flag alone may come from a task that was killed, the note alone from another message that is the same.
        $key = implode("\0", [$this->service->response_queue, $envelope->getMessageId(), $body]);
        if (limits::note_failure((int) $this->service->id, $key) && $envelope->isRedelivery()) {
            $this->reject($queue, $envelope, (string) $result['error'], 2);
            limits::forget_failure((int) $this->service->id, $key);
            return true;
        }
        $queue->nack($envelope->getDeliveryTag(), AMQP_REQUEUE);
        return false;
    }

    /**
     * Rejects a message for good, after it was written down.
     *
     * @param \AMQPQueue $queue
     * @param \AMQPEnvelope $envelope
     * @param string $reason
     * @param int $attempts
     */
    private function reject(\AMQPQueue $queue, \AMQPEnvelope $envelope, string $reason, int $attempts): void {
        global $DB;
        $now = time();
        $DB->insert_record('local_integrationhub_dlq', (object) [
            'eventname' => '\local_integrationhub\event\webhook_received',
            'serviceid' => $this->service->id,
            'payload' => str_replace("\0", '', fix_utf8(substr((string) $envelope->getBody(), 0, self::MAXKEPT))),
            'error_message' => secrets::mask($reason, $this->service),
            'endpoint' => $this->service->response_queue,
            'http_method' => 'INBOUND',
            'attempts' => $attempts,
            'messageid' => \core_text::substr(fix_utf8((string) $envelope->getMessageId()), 0, 127) ?: null,
            'state' => 'discarded',
            'timecreated' => $now,
            'timefirst' => $now,
            'timemodified' => $now,
        ]);
        $queue->reject($envelope->getDeliveryTag(), AMQP_NOPARAM);
        $this->rejected++;
    }
}
