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

/**
 * States as words with a sign, never as a colour alone: data of the template badge.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class badges {
    /** Looks of a breaker's states: sign and colour. */
    private const BREAKERS = [
        'closed' => ['fa-link', 'success'], 'halfopen' => ['fa-adjust', 'warning'], 'open' => ['fa-chain-broken', 'danger'],
    ];

    /**
     * A state.
     *
     * @param string $key of the words
     * @param string $icon
     * @param string $class of the colour
     * @param string $note
     * @return array
     */
    public static function badge(string $key, string $icon, string $class, string $note = ''): array {
        return ['text' => get_string($key, 'local_integrationhub'), 'icon' => $icon, 'class' => $class, 'note' => $note];
    }

    /**
     * Whether a service's deliveries go out.
     *
     * @param \stdClass $service
     * @return array
     */
    public static function service(\stdClass $service): array {
        if (!$service->enabled) {
            return self::badge('status_disabled', 'fa-circle-o', 'secondary');
        }
        if ($service->paused) {
            return self::badge('status_paused', 'fa-pause', 'warning');
        }
        return self::badge('status_active', 'fa-check', 'success');
    }

    /**
     * A service's circuit breaker.
     *
     * @param \stdClass $service with state and retryat
     * @return array
     */
    public static function breaker(\stdClass $service): array {
        $state = isset(self::BREAKERS[$service->state]) ? $service->state : 'closed';
        $note = '';
        if ($state === 'open' && $service->retryat > time()) {
            $when = userdate($service->retryat, get_string('strftimedatetimeshort', 'langconfig'));
            $note = get_string('circuit_probe', 'local_integrationhub', $when);
        }
        return self::badge("circuit_$state", self::BREAKERS[$state][0], self::BREAKERS[$state][1], $note);
    }

    /**
     * What became of a dead letter.
     *
     * @param string $state
     * @return array
     */
    public static function letter(string $state): array {
        $looks = [
            'dead' => ['fa-times', 'danger'], 'replayed' => ['fa-share', 'info'], 'delivered' => ['fa-check', 'success'],
            'discarded' => ['fa-trash-o', 'secondary'], 'dropped' => ['fa-hourglass-end', 'secondary'],
        ];
        $state = isset($looks[$state]) ? $state : 'dead';
        return self::badge("letter_$state", $looks[$state][0], $looks[$state][1]);
    }

    /**
     * How a request ended.
     *
     * @param \stdClass $row of the log
     * @return array
     */
    public static function outcome(\stdClass $row): array {
        if ($row->success) {
            return self::badge('outcome_delivered', 'fa-check', 'success');
        }
        if (($row->outcome ?? '') === 'retry') {
            return self::badge('outcome_retry', 'fa-repeat', 'warning');
        }
        return self::badge(($row->outcome ?? '') === 'dead' ? 'outcome_dead' : 'outcome_failed', 'fa-times', 'danger');
    }

    /**
     * How far a replay is.
     *
     * @param string $state
     * @return array
     */
    public static function replay(string $state): array {
        $looks = [
            'requested' => ['fa-clock-o', 'secondary'], 'running' => ['fa-play', 'info'], 'done' => ['fa-check', 'success'],
            'stopped' => ['fa-stop', 'warning'], 'failed' => ['fa-times', 'danger'],
        ];
        $state = isset($looks[$state]) ? $state : 'requested';
        return self::badge("replay_$state", $looks[$state][0], $looks[$state][1]);
    }
}
