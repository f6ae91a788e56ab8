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

namespace local_integrationhub\output;

use core\output\named_templatable;
use local_integrationhub\local\old_letter;
use local_integrationhub\local\page;
use local_integrationhub\local\trace;
use local_integrationhub\table\rules_table;

/**
 * One message: where it should have gone, every attempt, and what was sent and answered.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class letter_page implements named_templatable, \renderable {
    /** @var trace */
    private $trace;

    /** @var \stdClass|null the dead letter that was asked for; null: the whole message */
    private $letter;

    /** @var bool whether the user may send dead letters again */
    private $canreplay;

    /**
     * Constructor.
     *
     * @param trace $trace
     * @param \stdClass|null $letter
     * @param bool $canreplay
     */
    public function __construct(trace $trace, ?\stdClass $letter, bool $canreplay) {
        $this->trace = $trace;
        $this->letter = $letter;
        $this->canreplay = $canreplay;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/letter';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $eventname = $this->letter->eventname ?? $this->trace->eventname();
        $letters = $this->letter ? [$this->letter] : array_values($this->trace->letters);
        $attempts = array_filter($this->trace->attempts, function (\stdClass $row): bool {
            $letter = $this->letter;
            return !$letter || ($row->serviceid === $letter->serviceid && (int) $row->ruleid === (int) $letter->ruleid);
        });
        $outbox = $this->letter ? null : $this->trace->outbox;
        return [
            'messageid' => $this->trace->messageid,
            'event' => $eventname === '' ? '' : rules_table::event_title($eventname),
            'eventname' => $eventname,
            'letters' => array_map([$this, 'letter'], $letters),
            'attempts' => array_values(array_map([$this, 'attempt'], $attempts)),
            'hasattempts' => (bool) $attempts,
            'outbox' => $outbox ? self::pretty((string) $outbox->payload) : '',
            'traceurl' => $this->letter && $this->trace->messageid !== ''
                ? page::url('trace', ['messageid' => $this->trace->messageid])->out(false) : '',
        ];
    }

    /**
     * A dead letter.
     *
     * @param \stdClass $letter
     * @return array
     */
    private function letter(\stdClass $letter): array {
        $isknown = (string) $letter->messageid !== '' || old_letter::is_one($letter);
        $can = $this->canreplay && $letter->state === 'dead' && $isknown;
        $do = function (string $action) use ($letter): string {
            return page::url('queue_action', ['action' => $action, 'chosen' => $letter->id])->out(false);
        };
        return [
            'id' => $letter->id,
            'state' => badges::letter($letter->state),
            'service' => self::service_name((int) $letter->serviceid),
            'ruleid' => (int) $letter->ruleid,
            'ruleurl' => $letter->ruleid && page::can_manage() ? page::url('rule', ['id' => $letter->ruleid])->out(false) : '',
            'call' => trim("$letter->http_method $letter->endpoint"),
            'reason' => (string) $letter->error_message,
            'status' => (int) $letter->http_status ?: '',
            'attempts' => (int) $letter->attempts,
            'first' => $letter->timefirst ? self::when((int) $letter->timefirst) : '',
            'died' => self::when((int) $letter->timecreated),
            'payload' => self::pretty((string) $letter->payload),
            'response' => (string) $letter->response,
            'replayurl' => $can ? $do('replay') : '',
            'discardurl' => $can ? $do('discard') : '',
        ];
    }

    /**
     * An attempt.
     *
     * @param \stdClass $row
     * @return array
     */
    private function attempt(\stdClass $row): array {
        return [
            'time' => self::when((int) $row->timecreated),
            'number' => (int) $row->attempt_count,
            'service' => self::service_name((int) $row->serviceid),
            'ruleid' => (int) $row->ruleid,
            'call' => trim("$row->http_method $row->endpoint"),
            'status' => (int) $row->http_status ?: '',
            'latency' => $row->latency_ms === null ? '' : get_string('milliseconds', 'local_integrationhub', $row->latency_ms),
            'outcome' => badges::outcome($row),
            'error' => (string) $row->error_message,
        ];
    }

    /**
     * A moment.
     *
     * @param int $time
     * @return string
     */
    private static function when(int $time): string {
        return userdate($time, get_string('strftimedatetimeshortaccurate', 'langconfig'));
    }

    /**
     * A service's name.
     *
     * @param int $id
     * @return string
     */
    private static function service_name(int $id): string {
        global $DB;
        $name = $DB->get_field('local_integrationhub_svc', 'name', ['id' => $id]);
        return $name === false ? get_string('service_gone', 'local_integrationhub', $id) : $name;
    }

    /**
     * JSON for people; what is no JSON stays as it is.
     *
     * @param string $text
     * @return string
     */
    public static function pretty(string $text): string {
        $data = json_decode($text);
        if ($data === null || is_scalar($data)) {
            return $text;
        }
        $flags = JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION;
        return json_encode($data, $flags);
    }
}
