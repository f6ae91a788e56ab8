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

use local_integrationhub\rule\event_list;
use local_integrationhub\rule\preview;
use local_integrationhub\rule\registry;
use local_integrationhub\service\registry as services;

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/formslib.php');

/**
 * The form of a rule. Custom data: rule, the record that is edited, or null; serviceid of a new one.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class rule_form extends \moodleform {
    /**
     * The form.
     */
    protected function definition() {
        global $OUTPUT, $PAGE;
        $mform = $this->_form;
        $mform->addElement('hidden', 'id', 0);
        $mform->setType('id', PARAM_INT);
        $attributes = ['size' => 60, 'placeholder' => '\core\event\user_created', 'spellcheck' => 'false'];
        $mform->addElement('text', 'eventname', $this->text('rule_event'), $attributes);
        $mform->setType('eventname', PARAM_RAW_TRIMMED);
        $mform->addRule('eventname', get_string('required'), 'required', null, 'client');
        $mform->addHelpButton('eventname', 'rule_event', 'local_integrationhub');
        $picker = $OUTPUT->render_from_template('local_integrationhub/event_picker', ['groups' => event_list::groups()]);
        $mform->addElement('static', 'picker', $this->text('selectevent'), $picker);

        $services = services::get_all_services();
        $mform->addElement('select', 'serviceid', $this->text('rule_service'), $this->service_options($services));
        $mform->addRule('serviceid', get_string('required'), 'required', null, 'client');
        $methods = array_combine(registry::METHODS, registry::METHODS);
        $mform->addElement('select', 'http_method', $this->text('rule_method'), $methods);
        $attributes = ['size' => 60, 'spellcheck' => 'false', 'list' => 'ih-operations'];
        $mform->addElement('text', 'endpoint', $this->text('rule_endpoint'), $attributes);
        $mform->setType('endpoint', PARAM_RAW_TRIMMED);
        $mform->addHelpButton('endpoint', 'rule_endpoint', 'local_integrationhub');

        $this->add_editor('payload_template', 'rule_template', 8, '{"user": {{userid}}, "course": "{{course.shortname}}"}');
        $fields = $OUTPUT->render_from_template('local_integrationhub/fields', []);
        $mform->addElement('static', 'fields', $this->text('fields'), $fields);
        $this->add_editor('filter', 'rule_filter', 4, '{"courseid": {"$in": [2, 3]}}');
        $builder = $OUTPUT->render_from_template('local_integrationhub/filterbuilder', ['operators' => $this->operators()]);
        $mform->addElement('static', 'builder', '', $builder);
        $PAGE->requires->js_call_amd('local_integrationhub/filterbuilder', 'init');
        $mform->addElement('advcheckbox', 'enabled', $this->text('enabled'), $this->text('rule_enabled_label'));
        $mform->setDefault('enabled', 1);
        $preview = $OUTPUT->render_from_template('local_integrationhub/preview', []);
        $mform->addElement('static', 'preview', $this->text('preview'), $preview);
        $rule = $this->_customdata['rule'];
        if ($rule) {
            $test = $OUTPUT->render_from_template('local_integrationhub/testsend', ['ruleid' => $rule->id]);
            $mform->addElement('static', 'test', $this->text('test'), $test);
            $PAGE->requires->js_call_amd('local_integrationhub/testsend', 'init');
        }
        $this->add_action_buttons(true, get_string('savechanges'));

        $this->set_data($rule ?: ['serviceid' => $this->_customdata['serviceid']]);
        $PAGE->requires->js_call_amd('local_integrationhub/rules', 'init', [array_map(function (\stdClass $service): string {
            return $service->type;
        }, $services)]);
    }

    /**
     * The columns that the submitted form asks for; null when it has not been submitted or is not valid.
     *
     * @return array|null
     */
    public function values(): ?array {
        $data = $this->get_data();
        return $data ? self::columns((array) $data) : null;
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
        foreach (registry::faults(self::columns($data)) as $field => $fault) {
            $errors[$field] = s(preview::fault_text($fault));
        }
        return $errors;
    }

    /**
     * The columns that submitted data asks for.
     *
     * @param array $data
     * @return array
     */
    private static function columns(array $data): array {
        $values = [
            'eventname' => (string) $data['eventname'],
            'serviceid' => (int) $data['serviceid'],
            'http_method' => $data['http_method'] ?? 'POST',
            'enabled' => (int) !empty($data['enabled']),
        ];
        foreach (['endpoint', 'payload_template', 'filter'] as $name) {
            // Line ends as the validators count them, and as JSON has them.
            $text = str_replace("\r\n", "\n", (string) ($data[$name] ?? ''));
            $values[$name] = trim($text) === '' ? null : $text;
        }
        return $values;
    }

    /**
     * The comparisons of conditions.
     *
     * @return array of the template filterbuilder
     */
    private function operators(): array {
        $names = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'in', 'nin', 'startsWith', 'endsWith', 'regex', 'exist'];
        return array_map(function (string $name): array {
            return ['value' => '$' . $name, 'name' => $this->text('operator_' . strtolower($name))];
        }, $names);
    }

    /**
     * The services to choose from.
     *
     * @param \stdClass[] $services
     * @return string[]
     */
    private function service_options(array $services): array {
        $options = ['' => $this->text('selectservice')];
        foreach ($services as $service) {
            // Options are HTML.
            $name = s($service->name) . ' (' . $this->text("type_$service->type") . ')';
            $options[$service->id] = $service->enabled ? $name : $name . ' - ' . $this->text('status_disabled');
        }
        return $options;
    }

    /**
     * Adds a field for code.
     *
     * @param string $name
     * @param string $label
     * @param int $rows
     * @param string $example
     */
    private function add_editor(string $name, string $label, int $rows, string $example): void {
        $attributes = ['rows' => $rows, 'class' => 'local-integrationhub-code', 'spellcheck' => 'false', 'placeholder' => $example];
        $this->_form->addElement('textarea', $name, $this->text($label), $attributes);
        $this->_form->setType($name, PARAM_RAW);
        $this->_form->addHelpButton($name, $label, 'local_integrationhub');
    }

    /**
     * A language string of the plugin.
     *
     * @param string $key
     * @return string
     */
    private function text(string $key): string {
        return get_string($key, 'local_integrationhub');
    }
}
