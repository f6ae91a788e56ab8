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
 * Somebody has changed a service or a rule, or asked for a replay: the audit trail in Moodle's log. It names what was
 * changed, never a value.
 *
 * @property-read array $other {
 *      - string name: of the service, the event name of the rule, or which dead letters
 *      - string[] fields: the columns that have new values, where some were changed
 * }
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class change extends \core\event\base {
    /** What happened, as Moodle's log has it: c, u or d. */
    protected const CRUD = 'u';

    /** Table of what was changed. */
    protected const TABLE = 'local_integrationhub_svc';

    /** What was changed and how, in English, for the log. */
    protected const WHAT = 'updated the service';

    /**
     * Records a change.
     *
     * @param int $id of the service, rule or replay
     * @param string $name
     * @param string[] $fields columns that have new values
     */
    public static function record(int $id, string $name, array $fields = []): void {
        $event = static::create([
            'context' => \context_system::instance(),
            'objectid' => $id,
            'other' => ['name' => $name] + ($fields ? ['fields' => array_values($fields)] : []),
        ]);
        $event->trigger();
    }

    /**
     * Sets what all events of a class have in common.
     */
    protected function init() {
        $this->data['crud'] = static::CRUD;
        $this->data['edulevel'] = self::LEVEL_OTHER;
        $this->data['objecttable'] = static::TABLE;
    }

    /**
     * What people call it.
     *
     * @return string
     */
    public static function get_name() {
        $class = static::class;
        return get_string('event_' . substr($class, strrpos($class, '\\') + 1), 'local_integrationhub');
    }

    /**
     * What happened, for the log.
     *
     * @return string
     */
    public function get_description() {
        // Not every Moodle that this works with escapes descriptions, and a name may be that of a message.
        $name = str_replace(['<', '>'], ['&lt;', '&gt;'], $this->other['name']);
        $text = "The user with id '$this->userid' " . static::WHAT . " '$name' with id '$this->objectid'";
        return $text . (empty($this->other['fields']) ? '.' : ': ' . implode(', ', $this->other['fields']) . '.');
    }

    /**
     * Where to look.
     *
     * @return \moodle_url
     */
    public function get_url() {
        $pages = ['local_integrationhub_svc' => 'services', 'local_integrationhub_rules' => 'rules'];
        $page = $pages[static::TABLE] ?? 'queue';
        return new \moodle_url("/local/integrationhub/$page.php");
    }

    /**
     * Refuses what is not complete.
     */
    protected function validate_data() {
        parent::validate_data();
        if (!isset($this->other['name'])) {
            throw new \coding_exception('The \'name\' value must be set in other.');
        }
    }

    /**
     * Ids are of no use in another site.
     *
     * @return array
     */
    public static function get_objectid_mapping() {
        return ['db' => static::TABLE, 'restore' => \core\event\base::NOT_MAPPED];
    }

    /**
     * Nothing in other is an id.
     *
     * @return bool
     */
    public static function get_other_mapping() {
        return false;
    }
}
