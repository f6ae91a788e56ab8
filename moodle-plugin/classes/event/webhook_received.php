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

namespace local_integrationhub\event;

/**
 * An external service has called: by the webhook, or through its response queue.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 *
 * @property-read array $other {
 *      Extra information about the event.
 *
 *      - int serviceid: the service
 *      - string servicename: its name
 *      - string source: webhook or amqp
 *      - array payload: what it sent
 * }
 */
class webhook_received extends \core\event\base {
    /**
     * What kind of event it is.
     */
    protected function init() {
        $this->data['crud'] = 'r';
        $this->data['edulevel'] = self::LEVEL_OTHER;
    }

    /**
     * Name for people.
     *
     * @return string
     */
    public static function get_name() {
        return get_string('webhook_received', 'local_integrationhub');
    }

    /**
     * What happened, in English, for the log.
     *
     * @return string
     */
    public function get_description() {
        $service = s($this->other['servicename'] ?? $this->other['serviceid']);
        return "The service '$service' has sent data ({$this->other['source']}).";
    }

    /**
     * Refuses an event that does not tell its service.
     */
    protected function validate_data() {
        parent::validate_data();
        if (!isset($this->other['serviceid'])) {
            throw new \coding_exception("The 'serviceid' value must be set in other.");
        }
    }

    /**
     * Nothing of it is in a backup.
     *
     * @return bool
     */
    public static function get_other_mapping() {
        return false;
    }
}
