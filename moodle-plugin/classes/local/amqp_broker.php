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

namespace local_integrationhub\local;

/**
 * RabbitMQ by the amqp extension: one persistent connection per PHP process, one channel per request, publisher confirms.
 *
 * A message is safe when the broker has acknowledged it and has not returned it: a broker acknowledges what no queue takes,
 * too. The return comes before the acknowledgement.
 *
 * Every wait has a budget. The library's own handshake has a time-out of twelve seconds that cannot be set: before a web
 * process makes its first connection, a socket of our own asks whether the broker answers the protocol header (the broker
 * logs that as a connection closed early, once for each PHP process). After any failure the connection is dropped, so that
 * no late answer of the broker is taken for another message's.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class amqp_broker implements broker {
    /** So many confirm budgets where nobody's page waits, or somebody waits for just this. */
    private const PATIENCE = 20;

    /** Waiting ends after so many confirm budgets, even when confirms still trickle in. */
    private const MOSTBUDGETS = 40;

    /** Seconds after which the note that a process has connected is thrown away. */
    private const NOTEAGE = 86400;

    /** @var self|null the one of this process */
    private static $instance = null;

    /** @var \AMQPConnection|null */
    private $connection = null;

    /** @var string file that says that this process has connected to the broker being tried; '' for none */
    private $note = '';

    /** @var \AMQPChannel|null in confirm mode */
    private $channel = null;

    /** @var int delivery tag of the last message published on the channel */
    private $tag = 0;

    /** @var array delivery tag => message id, not confirmed yet */
    private $open = [];

    /** @var receipt|null of the publication under way */
    private $receipt = null;

    /** @var float when waiting for it ends at the latest */
    private $deadline = 0.0;

    /**
     * The broker of this process: whoever needs one shares it, and so its connection.
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
     * Publishes messages to the events exchange.
     *
     * @param message[] $messages
     * @return receipt
     */
    public function publish(array $messages): receipt {
        return $this->attempt(function () use ($messages): void {
            $exchange = $this->exchange(config::text('exchange'));
            $siteid = config::site_id();
            foreach ($messages as $message) {
                // Only a wanted message is asked back when no queue takes it: nobody waits for the others.
                $flags = $message->wanted ? AMQP_MANDATORY : AMQP_NOPARAM;
                $exchange->publish($message->body, $message->routing_key(), $flags, self::properties($message, $siteid));
                $this->open[++$this->tag] = $message->id;
            }
        });
    }

    /**
     * Hands a message to one rule of one service.
     *
     * @param message $message
     * @param int $serviceid
     * @param int $ruleid
     * @return receipt
     */
    public function redeliver(message $message, int $serviceid, int $ruleid): receipt {
        return $this->attempt(function () use ($message, $serviceid, $ruleid): void {
            $properties = self::properties($message, config::site_id());
            $properties['headers'] = ($properties['headers'] ?? []) + ['x-mih-rule' => (string) $ruleid] + $message->headers;
            $exchange = $this->exchange(config::text('namespace') . '.redeliver');
            $exchange->publish($message->body, (string) $serviceid, AMQP_MANDATORY, $properties);
            $this->open[++$this->tag] = $message->id;
        }, true);
    }

    /**
     * Tells the worker fleet something.
     *
     * @param string $body JSON
     * @return string|null why it could not be sent
     */
    public function hint(string $body): ?string {
        return $this->attempt(function () use ($body): void {
            $exchange = $this->exchange(config::text('namespace') . '.control');
            $exchange->publish($body, '', AMQP_NOPARAM, ['content_type' => 'application/json']);
            $this->open[++$this->tag] = 'hint';
        })->error;
    }

    /**
     * Asks the broker for the events exchange: whether events can be published now.
     *
     * @return string|null why not
     */
    public function fault(): ?string {
        return $this->attempt(function (): void {
            $exchange = $this->exchange(config::text('exchange'));
            $exchange->setType(AMQP_EX_TYPE_TOPIC);
            $exchange->setFlags(AMQP_PASSIVE);
            $exchange->declareExchange();
        })->error;
    }

    /**
     * Publishes on the channel and waits for the confirms; whatever goes wrong ends up in the receipt.
     *
     * @param callable $publish
     * @param bool $ispatient
     * @return receipt
     */
    private function attempt(callable $publish, bool $ispatient = CLI_SCRIPT): receipt {
        $receipt = new receipt();
        $this->receipt = $receipt;
        try {
            $this->connect();
            $publish();
            $this->wait($ispatient);
        } catch (\Throwable $e) {
            $receipt->error = $e->getMessage();
            $this->drop();
        }
        $this->receipt = null;
        return $receipt;
    }

    /**
     * The properties of a message.
     *
     * @param message $message
     * @param string $siteid
     * @return array
     */
    private static function properties(message $message, string $siteid): array {
        $properties = [
            'content_type' => 'application/json',
            'delivery_mode' => 2,
            'message_id' => $message->id,
            'timestamp' => $message->timecreated,
            'type' => $message->eventname,
            'app_id' => $siteid,
        ];
        return $message->republished ? $properties + ['headers' => ['x-mih-republished' => 1]] : $properties;
    }

    /**
     * An exchange to publish to; it is not declared, the worker fleet does that.
     *
     * @param string $name
     * @return \AMQPExchange
     */
    private function exchange(string $name): \AMQPExchange {
        $exchange = new \AMQPExchange($this->channel);
        $exchange->setName($name);
        return $exchange;
    }

    /**
     * Sees to it that there is a channel in confirm mode.
     *
     * A persistent connection that the broker has closed meanwhile shows itself here, before anything is published, and is
     * made anew; the brokers of the list are tried in turn.
     *
     * @throws \Exception when no broker can be had
     */
    private function connect(): void {
        if ($this->channel !== null && $this->channel->isConnected()) {
            return;
        }
        if (!extension_loaded('amqp')) {
            throw new \moodle_exception('error_amqpmissing', 'local_integrationhub');
        }
        $failure = new \moodle_exception('error_nobroker', 'local_integrationhub');
        foreach (amqp_url::parse_list(config::broker_url()) as $url) {
            for ($tries = 2; $tries > 0; $tries--) {
                $started = microtime(true);
                try {
                    $this->open($url);
                    return;
                } catch (\Exception $e) {
                    $failure = $e;
                    $tries = $this->was_stale($started) ? $tries : 0;
                    $this->drop();
                }
            }
        }
        throw $failure;
    }

    /**
     * Whether a failure looks like a persistent connection that was closed while nobody looked: it is there, and failed
     * at once. A broker that hangs is not tried twice.
     *
     * @param float $started
     * @return bool
     */
    private function was_stale(float $started): bool {
        return $this->connection !== null && microtime(true) - $started < config::number('connectbudget') / 2000;
    }

    /**
     * Opens connection and channel.
     *
     * @param amqp_url $url
     */
    private function open(amqp_url $url): void {
        $budget = config::number('connectbudget') / 1000;
        $this->note = CLI_SCRIPT ? '' : self::note_path($url);
        if ($this->note !== '' && !file_exists($this->note)) {
            $this->probe($url, $budget);
        }
        $connection = new \AMQPConnection($this->credentials($url, $budget));
        try {
            $connection->pconnect();
        } catch (\AMQPConnectionException $e) {
            if (strpos($e->getMessage(), 'already established') === false) {
                throw $e;
            }
            // Another plugin of this request holds the persistent connection.
            $connection->connect();
        }
        $this->connection = $connection;
        $channel = new \AMQPChannel($connection);
        $channel->setReturnCallback([$this, 'on_return']);
        $channel->setConfirmCallback([$this, 'on_ack'], [$this, 'on_nack']);
        $channel->confirmSelect();
        $this->channel = $channel;
        $this->tag = 0;
        $this->open = [];
        if ($this->note !== '' && !file_exists($this->note)) {
            $this->note();
        }
    }

    /**
     * What the amqp extension wants to know.
     *
     * @param amqp_url $url
     * @param float $budget seconds
     * @return array
     */
    private function credentials(amqp_url $url, float $budget): array {
        $credentials = [
            'host' => $url->host,
            'port' => $url->port,
            'vhost' => $url->vhost,
            'login' => $url->user,
            'password' => $url->password,
            'connect_timeout' => $budget,
            'rpc_timeout' => $budget,
            'read_timeout' => $budget,
            'write_timeout' => $budget,
        ];
        if ($url->tls) {
            $credentials['cacert'] = config::text('brokercafile') ?: self::system_ca_file();
            $credentials['verify'] = true;
        }
        return $credentials;
    }

    /**
     * The certificate authorities that this machine trusts.
     *
     * @return string
     */
    private static function system_ca_file(): string {
        return openssl_get_cert_locations()['default_cert_file'];
    }

    /**
     * Asks whether the broker answers at all.
     *
     * @param amqp_url $url
     * @param float $budget seconds
     * @throws \moodle_exception when it does not
     */
    private function probe(amqp_url $url, float $budget): void {
        $host = strpos($url->host, ':') === false ? $url->host : "[{$url->host}]";
        // Nothing secret is sent, so the certificate need not be verified here.
        $context = stream_context_create(['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]]);
        $address = ($url->tls ? 'ssl' : 'tcp') . "://{$host}:{$url->port}";
        $socket = @stream_socket_client($address, $code, $text, $budget, STREAM_CLIENT_CONNECT, $context);
        if ($socket === false) {
            throw new \moodle_exception('error_connect', 'local_integrationhub', '', $url->masked() . ': ' . $text);
        }
        stream_set_timeout($socket, 0, (int) ($budget * 1000000));
        fwrite($socket, "AMQP\x00\x00\x09\x01");
        $answer = fread($socket, 1);
        fclose($socket);
        if ($answer !== "\x01") {
            throw new \moodle_exception('error_noanswer', 'local_integrationhub', '', $url->masked());
        }
    }

    /**
     * The file that says that this process has connected to this broker before.
     *
     * Process ids come again, in a container that is started anew even the same ones: where the system tells when the
     * process began, that is part of the name.
     *
     * @param amqp_url $url
     * @return string
     */
    private static function note_path(amqp_url $url): string {
        $stat = explode(' ', substr((string) strrchr((string) @file_get_contents('/proc/self/stat'), ')'), 2));
        $began = $stat[19] ?? '';
        return local_folder::path() . '/connected-' . getmypid() . '-' . $began . '-' . md5($url->host . ':' . $url->port);
    }

    /**
     * Notes that this process has connected, and throws away the notes of processes long gone.
     */
    private function note(): void {
        foreach (glob(dirname($this->note) . '/connected-*') ?: [] as $file) {
            if (@filemtime($file) < time() - self::NOTEAGE) {
                @unlink($file);
            }
        }
        @touch($this->note);
    }

    /**
     * Waits until the broker has answered for every message.
     *
     * @param bool $ispatient whether the budget is multiplied
     * @throws \Exception when it does not within the budget
     */
    private function wait(bool $ispatient): void {
        $budget = config::number('confirmbudget') / 1000 * ($ispatient ? self::PATIENCE : 1);
        $this->deadline = microtime(true) + $budget * self::MOSTBUDGETS;
        while ($this->open) {
            // The budget is for the silence between two answers, not for all of them.
            $this->channel->waitForConfirm($budget);
            if ($this->open && microtime(true) > $this->deadline) {
                throw new \moodle_exception('error_confirm', 'local_integrationhub');
            }
        }
    }

    /**
     * Called for a message that no queue takes; its acknowledgement follows.
     *
     * @param int $code
     * @param string $text
     * @param string $exchange
     * @param string $key
     * @param \AMQPBasicProperties $properties
     * @param string $body
     * @return bool go on waiting
     */
    public function on_return($code, $text, $exchange, $key, $properties, $body): bool {
        $this->receipt->returned[$properties->getMessageId()] = 1;
        return true;
    }

    /**
     * Called for an acknowledgement.
     *
     * @param int|string $tag
     * @param bool $multiple whether it covers all before it
     * @return bool go on waiting
     */
    public function on_ack($tag, $multiple): bool {
        foreach ($this->settle((int) $tag, (bool) $multiple) as $id) {
            if (!isset($this->receipt->returned[$id])) {
                $this->receipt->safe[$id] = 1;
            }
        }
        return $this->open && microtime(true) < $this->deadline;
    }

    /**
     * Called when the broker could not take a message.
     *
     * @param int|string $tag
     * @param bool $multiple whether it covers all before it
     * @param bool $requeue
     * @return bool go on waiting
     */
    public function on_nack($tag, $multiple, $requeue = false): bool {
        $this->settle((int) $tag, (bool) $multiple);
        $this->receipt->error = get_string('error_nack', 'local_integrationhub');
        return $this->open && microtime(true) < $this->deadline;
    }

    /**
     * Takes the answered messages off the list.
     *
     * @param int $tag
     * @param bool $multiple
     * @return string[] their ids
     */
    private function settle(int $tag, bool $multiple): array {
        $ids = [];
        foreach ($multiple ? array_keys($this->open) : [$tag] as $each) {
            if ($each <= $tag && isset($this->open[$each])) {
                $ids[] = $this->open[$each];
                unset($this->open[$each]);
            }
        }
        return $ids;
    }

    /**
     * Drops channel and connection.
     */
    private function drop(): void {
        $this->channel = null;
        $this->open = [];
        if ($this->note !== '') {
            @unlink($this->note);
        }
        if ($this->connection !== null) {
            try {
                $this->connection->isPersistent() ? $this->connection->pdisconnect() : $this->connection->disconnect();
            } catch (\Exception $ignored) {
                // The connection is lost, which is what is wanted.
                unset($ignored);
            }
            $this->connection = null;
        }
    }
}
