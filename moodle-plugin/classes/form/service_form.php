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

use local_integrationhub\local\inbound\signed;
use local_integrationhub\local\service_fields;
use local_integrationhub\service\registry;

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/formslib.php');

/**
 * What the forms of all kinds of service have in common.
 *
 * Secrets are write-only: a stored one is never put into the page, an empty field keeps it, and one that was typed into a form
 * with a mistake elsewhere has to be typed again. Custom data: service, the record that is edited, or null.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
abstract class service_form extends \moodleform {
    /** Type of the services. */
    public const TYPE = '';

    /** Texts that may be missing. */
    protected const TEXTS = [];

    /** Secrets: field => whether it has several lines. */
    protected const SECRETS = [];

    /** Fields that are switches. */
    private const SWITCHES = ['enabled', 'paused', 'long_retries', 'inbound_open'];

    /** Texts about calls that come in. */
    private const INBOUND = ['ip_whitelist', 'hmac_header', 'hmac_algo'];

    /** Numbers by section. */
    private const NUMBERS = [
        'limits' => ['timeout' => 'timeout', 'max_concurrency' => 'max_concurrency', 'rate_limit' => 'rate_limit'],
        'failures' => [
            'max_retries' => 'maxretries', 'retry_backoff' => 'retrybackoff', 'cb_failure_threshold' => 'cbfailurethreshold',
            'cb_cooldown' => 'cbcooldown',
        ],
        'inbound' => [
            'rate_limit_requests' => 'rate_limit_requests', 'rate_limit_window' => 'rate_limit_window',
            'inbound_max_bytes' => 'inbound_max_bytes', 'inbound_window' => 'inbound_window',
        ],
    ];

    /** Numbers whose help text is not named like their label. */
    private const HELP = ['timeout', 'max_concurrency', 'rate_limit', 'retrybackoff', 'cbfailurethreshold', 'cbcooldown'];

    /**
     * The form of a type.
     *
     * @param string $type
     * @param \moodle_url $url
     * @param \stdClass|null $service
     * @return self
     */
    public static function of_type(string $type, \moodle_url $url, ?\stdClass $service): self {
        $class = ['soap' => soap_service_form::class, 'amqp' => amqp_service_form::class][$type] ?? rest_service_form::class;
        $attributes = ['class' => 'local-integrationhub-form', 'autocomplete' => 'off'];
        return new $class($url, ['service' => $service], 'post', '', $attributes);
    }

    /**
     * Where the service is and how it is called.
     */
    abstract protected function transport(): void;

    /**
     * The form.
     */
    protected function definition() {
        $mform = $this->_form;
        $mform->addElement('hidden', 'id', 0);
        $mform->setType('id', PARAM_INT);
        $mform->addElement('hidden', 'type', static::TYPE);
        $mform->setType('type', PARAM_ALPHA);

        $mform->addElement('header', 'general', $this->text('service_general'));
        $this->add_text('name', 'servicename', true);
        $mform->addHelpButton('name', 'servicename', 'local_integrationhub');
        $this->add_switch('enabled', 'enabled');
        $this->add_switch('paused', 'paused');
        $this->transport();
        $this->add_numbers('limits');
        $this->add_numbers('failures');
        $this->add_switch('long_retries', 'long_retries');
        $this->add_inbound();
        $this->add_action_buttons(true, $this->text('saveservice'));

        $service = $this->_customdata['service'];
        $values = $service ? $this->from_service($service) : service_fields::defaults();
        $this->set_data(['type' => static::TYPE] + $values);
    }

    /**
     * The columns that the submitted form asks for, secrets in plain text; null when it has not been submitted or is not valid.
     *
     * @return array|null
     */
    public function values(): ?array {
        $data = $this->get_data();
        return $data ? $this->columns((array) $data) : null;
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
        $service = $this->_customdata['service'];
        $values = $this->columns($data);
        foreach (service_fields::faults($values, $service) as $field => $fault) {
            $errors[$this->element_of($field)] = s($fault->getMessage());
        }
        $name = $values['name'];
        if (!isset($errors['name']) && (!$service || $service->name !== $name)) {
            if (!preg_match('~^[A-Za-z0-9_-]+$~D', $name)) {
                $errors['name'] = $this->text('error_name_characters');
            } else if (!registry::is_free_name($name, (int) ($service->id ?? 0))) {
                $errors['name'] = $this->text('error_name_exists');
            }
        }
        $errors += $this->check($values, $service);
        return $this->ask_again($errors, $data);
    }

    /**
     * Asks for the secrets again that were typed into a form with a mistake.
     *
     * @param string[] $errors
     * @param array $data
     * @return string[]
     */
    protected function ask_again(array $errors, array $data): array {
        foreach ($errors ? array_keys(self::secrets()) : [] as $field) {
            if (trim((string) ($data[$field] ?? '')) !== '') {
                $errors += [$field => $this->text('error_secret_again')];
            }
        }
        return $errors;
    }

    /**
     * Prints the form, without what was typed as a secret.
     */
    public function render() {
        foreach (array_keys(self::secrets()) as $field) {
            $this->_form->getElement($field)->setValue('');
        }
        return parent::render();
    }

    /**
     * What is wrong with fields that depend on each other.
     *
     * @param array $values
     * @param \stdClass|null $service
     * @return string[]
     */
    protected function check(array $values, ?\stdClass $service): array {
        $errors = [];
        $type = $values['auth_type'] ?? 'none';
        $secret = array_key_exists('auth_token', $values) ? (string) $values['auth_token'] : (string) ($service->auth_token ?? '');
        if ($type !== 'none' && $secret === '') {
            $errors['auth_token'] = get_string('required');
        }
        if (in_array($type, ['basic', 'oauth2', 'wsse', 'wssetext'], true) && (string) $values['auth_user'] === '') {
            $errors['auth_user'] = get_string('required');
        }
        if ($type === 'oauth2' && (string) $values['auth_url'] === '') {
            $errors['auth_url'] = get_string('required');
        }
        return $errors;
    }

    /**
     * The columns that submitted data asks for.
     *
     * @param array $data
     * @return array
     */
    protected function columns(array $data): array {
        $values = ['name' => trim((string) ($data['name'] ?? '')), 'type' => static::TYPE];
        foreach (array_merge(static::TEXTS, self::INBOUND) as $name) {
            $text = trim((string) ($data[$name] ?? ''));
            $values[$name] = $text === '' && $name !== 'base_url' ? null : $text;
        }
        foreach (self::secrets() as $name => $multiline) {
            $text = trim((string) ($data[$name] ?? ''));
            if ($text !== '') {
                $values[$name] = $multiline ? "$text\n" : $text;
            } else if (!empty($data["clear_$name"])) {
                $values[$name] = null;
            }
        }
        foreach (self::SWITCHES as $name) {
            $values[$name] = (int) !empty($data[$name]);
        }
        foreach (self::NUMBERS as $names) {
            foreach (array_keys($names) as $name) {
                $values[$name] = trim((string) ($data[$name] ?? ''));
            }
        }
        return $values;
    }

    /**
     * What the form shows of a service.
     *
     * @param \stdClass $service
     * @return array
     */
    protected function from_service(\stdClass $service): array {
        return array_diff_key((array) $service, self::secrets());
    }

    /**
     * The element that stands for a column.
     *
     * @param string $field
     * @return string
     */
    protected function element_of(string $field): string {
        return $field;
    }

    /**
     * A language string of the plugin.
     *
     * @param string $key
     * @param mixed $a
     * @return string
     */
    protected function text(string $key, $a = null): string {
        return get_string($key, 'local_integrationhub', $a);
    }

    /**
     * Adds a line of text.
     *
     * @param string $name
     * @param string $label
     * @param bool $required
     * @param array $attributes
     */
    protected function add_text(string $name, string $label, bool $required = false, array $attributes = ['size' => 50]): void {
        $this->_form->addElement('text', $name, $this->text($label), $attributes);
        $this->_form->setType($name, PARAM_RAW_TRIMMED);
        if ($required) {
            $this->_form->addRule($name, get_string('required'), 'required', null, 'client');
        }
    }

    /**
     * Adds a switch.
     *
     * @param string $name
     * @param string $label
     */
    protected function add_switch(string $name, string $label): void {
        $this->_form->addElement('advcheckbox', $name, $this->text($label), $this->text($label . '_label'));
    }

    /**
     * Adds a field for a secret, and a switch to remove the stored one.
     *
     * @param string $name
     * @param string $label
     * @param bool $required
     */
    protected function add_secret(string $name, string $label, bool $required = false): void {
        $mform = $this->_form;
        $stored = $this->has_secret($name);
        $attributes = ['autocomplete' => 'new-password', 'spellcheck' => 'false'];
        if ($stored) {
            $attributes['placeholder'] = $this->text('secret_stored');
        }
        $attributes += self::secrets()[$name] ? ['rows' => 3] : ['size' => 50];
        $mform->addElement(self::secrets()[$name] ? 'textarea' : 'password', $name, $this->text($label), $attributes);
        $mform->setType($name, PARAM_RAW);
        $mform->addHelpButton($name, $label, 'local_integrationhub');
        if ($stored && !$required) {
            $mform->addElement('advcheckbox', "clear_$name", '', $this->text('secret_remove', $this->text($label)));
        }
    }

    /**
     * Whether the service has this secret.
     *
     * @param string $name
     * @return bool
     */
    protected function has_secret(string $name): bool {
        return (string) ($this->_customdata['service']->$name ?? '') !== '';
    }

    /**
     * Adds the fields of authentication.
     *
     * @param string[] $types that this kind of service knows
     */
    protected function add_authentication(array $types): void {
        $mform = $this->_form;
        $mform->addElement('header', 'authentication', $this->text('authtype'));
        $mform->setExpanded('authentication');
        $options = [];
        foreach ($types as $type) {
            $options[$type] = $this->text("authtype_$type");
        }
        $mform->addElement('select', 'auth_type', $this->text('authtype'), $options);
        $this->add_text('auth_user', 'auth_user');
        $mform->hideIf('auth_user', 'auth_type', 'in', ['none', 'bearer', 'apikey']);
        $this->add_secret('auth_token', 'authtoken');
        $this->add_text('auth_header', 'auth_header', false, ['size' => 30, 'placeholder' => 'X-API-Key']);
        $mform->hideIf('auth_header', 'auth_type', 'neq', 'apikey');
        if (in_array('oauth2', $types, true)) {
            $this->add_text('auth_url', 'auth_url');
            $this->add_text('auth_scope', 'auth_scope');
            $mform->hideIf('auth_url', 'auth_type', 'neq', 'oauth2');
            $mform->hideIf('auth_scope', 'auth_type', 'neq', 'oauth2');
        }
    }

    /**
     * Adds the section on signatures and, where it makes sense, client certificates.
     *
     * @param bool $certificate
     */
    protected function add_signing(bool $certificate): void {
        $this->_form->addElement('header', 'signing', $this->text('signing'));
        $this->_form->setExpanded('signing', $this->has_secret('signing_secret') || $this->has_secret('client_cert'));
        $this->add_secret('signing_secret', 'signing_secret');
        $this->add_secret('signing_secret_old', 'signing_secret_old');
        if ($certificate) {
            $this->add_secret('client_cert', 'client_cert');
        }
    }

    /**
     * Adds the section of calls that come in from the service.
     */
    private function add_inbound(): void {
        $mform = $this->_form;
        $mform->addElement('header', 'inbound', $this->text('service_inbound'));
        $this->add_switch('inbound_open', 'inbound_open');
        $this->add_secret('hmac_secret', 'hmac_secret');
        $this->add_text('hmac_header', 'hmac_header', false, ['size' => 30, 'placeholder' => 'X-Hub-Signature-256']);
        $mform->addHelpButton('hmac_header', 'hmac_header', 'local_integrationhub');
        $mform->addElement('select', 'hmac_algo', $this->text('hmac_algo'), array_combine(signed::ALGORITHMS, signed::ALGORITHMS));
        $this->add_text('ip_whitelist', 'ip_whitelist', false, ['size' => 50, 'placeholder' => '203.0.113.0/24']);
        $mform->addHelpButton('ip_whitelist', 'ip_whitelist', 'local_integrationhub');
        $this->add_number_fields('inbound', false);
    }

    /**
     * Adds a section of numbers.
     *
     * @param string $section
     */
    private function add_numbers(string $section): void {
        $this->_form->addElement('header', $section, $this->text("service_$section"));
        $this->add_number_fields($section, true);
    }

    /**
     * Adds the numbers of a section.
     *
     * @param string $section
     * @param bool $required whether the browser asks for them; a section with such fields is open at first
     */
    private function add_number_fields(string $section, bool $required): void {
        foreach (self::NUMBERS[$section] as $name => $label) {
            [$min, $max] = service_fields::limits($name);
            $attributes = ['type' => 'number', 'min' => $min, 'max' => $max, 'step' => 1, 'size' => 8, 'inputmode' => 'numeric'];
            $this->add_text($name, $label, $required, $attributes);
            if (in_array($label, self::HELP, true)) {
                $this->_form->addHelpButton($name, $label, 'local_integrationhub');
            }
        }
    }

    /**
     * The fields that hold secrets.
     *
     * @return bool[] field => whether it has several lines
     */
    private static function secrets(): array {
        return static::SECRETS + ['hmac_secret' => false];
    }
}
