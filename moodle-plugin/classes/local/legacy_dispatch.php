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
 * Events that 2.0.0 had queued as ad hoc tasks when the site was upgraded.
 *
 * Each such task is for one rule, so the message goes to that rule's service only, and names the rule. A task that is run
 * again, because PHP died before Moodle had noted its end, sends the same message id again; no run knows whether it is the
 * first one, so the message is always flagged as one that may have been published before.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class legacy_dispatch {
    /**
     * Hands an event over for one rule. A rule that is gone or disabled, or whose service is, is passed over in silence, as
     * 2.0.0 did.
     *
     * @param int $ruleid
     * @param array $eventdata what \core\event\base::get_data() had returned
     * @param string $task what tells this task from all others of this site
     * @param broker|null $broker for tests
     * @throws \moodle_exception when the broker does not take it
     */
    public static function hand_over(int $ruleid, array $eventdata, string $task, ?broker $broker = null): void {
        global $DB;
        $sql = "SELECT r.id, r.eventname, r.serviceid
                  FROM {local_integrationhub_rules} r
                  JOIN {local_integrationhub_svc} s ON s.id = r.serviceid
                 WHERE r.id = ? AND r.enabled = 1 AND s.enabled = 1";
        $rule = $DB->get_record_sql($sql, [$ruleid]);
        if (!$rule) {
            return;
        }
        if ($broker === null && !config::has_broker()) {
            throw new \moodle_exception('error_nobroker', 'local_integrationhub');
        }
        $data = $eventdata + ['ip' => null, 'origin' => 'cli', 'realuserid' => null];
        $name = (string) ($data['eventname'] ?? $rule->eventname);
        $time = (int) ($data['timecreated'] ?? time());
        $id = uuid::derived($time, config::site_id() . ' ' . $task);
        $message = new message($name, message::encode($data), $time, true, $id);
        $message->republished = true;
        $receipt = ($broker ?? amqp_broker::instance())->redeliver($message, (int) $rule->serviceid, (int) $rule->id);
        if (!isset($receipt->safe[$message->id])) {
            $reason = $receipt->error ?? get_string('error_returned', 'local_integrationhub');
            throw new \moodle_exception('error_connect', 'local_integrationhub', '', $reason);
        }
    }
}
