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

namespace local_integrationhub\task;

/**
 * The tasks that 2.0.0 had queued, one for each event and rule, until Moodle's cron has handed all of them over.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class queue_manager {
    /** Table. */
    private const TABLE = 'task_adhoc';

    /** Class of the tasks, as Moodle stores it. */
    private const TASK = ['classname' => '\local_integrationhub\task\dispatch_event_task'];

    /**
     * The tasks that wait, the next one first.
     *
     * @return \stdClass[] rows of task_adhoc with eventname, servicename and ruleid
     */
    public static function get_pending_tasks(): array {
        global $DB;
        $rules = self::rules();
        $tasks = [];
        foreach ($DB->get_records(self::TABLE, self::TASK, 'nextruntime ASC, id ASC') as $task) {
            $data = self::data($task);
            $task->ruleid = (int) ($data['ruleid'] ?? 0);
            $task->eventname = $rules[$task->ruleid]->eventname ?? $data['eventdata']['eventname'] ?? '';
            $task->servicename = $rules[$task->ruleid]->servicename ?? '';
            $tasks[] = $task;
        }
        return $tasks;
    }

    /**
     * Has a task run by the next cron, however often it has failed.
     *
     * @param int $id
     * @return bool whether there is such a task
     */
    public static function retry_task($id): bool {
        global $DB;
        $task = $DB->get_record(self::TABLE, ['id' => (int) $id] + self::TASK, 'id');
        if (!$task) {
            return false;
        }
        $task->faildelay = 0;
        $task->nextruntime = time() - 1;
        return $DB->update_record(self::TABLE, $task);
    }

    /**
     * Deletes a task.
     *
     * @param int $id
     * @return bool
     */
    public static function delete_task(int $id): bool {
        global $DB;
        return $DB->delete_records(self::TABLE, ['id' => $id] + self::TASK);
    }

    /**
     * Deletes the tasks whose rule is gone: nobody wants them.
     *
     * @return int how many
     */
    public static function purge_orphan_tasks(): int {
        global $DB;
        $rules = self::rules();
        $orphans = array_filter($DB->get_records(self::TABLE, self::TASK), function (\stdClass $task) use ($rules): bool {
            return !isset($rules[(int) (self::data($task)['ruleid'] ?? 0)]);
        });
        foreach (array_chunk(array_keys($orphans), 500) as $ids) {
            $DB->delete_records_list(self::TABLE, 'id', $ids);
        }
        return count($orphans);
    }

    /**
     * The rules that have a service, with its name.
     *
     * @return \stdClass[] by id
     */
    private static function rules(): array {
        global $DB;
        return $DB->get_records_sql("SELECT r.id, r.eventname, s.name AS servicename
                                       FROM {local_integrationhub_rules} r
                                       JOIN {local_integrationhub_svc} s ON s.id = r.serviceid");
    }

    /**
     * What a task was given.
     *
     * @param \stdClass $task
     * @return array
     */
    private static function data(\stdClass $task): array {
        $data = json_decode((string) $task->customdata, true);
        return is_array($data) ? $data : [];
    }
}
