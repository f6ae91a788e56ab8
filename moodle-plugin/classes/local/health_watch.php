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
 * Tells administrators what has changed, once for each change.
 *
 * Watched are: the breaker of each service (opened, recovered), new dead letters (some within the last hour), the fleet (no
 * worker for two minutes, back again), and rules that the fleet has disabled. What was true at the last look is a setting; what
 * is true now and was not is told. A change that is undone between two looks (a minute) is told to nobody.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class health_watch {
    /** Setting that holds what was true at the last look. */
    private const SETTING = 'healthstate';

    /** Seconds without a worker before it is told: a restart takes less. */
    private const ABSENCE = 120;

    /** Seconds for which a dead letter counts as new. */
    private const NEWS = HOURSECS;

    /** @var array kind and subject => what messages say, or since when */
    private $before;

    /**
     * Looks, and tells.
     */
    public function look(): void {
        $stored = get_config('local_integrationhub', self::SETTING);
        $this->before = $stored === false ? [] : (array) json_decode($stored, true);
        $now = $this->breakers() + $this->dead() + $this->workers() + $this->rules();
        // First the note, then the messages: whoever dies in between has told nobody rather than everybody again and again.
        $json = json_encode($now);
        if ($json !== $stored) {
            set_config(self::SETTING, $json, 'local_integrationhub');
        }
        foreach (array_diff_key($now, $this->before) as $key => $a) {
            $this->tell($key, 'begun', $a);
        }
        foreach (array_diff_key($this->before, $now) as $key => $a) {
            if ($this->has_recovered($key)) {
                $this->tell($key, 'ended', $a);
            }
        }
    }

    /**
     * Whether what is no longer true is so because all is well, and not because nobody asks any more.
     *
     * @param string $key
     * @return bool
     */
    private function has_recovered(string $key): bool {
        [$kind, $id] = explode(':', $key) + [1 => 0];
        return $kind === 'breaker' ? health::is_closed((int) $id) : $kind === 'worker' && (bool) health::workers();
    }

    /**
     * Breakers that are not closed.
     *
     * @return array
     */
    private function breakers(): array {
        $state = [];
        foreach (health::open_breakers() as $id => $name) {
            $state["breaker:$id"] = $name;
        }
        return $state;
    }

    /**
     * New dead letters.
     *
     * @return array
     */
    private function dead(): array {
        $dead = health::dead(health::now() - self::NEWS);
        if (!$dead) {
            return [];
        }
        // What was told once stays as it was told, so that the setting does not change with every letter.
        return ['dead' => $this->before['dead'] ?? ['number' => array_sum($dead), 'services' => implode(', ', array_keys($dead))]];
    }

    /**
     * Whether the fleet is missing: `absent` says since when, `worker` that it is time to tell.
     *
     * @return array
     */
    private function workers(): array {
        if (!health::is_used() || !config::has_broker() || health::workers()) {
            return [];
        }
        $since = $this->before['absent'] ?? time();
        return ['absent' => $since] + (time() - $since >= self::ABSENCE ? ['worker' => ''] : []);
    }

    /**
     * Rules that the fleet has disabled.
     *
     * @return array
     */
    private function rules(): array {
        $state = [];
        foreach (health::disabled_rules() as $rule) {
            $state["rule:$rule->id"] = ['id' => $rule->id, 'eventname' => $rule->eventname, 'service' => $rule->servicename,
                'reason' => $rule->disabledreason];
        }
        return $state;
    }

    /**
     * Tells of a change, if there are words for it.
     *
     * @param string $key kind and subject
     * @param string $change begun or ended
     * @param mixed $a what the words say
     */
    private function tell(string $key, string $change, $a): void {
        [$kind] = explode(':', $key);
        $string = "health_{$kind}_$change";
        if (!get_string_manager()->string_exists($string, 'local_integrationhub')) {
            return;
        }
        foreach (self::administrators() as $user) {
            $message = new \core\message\message();
            $message->component = 'local_integrationhub';
            $message->name = 'health';
            $message->notification = 1;
            $message->userfrom = \core_user::get_noreply_user();
            $message->userto = $user;
            $message->subject = self::text($string, $a, $user->lang);
            $message->fullmessage = $message->subject . "\n\n" . self::text($string . '_desc', $a, $user->lang);
            $message->fullmessageformat = FORMAT_PLAIN;
            $message->fullmessagehtml = '';
            $message->smallmessage = $message->subject;
            $message->contexturl = (new \moodle_url('/report/status/index.php'))->out(false);
            $message->contexturlname = self::text('health_report', null, $user->lang);
            message_send($message);
        }
    }

    /**
     * A text in somebody's language.
     *
     * @param string $key
     * @param mixed $a
     * @param string $language
     * @return string
     */
    private static function text(string $key, $a, string $language): string {
        return get_string_manager()->get_string($key, 'local_integrationhub', $a, $language);
    }

    /**
     * Who is told: those who manage the hub, and the site's administrators.
     *
     * @return \stdClass[]
     */
    private static function administrators(): array {
        $users = get_users_by_capability(\context_system::instance(), 'local/integrationhub:manage') + get_admins();
        return array_filter($users, function (\stdClass $user): bool {
            return empty($user->deleted) && empty($user->suspended);
        });
    }
}
