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

namespace local_integrationhub\form;

use local_integrationhub\service\connection_test;

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/formslib.php');

/**
 * What a service is tried with. Custom data: service.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class connection_form extends \moodleform {
    /**
     * The form.
     */
    protected function definition() {
        $mform = $this->_form;
        if ($this->_customdata['service']->type === 'rest') {
            $methods = array_combine(connection_test::METHODS, connection_test::METHODS);
            $mform->addElement('select', 'method', get_string('rule_method', 'local_integrationhub'), $methods);
            $attributes = ['size' => 40, 'placeholder' => '/'];
            $mform->addElement('text', 'path', get_string('rule_endpoint', 'local_integrationhub'), $attributes);
            $mform->setType('path', PARAM_RAW_TRIMMED);
            $attributes = ['rows' => 4, 'class' => 'local-integrationhub-code', 'spellcheck' => 'false'];
            $mform->addElement('textarea', 'body', get_string('body_type', 'local_integrationhub'), $attributes);
            $mform->setType('body', PARAM_RAW);
            $mform->setDefault('body', '{"test": true}');
            $mform->hideIf('body', 'method', 'in', ['GET', 'HEAD']);
        }
        $this->add_action_buttons(true, get_string('testconnection_send', 'local_integrationhub'));
    }

    /**
     * What is wrong, by field.
     *
     * @param array $data
     * @param array $files
     * @return string[]
     */
    public function validation($data, $files) {
        $errors = parent::validation($data, $files);
        if (preg_match('~[\x00-\x20\x7f]|\.\.~', $data['path'] ?? '')) {
            $errors['path'] = get_string('error_path', 'local_integrationhub');
        }
        return $errors;
    }
}
