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

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/formslib.php');

/**
 * The form that takes an export of services.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class import_form extends \moodleform {
    /**
     * The form.
     */
    protected function definition() {
        $mform = $this->_form;
        $mform->addElement('filepicker', 'file', get_string('file'), null, ['accepted_types' => ['.json'], 'maxbytes' => 1048576]);
        $attributes = ['rows' => 10, 'class' => 'local-integrationhub-code', 'spellcheck' => 'false'];
        $mform->addElement('textarea', 'json', get_string('import_json', 'local_integrationhub'), $attributes);
        $mform->setType('json', PARAM_RAW);
        $this->add_action_buttons(true, get_string('import', 'local_integrationhub'));
    }

    /**
     * What is to be imported: the file, or else the text.
     *
     * @return string
     */
    public function json(): string {
        $content = $this->get_file_content('file');
        return is_string($content) && trim($content) !== '' ? $content : (string) ($this->get_data()->json ?? '');
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
        if (trim($data['json']) === '' && empty(file_get_draft_area_info($data['file'])['filecount'])) {
            $errors['json'] = get_string('error_import_nothing', 'local_integrationhub');
        }
        return $errors;
    }
}
