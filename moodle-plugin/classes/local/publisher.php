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
 * From an event of Moodle to a message of the broker, at next to no cost for the user and without loss.
 *
 * Mode `safe`: a wanted event gets an outbox row when it is triggered, inside the user's transaction, so that rolled-back
 * work leaves nothing and committed work leaves a row even if PHP is killed at the next instruction. After the commit the
 * event is collected. When the request is over and its answer handed to the user, all collected events are published on
 * one connection, and the rows of those that the broker confirmed and did not return are deleted. What remains is
 * published by the relay of the worker fleet, under the same id.
 *
 * Mode `direct`: no row, unless publishing failed.
 *
 * An event that no rule wants is published too (somebody else may listen) but never stored. Without a broker URL nothing
 * is published; wanted events wait in the outbox for the relay.
 *
 * Long processes publish as they go: memory is bounded by MAXCOUNT events and MAXBYTES bytes, and a command-line process
 * publishes an event at once unless it has just published others and the event has its row: nobody can tell when its next
 * event comes.
 *
 * After an observer that died, be it another plugin's, core dispatches nothing any more; class interrupted has what to do.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class publisher {
    /** Events collected before they are published in the middle of a request. */
    public const MAXCOUNT = 200;

    /** Bytes of bodies collected before they are published in the middle of a request. */
    public const MAXBYTES = 524288;

    /** Seconds between two publications of a command-line process. */
    public const CLIPAUSE = 0.2;

    /** Age in seconds from which the relay may have taken a row: such rows are claimed before they are published. */
    public const CLAIMAGE = 1;

    /** @var self|null the one of this process */
    private static $instance = null;

    /** @var broker */
    private $broker;

    /** @var cooloff */
    private $cooloff;

    /** @var \ArrayAccess messages of events between trigger and commit, by event object */
    private $pending;

    /** @var message[] collected, not yet published */
    private $collected = [];

    /** @var int bytes of their bodies */
    private $bytes = 0;

    /** @var float when the last publication ended */
    private $published = 0.0;

    /** @var bool whether the end of the request is watched for */
    private $watching = false;

    /** @var bool whether other shutdown functions have had their turn */
    private $waited = false;

    /** @var bool whether the request is over: events raised now are published at once */
    private $over = false;

    /** @var bool whether a publication is under way */
    private $flushing = false;

    /**
     * Constructor.
     *
     * @param broker $broker
     * @param cooloff $cooloff
     */
    public function __construct(broker $broker, cooloff $cooloff) {
        $this->broker = $broker;
        $this->cooloff = $cooloff;
        // A WeakMap lets go of the events of a rolled-back transaction; PHP 7.4 has none and keeps them to the request's end.
        $this->pending = class_exists('WeakMap') ? new \WeakMap() : new \SplObjectStorage();
    }

    /**
     * The publisher of this process.
     *
     * @return self
     */
    public static function instance(): self {
        if (self::$instance === null) {
            self::$instance = new self(amqp_broker::instance(), new cooloff());
        }
        return self::$instance;
    }

    /**
     * Replaces the publisher of this process, in tests.
     *
     * @param self|null $publisher
     */
    public static function set_instance(?self $publisher): void {
        self::$instance = $publisher;
    }

    /**
     * At the trigger, inside the user's transaction: a wanted event gets its row.
     *
     * @param \core\event\base $event
     */
    public function store(\core\event\base $event): void {
        if (!outbox::exists()) {
            return;
        }
        // From here on something may keep core from telling us of the commit.
        $this->watch();
        if (!config::is_safe() || !wanted_events::contains($event->eventname)) {
            return;
        }
        $message = message::from_event($event, true);
        outbox::add($message);
        $this->pending[$event] = $message;
    }

    /**
     * After the commit: the event will be published.
     *
     * @param \core\event\base $event
     */
    public function collect(\core\event\base $event): void {
        if (!outbox::exists()) {
            return;
        }
        $message = $this->pending[$event] ?? null;
        unset($this->pending[$event]);
        $hasbroker = config::has_broker();
        if ($message === null) {
            $wanted = wanted_events::contains($event->eventname);
            if (!$wanted && !$hasbroker) {
                return;
            }
            $message = message::from_event($event, $wanted);
        }
        if (!$hasbroker) {
            $this->keep([$message]);
            return;
        }
        $this->collected[] = $message;
        $this->bytes += strlen($message->body);
        if ($this->is_due()) {
            $this->flush();
        }
    }

    /**
     * Takes up what core has not dispatched because an observer died; call it only when nothing can be dispatching.
     */
    public function recover(): void {
        foreach (interrupted::take() as [$event, $isstored]) {
            if (!$isstored) {
                $this->store($event);
            }
            $this->collect($event);
        }
    }

    /**
     * A message that is no event of Moodle's: it is kept or published as a wanted event is. Inside a transaction only its row is
     * written, so that rolled-back work leaves nothing; the relay publishes it after the commit.
     *
     * @param message $message
     */
    public function submit(message $message): void {
        global $DB;
        $wait = !config::has_broker() || $DB->is_transaction_started();
        if ($wait || config::is_safe()) {
            outbox::add($message);
        }
        if ($wait) {
            return;
        }
        $this->collected[] = $message;
        $this->bytes += strlen($message->body);
        $this->watch();
        if ($this->is_due()) {
            $this->flush();
        }
    }

    /**
     * Whether what is collected should be published now and not at the end of the request.
     *
     * @return bool
     */
    private function is_due(): bool {
        if ($this->over || count($this->collected) >= self::MAXCOUNT || $this->bytes >= self::MAXBYTES) {
            return true;
        }
        return CLI_SCRIPT && !PHPUNIT_TEST && (!config::is_safe() || microtime(true) - $this->published >= self::CLIPAUSE);
    }

    /**
     * Has the rest published when the request is over.
     *
     * Not by core_shutdown_manager: core closes the page's last tags and writes the session after the functions that are
     * registered there, and the answer must be complete before it is handed over.
     */
    private function watch(): void {
        if (!$this->watching && !PHPUNIT_TEST) {
            $this->watching = true;
            register_shutdown_function([$this, 'end_request']);
        }
    }

    /**
     * The last thing that a request does: hand over the answer, then publish.
     */
    public function end_request(): void {
        if (!$this->waited) {
            // Functions registered meanwhile go first; they may raise events.
            $this->waited = true;
            register_shutdown_function([$this, 'end_request']);
            return;
        }
        try {
            $this->recover();
            if ($this->collected) {
                $this->hand_over();
                $this->flush();
            }
        } catch (\Throwable $e) {
            debugging('Integration Hub: ' . $e->getMessage(), DEBUG_DEVELOPER);
        } finally {
            $this->over = true;
        }
    }

    /**
     * Lets the user go on: releases the session and ends the response.
     */
    private function hand_over(): void {
        if (CLI_SCRIPT) {
            return;
        }
        \core\session\manager::write_close();
        if (function_exists('fastcgi_finish_request')) {
            fastcgi_finish_request();
        } else if (function_exists('litespeed_finish_request')) {
            litespeed_finish_request();
        }
    }

    /**
     * Publishes what is collected; keeps in the outbox what is wanted and could not be published.
     */
    public function flush(): void {
        if ($this->flushing || !$this->collected) {
            return;
        }
        $this->flushing = true;
        try {
            $messages = $this->collected;
            $this->collected = [];
            $this->bytes = 0;
            $this->deliver($messages);
        } catch (\Throwable $e) {
            $this->keep($messages);
            throw $e;
        } finally {
            $this->published = microtime(true);
            $this->flushing = false;
        }
    }

    /**
     * Publishes messages.
     *
     * @param message[] $messages
     */
    private function deliver(array $messages): void {
        $pause = config::number('cooloff');
        if ($this->cooloff->active($pause)) {
            $this->keep($messages);
            return;
        }
        $messages = $this->without_relayed($messages);
        $receipt = $this->broker->publish($messages);
        if ($receipt->error === null) {
            $this->cooloff->end();
        } else {
            $this->cooloff->begin($receipt->error, $pause);
        }
        $done = [];
        $open = [];
        foreach ($messages as $message) {
            if (!isset($receipt->safe[$message->id])) {
                $open[] = $message;
            } else if ($message->stored) {
                $done[] = $message->id;
            }
        }
        $this->keep($open);
        outbox::remove($done);
    }

    /**
     * Leaves out what the relay has published because it took us too long. What is still there may be under way at the
     * relay, whose row is deleted only later: it is flagged.
     *
     * @param message[] $messages
     * @return message[]
     */
    private function without_relayed(array $messages): array {
        $old = [];
        foreach ($messages as $message) {
            if ($message->stored && time() - $message->timecreated > self::CLAIMAGE) {
                $old[] = $message->id;
            }
        }
        if (!$old) {
            return $messages;
        }
        $present = outbox::claim($old);
        $gone = array_diff_key(array_fill_keys($old, 1), $present);
        foreach ($messages as $message) {
            $message->republished = $message->republished || isset($present[$message->id]);
        }
        return array_filter($messages, function (message $message) use ($gone): bool {
            return !isset($gone[$message->id]);
        });
    }

    /**
     * Sees to it that wanted messages have their row.
     *
     * @param message[] $messages
     */
    private function keep(array $messages): void {
        $missing = array_filter($messages, function (message $message): bool {
            return $message->wanted && !$message->stored;
        });
        if ($missing) {
            outbox::add_many(array_values($missing));
        }
    }

    /**
     * Tells the worker fleet that services or rules have changed; it looks by itself every two seconds.
     */
    public function hint_configuration(): void {
        $this->hint('hint', 'configuration');
    }

    /**
     * Tells the worker fleet something; while the broker is left alone nothing is said.
     *
     * @param string $what
     * @param int|string $value
     */
    public function hint(string $what, $value): void {
        $pause = config::number('cooloff');
        if (!config::has_broker() || $this->cooloff->active($pause)) {
            return;
        }
        $error = $this->broker->hint(json_encode([$what => $value]));
        if ($error === null) {
            $this->cooloff->end();
        } else if (strpos($error, 'NOT_FOUND') === false) {
            // Where no fleet has started yet, there is nobody to tell.
            debugging('Integration Hub: hint not sent: ' . $error, DEBUG_DEVELOPER);
        }
    }
}
