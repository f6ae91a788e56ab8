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

/**
 * What came of one attempt to send a request, as the transport saw it.
 *
 * The kinds are those of the worker (dispatcher/verdict.h); what each means is decided in verdict.php alone.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class outcome {
    /** A whole answer: the status is valid. */
    public const HTTP = 'http';

    /** The name could not be looked up. */
    public const DNS = 'dns';

    /** No connection. */
    public const CONNECT = 'connect';

    /** No answer in time. */
    public const TIMEOUT = 'timeout';

    /** Reset, partial, empty, garbled or too large an answer. */
    public const BROKEN = 'broken';

    /** Certificate not valid, handshake refused. */
    public const TLS = 'tls';

    /** The request itself cannot be sent. */
    public const INVALID = 'invalid';

    /** Our own fault, such as a missing extension. */
    public const LOCAL = 'local';

    /** A SOAP fault that blames our message. */
    public const FAULT_SENDER = 'fault_sender';

    /** A SOAP fault that does not. */
    public const FAULT_RECEIVER = 'fault_receiver';

    /** AMQP: the broker has it, and queues for it. */
    public const CONFIRMED = 'confirmed';

    /** AMQP: no queue is bound for it, or there is no such exchange. */
    public const UNROUTED = 'unrouted';

    /** AMQP: the broker does not take it. */
    public const NACKED = 'nacked';

    /** AMQP: the connection broke before the confirm. */
    public const LOST = 'lost';

    /** AMQP: user, password, virtual host or permissions. */
    public const ACCESS = 'access';

    /** @var string one of the kinds */
    public $kind;

    /** @var int|null what the caller gets as HTTP status */
    public $status;

    /** @var string|null body of the answer */
    public $body;

    /** @var string|null what went wrong, for people; null when nothing did */
    public $error;

    /** @var int|null seconds that the service asks to wait */
    public $retryafter = null;

    /** @var string[] headers of an HTTP answer, name => value */
    public $headers = [];

    /**
     * Constructor.
     *
     * @param string $kind
     * @param int|null $status
     * @param string|null $body
     * @param string|null $error
     */
    public function __construct(string $kind, ?int $status = null, ?string $body = null, ?string $error = null) {
        $this->kind = $kind;
        $this->status = $status;
        $this->body = $body;
        $this->error = $error;
    }

    /**
     * A request that can never be sent.
     *
     * @param string $why
     * @return self
     */
    public static function invalid(string $why): self {
        return new self(self::INVALID, 0, null, strncmp($why, 'policy: ', 8) === 0 ? $why : 'policy: ' . $why);
    }
}
