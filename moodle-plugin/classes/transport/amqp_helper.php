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

use local_integrationhub\local\config;
use local_integrationhub\local\gateway\amqp_target;
use local_integrationhub\local\gateway\network_guard;
use local_integrationhub\local\gateway\refused_exception;

/**
 * Connections to the brokers of AMQP services, by the amqp extension: guarded, verified, bounded in time.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class amqp_helper {
    /**
     * Connects.
     *
     * @param string $url base_url of a service
     * @param int $timeout seconds, for each step
     * @return \AMQPConnection
     * @throws refused_exception when it may not be connected to
     * @throws \AMQPException when the broker is not to be had
     */
    public static function create_connection(string $url, int $timeout = 5): \AMQPConnection {
        return self::connect(amqp_target::parse($url), (float) $timeout);
    }

    /**
     * Connects to the broker of a target.
     *
     * @param amqp_target $target
     * @param float $timeout seconds, for each step
     * @return \AMQPConnection
     * @throws refused_exception
     * @throws \AMQPException
     */
    public static function connect(amqp_target $target, float $timeout): \AMQPConnection {
        if (!extension_loaded('amqp')) {
            throw new refused_exception('policy: ' . get_string('error_amqpmissing', 'local_integrationhub'));
        }
        $broker = $target->broker;
        $host = network_guard::plain_host($broker->host);
        $addresses = network_guard::addresses($host, $broker->tls);
        if (!$addresses) {
            throw new \AMQPConnectionException('name look-up failed');
        }
        $address = self::first_answering($broker->tls ? 'tls' : 'tcp', $addresses, (int) $broker->port, $timeout);
        $credentials = [
            // With TLS the library needs the name, by which it verifies the certificate, and looks it up again. So all addresses
            // of the name must be allowed; where another look-up leads, nobody has a certificate of the name but its owner.
            'host' => $broker->tls ? $host : $address,
            'port' => $broker->port,
            'vhost' => $broker->vhost,
            'login' => $broker->user,
            'password' => $broker->password,
            'connect_timeout' => $timeout,
            'rpc_timeout' => $timeout,
            'read_timeout' => $timeout,
            'write_timeout' => $timeout,
        ];
        if ($broker->tls) {
            $credentials['cacert'] = config::text('brokercafile') ?: openssl_get_cert_locations()['default_cert_file'];
            $credentials['verify'] = true;
        }
        $connection = new \AMQPConnection($credentials);
        $connection->connect();
        return $connection;
    }

    /**
     * Makes sure that a durable queue is there; one that is there is used as it is.
     *
     * @param \AMQPChannel $channel lost when the queue has to be made: use what is returned
     * @param string $name
     * @param array $arguments of a new queue
     * @return \AMQPChannel
     */
    public static function ensure_queue(\AMQPChannel $channel, string $name, array $arguments = []): \AMQPChannel {
        try {
            self::queue($channel, $name, AMQP_DURABLE | AMQP_PASSIVE)->declareQueue();
            return $channel;
        } catch (\AMQPQueueException $e) {
            if ($e->getCode() !== 404) {
                throw $e;
            }
        }
        // The broker closes a channel on which something was not found.
        $channel = new \AMQPChannel($channel->getConnection());
        $queue = self::queue($channel, $name, AMQP_DURABLE);
        if ($arguments) {
            $queue->setArguments($arguments);
        }
        $queue->declareQueue();
        return $channel;
    }

    /**
     * A queue by its name; not declared.
     *
     * @param \AMQPChannel $channel
     * @param string $name
     * @param int $flags
     * @return \AMQPQueue
     */
    public static function queue(\AMQPChannel $channel, string $name, int $flags = AMQP_NOPARAM): \AMQPQueue {
        $queue = new \AMQPQueue($channel);
        $queue->setName($name);
        $queue->setFlags($flags);
        return $queue;
    }

    /**
     * The first address that answers, all within one time-out.
     *
     * @param string $scheme
     * @param string[] $addresses
     * @param int $port
     * @param float $timeout
     * @return string
     * @throws \AMQPConnectionException when none does
     */
    private static function first_answering(string $scheme, array $addresses, int $port, float $timeout): string {
        $deadline = microtime(true) + $timeout;
        foreach ($addresses as $i => $address) {
            try {
                // Each may take its part of what is left.
                $share = max(0.1, ($deadline - microtime(true)) / (count($addresses) - $i));
                self::require_answer($scheme, $address, $port, $share);
                return $address;
            } catch (\AMQPConnectionException $e) {
                $trouble = $e;
            }
        }
        throw $trouble;
    }

    /**
     * Asks whether anybody answers: the library's own handshake has a time-out of twelve seconds that cannot be set.
     *
     * @param string $scheme
     * @param string $address
     * @param int $port
     * @param float $timeout
     * @throws \AMQPConnectionException when nobody does
     */
    private static function require_answer(string $scheme, string $address, int $port, float $timeout): void {
        $host = strpos($address, ':') === false ? $address : "[$address]";
        // Nothing secret is sent, so the certificate need not be verified here.
        $context = stream_context_create(['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]]);
        $socket = @stream_socket_client("$scheme://$host:$port", $code, $text, $timeout, STREAM_CLIENT_CONNECT, $context);
        if ($socket === false) {
            throw new \AMQPConnectionException("no connection: $text");
        }
        stream_set_timeout($socket, (int) $timeout, (int) (fmod($timeout, 1) * 1000000));
        fwrite($socket, "AMQP\x00\x00\x09\x01");
        $answer = fread($socket, 1);
        fclose($socket);
        if ($answer !== "\x01") {
            throw new \AMQPConnectionException('no connection: the broker does not answer');
        }
    }
}
