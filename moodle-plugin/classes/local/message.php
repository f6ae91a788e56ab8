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
 * One event as it goes over the wire.
 *
 * The body is one flat JSON object: the keys of \core\event\base::get_data() in their order, then ip, origin and
 * realuserid as Moodle's own log stores record them, by json_encode with its default flags. An outbox row holds the same
 * bytes under the same id, so that whoever publishes it publishes the same message.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class message {
    /** @var string UUIDv7 */
    public $id;

    /** @var string event class with its leading backslash */
    public $eventname;

    /** @var string the JSON body */
    public $body;

    /** @var int when the event was triggered, unix seconds */
    public $timecreated;

    /** @var bool whether some enabled rule wants it */
    public $wanted;

    /** @var bool whether an outbox row holds it */
    public $stored = false;

    /** @var bool whether it may have been published before: the worker fleet then looks whether it was delivered */
    public $republished = false;

    /** @var array headers that tell the worker fleet more, for a message that is handed to one rule */
    public $headers = [];

    /**
     * Constructor.
     *
     * @param string $eventname
     * @param string $body
     * @param int $timecreated
     * @param bool $wanted
     * @param string|null $id null: a new one
     */
    public function __construct(string $eventname, string $body, int $timecreated, bool $wanted, ?string $id = null) {
        $this->id = $id ?? uuid::v7();
        $this->eventname = $eventname;
        $this->body = $body;
        $this->timecreated = $timecreated;
        $this->wanted = $wanted;
    }

    /**
     * The message of an event.
     *
     * @param \core\event\base $event
     * @param bool $wanted
     * @return self
     */
    public static function from_event(\core\event\base $event, bool $wanted): self {
        $data = self::data($event);
        return new self($event->eventname, self::encode($data), (int) $event->timecreated, $wanted);
    }

    /**
     * The keys and values of the body.
     *
     * @param \core\event\base $event
     * @return array
     */
    public static function data(\core\event\base $event): array {
        global $PAGE, $USER;
        $data = $event->get_data();
        $data['ip'] = $PAGE->requestip;
        $data['origin'] = $PAGE->requestorigin;
        $data['realuserid'] = \core\session\manager::is_loggedinas() ? $USER->realuser : null;
        return $data;
    }

    /**
     * JSON with default flags; data that JSON cannot express is replaced rather than the event lost.
     *
     * @param array $data
     * @return string
     */
    public static function encode(array $data): string {
        $json = json_encode($data);
        if ($json === false) {
            $json = json_encode($data, JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR);
        }
        return (string) $json;
    }

    /**
     * The routing key: \mod_forum\event\post_created is mod_forum.post_created.
     *
     * @return string
     */
    public function routing_key(): string {
        return event_name::routing_key($this->eventname);
    }
}
