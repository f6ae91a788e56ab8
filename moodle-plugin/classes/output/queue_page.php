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
use local_integrationhub\local\page;
use local_integrationhub\local\replays;
use local_integrationhub\service\overview;
use local_integrationhub\table\dead_filter;
use local_integrationhub\table\dead_table;

/**
 * What waits, what was given up and why, and what was asked for to be sent again.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class queue_page implements named_templatable, \renderable {
    /** Most reasons that are told. */
    private const REASONS = 12;

    /** Characters by which reasons are told apart. */
    private const REASONLENGTH = 120;

    /** Requests that are told. */
    private const REPLAYS = 20;

    /** @var dead_filter */
    private $filter;

    /** @var bool whether the user may send dead letters again */
    private $canreplay;

    /**
     * Constructor.
     *
     * @param dead_filter $filter
     * @param bool $canreplay
     */
    public function __construct(dead_filter $filter, bool $canreplay) {
        $this->filter = $filter;
        $this->canreplay = $canreplay;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/queue';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $services = overview::services();
        $table = new dead_table($this->filter, $this->canreplay, $output);
        ob_start();
        $table->out(dead_table::PAGE, false);
        $html = ob_get_clean();
        $values = $this->filter->values;
        $hidden = [];
        foreach ($values as $name => $value) {
            $hidden[] = ['name' => $name, 'value' => $value];
        }
        return [
            'services' => array_values(array_map([self::class, 'service'], $services)),
            'hasservices' => (bool) $services,
            'url' => page::url('queue')->out(false),
            'filter' => $this->form($services),
            'isfiltered' => (bool) $values,
            'ismore' => (bool) array_diff_key($values, ['serviceid' => 1, 'state' => 1, 'reason' => 1]),
            'reasons' => $this->reasons(),
            'table' => $html,
            'number' => (int) $table->totalrows,
            'actions' => $this->canreplay && $this->filter->state() === 'dead' && $table->totalrows > 0,
            'actionurl' => page::url('queue_action')->out(false),
            'sesskey' => sesskey(),
            'hidden' => $hidden,
        ] + self::replays($this->canreplay);
    }

    /**
     * The latest requests.
     *
     * @param bool $canreplay
     * @return array of the template replays
     */
    public static function replays(bool $canreplay): array {
        $rows = [];
        $format = get_string('strftimedatetimeshort', 'langconfig');
        foreach (replays::latest(self::REPLAYS) as $replay) {
            $user = $replay->userid ? \core_user::get_user($replay->userid) : null;
            $action = $replay->action === 'replay' ? "replay_mode_$replay->mode" : "replay_action_$replay->action";
            $rows[] = [
                'id' => $replay->id,
                'time' => userdate($replay->timecreated, $format),
                'user' => $user ? fullname($user) : get_string('replay_from_shell', 'local_integrationhub'),
                'action' => get_string($action, 'local_integrationhub'),
                'text' => replays::text($replay),
                'state' => badges::replay($replay->state),
                'isopen' => $replay->isopen,
                'percent' => $replay->percent ?? 0,
                'moved' => $replay->moved,
                'failed' => $replay->failed,
                'error' => (string) $replay->error,
                'stopurl' => $canreplay && $replay->isopen
                    ? page::url('queue_action', ['action' => 'stop', 'id' => $replay->id])->out(false) : '',
            ];
        }
        return ['replays' => $rows, 'hasreplays' => (bool) $rows];
    }

    /**
     * What waits for a service.
     *
     * @param \stdClass $service
     * @return array
     */
    private static function service(\stdClass $service): array {
        return [
            'name' => $service->name,
            'state' => badges::service($service),
            'breaker' => badges::breaker($service),
            'waiting' => $service->waiting ?? '–',
            'oldest' => $service->oldest === null ? '' : format_time(max(1, $service->oldest)),
            'retried' => $service->retriedhour,
            'dead' => $service->dead,
            'deadurl' => page::url('queue', ['serviceid' => $service->id])->out(false),
        ];
    }

    /**
     * The form of the filter.
     *
     * @param \stdClass[] $services
     * @return array
     */
    private function form(array $services): array {
        $values = $this->filter->values;
        $form = [];
        foreach (['ruleid', 'eventname', 'reason', 'status', 'userid', 'courseid', 'from', 'to', 'text'] as $name) {
            $form[$name] = $values[$name] ?? '';
        }
        $form['services'] = self::options(
            ['' => get_string('service_any', 'local_integrationhub')] + array_column($services, 'name', 'id'),
            $values['serviceid'] ?? ''
        );
        $states = [];
        foreach (array_merge(dead_filter::STATES, ['any']) as $state) {
            $states[$state] = get_string("letter_$state", 'local_integrationhub');
        }
        $form['states'] = self::options($states, $this->filter->state());
        return $form;
    }

    /**
     * Choices of a list.
     *
     * @param string[] $names by value
     * @param string|int $current
     * @return array
     */
    private static function options(array $names, $current): array {
        $options = [];
        foreach ($names as $value => $name) {
            $options[] = ['value' => $value, 'name' => $name, 'selected' => (string) $value === (string) $current];
        }
        return $options;
    }

    /**
     * Why the letters that are listed were given up, the most frequent first.
     *
     * @return array
     */
    private function reasons(): array {
        global $DB;
        [$where, $parameters] = $this->filter->sql();
        $reason = $DB->sql_substr($DB->sql_compare_text('d.error_message', self::REASONLENGTH), 1, self::REASONLENGTH);
        $rows = $DB->get_recordset_sql(
            "SELECT $reason AS reason, COUNT(*) AS number FROM {local_integrationhub_dlq} d
              WHERE $where GROUP BY $reason ORDER BY number DESC",
            $parameters,
            0,
            self::REASONS
        );
        $reasons = [];
        foreach ($rows as $row) {
            if ((string) $row->reason !== '') {
                $url = page::url('queue', ['reason' => $row->reason] + $this->filter->values);
                $reasons[] = ['reason' => $row->reason, 'number' => $row->number, 'url' => $url->out(false)];
            }
        }
        $rows->close();
        return $reasons;
    }
}
