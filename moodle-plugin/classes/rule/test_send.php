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

use local_integrationhub\local\amqp_broker;
use local_integrationhub\local\broker;
use local_integrationhub\local\message;
use local_integrationhub\local\replays;
use local_integrationhub\local\status;
use local_integrationhub\service\registry as services;

/**
 * Has a worker send the latest event of a rule's kind by that rule, and tells what the service answered.
 *
 * The message goes past the bindings to this one rule. It counts as tried so often already that the first failure is the
 * last: nothing is sent later, and its dead letter is thrown away again.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class test_send {
    /** More attempts than any service allows after its own retries. */
    private const LONGRETRIES = 20;

    /** What a sealed id begins with. */
    private const SEAL = 'local_integrationhub test';

    /** @var broker */
    private $broker;

    /**
     * Constructor.
     *
     * @param broker|null $broker null: the one of this process
     */
    public function __construct(?broker $broker = null) {
        $this->broker = $broker ?? amqp_broker::instance();
    }

    /**
     * Hands the event to the workers.
     *
     * @param int $ruleid
     * @return string id of the message
     * @throws \moodle_exception when it cannot be sent
     */
    public function send(int $ruleid): string {
        $rule = registry::get_rule($ruleid);
        if (!$rule) {
            throw new \moodle_exception('error_rule_not_found', 'local_integrationhub', '', $ruleid);
        }
        $status = new status();
        $service = $status->services[$rule->serviceid] ?? null;
        $why = self::obstacle($rule, $service, (bool) $status->workers);
        if ($why !== '') {
            throw new \moodle_exception("error_test_$why", 'local_integrationhub');
        }
        $message = new message($rule->eventname, self::event($rule)->json, time(), true);
        // The header x-mih-test has it in the log however much else is sent.
        $message->headers = ['x-mih-attempt' => (int) $service->max_retries + self::LONGRETRIES, 'x-mih-test' => 1];
        $receipt = $this->broker->redeliver($message, (int) $service->id, (int) $rule->id);
        if ($receipt->error !== null) {
            throw new \moodle_exception('error_connect', 'local_integrationhub', '', $receipt->error);
        } else if (!isset($receipt->safe[$message->id])) {
            throw new \moodle_exception('error_returned', 'local_integrationhub');
        }
        return $message->id;
    }

    /**
     * What the browser asks for the result with: nobody else can make one for a message that was no test.
     *
     * @param string $messageid
     * @param int $ruleid
     * @return string
     */
    public static function seal(string $messageid, int $ruleid): string {
        return \core\encryption::encrypt(self::SEAL . " $ruleid $messageid");
    }

    /**
     * The message of a test.
     *
     * @param string $sealed
     * @param int $ruleid
     * @return string id
     * @throws \moodle_exception when it is none
     */
    public static function unseal(string $sealed, int $ruleid): string {
        try {
            $text = $sealed === '' ? '' : \core\encryption::decrypt($sealed);
        } catch (\Exception $e) {
            $text = '';
        }
        $beginning = self::SEAL . " $ruleid ";
        if (strncmp($text, $beginning, strlen($beginning)) !== 0) {
            throw new \moodle_exception('error_test_unknown', 'local_integrationhub');
        }
        return substr($text, strlen($beginning));
    }

    /**
     * What became of it; the dead letter of one that failed is thrown away, so the message must have been a test.
     *
     * @param string $messageid
     * @param int $ruleid
     * @return \stdClass|null null: nothing yet; else success, status, milliseconds, error and response
     */
    public static function result(string $messageid, int $ruleid): ?\stdClass {
        global $DB;
        $condition = ['messageid' => $messageid, 'ruleid' => $ruleid];
        $rows = $DB->get_records('local_integrationhub_log', $condition, 'id DESC', '*', 0, 1);
        $row = reset($rows);
        $letters = $DB->get_records('local_integrationhub_dlq', $condition, 'id DESC', '*', 0, 1);
        $letter = reset($letters);
        if (!$letter && (!$row || !$row->success)) {
            return null;
        }
        if ($letter && $letter->state === 'dead' && !$DB->record_exists(replays::TABLE, ['messageid' => $messageid])) {
            replays::request_chosen('discard', [$letter->id]);
        }
        return (object) [
            'success' => !$letter,
            'status' => (int) ($letter ? $letter->http_status : $row->http_status),
            'milliseconds' => $row ? (int) $row->latency_ms : 0,
            'error' => (string) ($letter->error_message ?? ''),
            'response' => (string) ($letter->response ?? ''),
            'call' => $row ? trim("$row->http_method $row->endpoint") : trim("$letter->http_method $letter->endpoint"),
        ];
    }

    /**
     * Why a worker would not send it now.
     *
     * @param \stdClass $rule
     * @param \stdClass|null $service as service\overview gives it
     * @param bool $hasworkers
     * @return string end of the key of the string; '' when it would
     */
    private static function obstacle(\stdClass $rule, ?\stdClass $service, bool $hasworkers): string {
        if (!$rule->enabled) {
            return 'rule_disabled';
        } else if (!$service || !$service->enabled) {
            return 'service_disabled';
        } else if ($service->paused) {
            return 'service_paused';
        } else if ($service->state === 'open') {
            return 'breaker_open';
        }
        return $hasworkers ? '' : 'no_worker';
    }

    /**
     * The latest event that the rule would send.
     *
     * @param \stdClass $rule
     * @return event_data
     * @throws \moodle_exception when there is none
     */
    private static function event(\stdClass $rule): event_data {
        $data = recent_events::latest($rule->eventname);
        if (!$data) {
            throw new \moodle_exception('error_test_no_event', 'local_integrationhub');
        }
        if (!(new matcher($rule->filter))->matches($data)) {
            throw new \moodle_exception('error_test_filter', 'local_integrationhub');
        }
        return $data;
    }
}
