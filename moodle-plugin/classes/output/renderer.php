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

use local_integrationhub\local\page;
use local_integrationhub\local\replays;

/**
 * Renders the pages: each renderable names its own template.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class renderer extends \plugin_renderer_base {
    /**
     * A question with a button that does it.
     *
     * @param array $question of the template question
     * @param \moodle_url $do where the form is sent
     * @param \moodle_url $back
     * @param bool $destructive
     * @return string HTML
     */
    public function question(array $question, \moodle_url $do, \moodle_url $back, bool $destructive): string {
        $fields = [];
        foreach ($do->params() as $name => $value) {
            $fields[] = ['name' => $name, 'value' => $value];
        }
        $fields[] = ['name' => 'sesskey', 'value' => sesskey()];
        return $this->render_from_template('local_integrationhub/question', $question + [
            'url' => $do->out_omit_querystring(),
            'fields' => $fields,
            'back' => $back->out(false),
            'destructive' => $destructive,
        ]);
    }

    /**
     * Asks how dead letters are to be sent again, or whether they are to be thrown away.
     *
     * @param string $action replay or discard
     * @param int $number of letters
     * @param array $values that the form sends along
     * @param \moodle_url $back
     * @return string HTML
     */
    public function replay_question(string $action, int $number, array $values, \moodle_url $back): string {
        $fields = [];
        foreach ($values + ['confirm' => 1, 'sesskey' => sesskey()] as $name => $value) {
            $fields[] = ['name' => $name, 'value' => $value];
        }
        return $this->render_from_template('local_integrationhub/replay_question', [
            'question' => get_string("letters_{$action}_question", 'local_integrationhub', $number),
            'note' => get_string("letters_{$action}_note", 'local_integrationhub'),
            'isdiscard' => $action === 'discard',
            'url' => page::url('queue_action')->out(false),
            'fields' => $fields,
            'back' => $back->out(false),
            'rate' => replays::RATE,
            'single' => $number === 1,
        ]);
    }
}
