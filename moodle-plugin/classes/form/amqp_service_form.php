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

use local_integrationhub\local\amqp_service_url;

/**
 * The form of an AMQP service: it makes the service's address of its parts.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class amqp_service_form extends service_form {
    /** Type of the services. */
    public const TYPE = 'amqp';

    /** Texts that may be missing. */
    protected const TEXTS = ['response_queue', 'headers'];

    /** Secrets: field => whether it has several lines. */
    protected const SECRETS = ['amqp_pass' => false, 'signing_secret' => false, 'signing_secret_old' => false];

    /** Longest name of an exchange, a queue or a routing key. */
    private const MAX_NAME = 255;

    /**
     * Where the service is and how it is called.
     */
    protected function transport(): void {
        $mform = $this->_form;
        $mform->addElement('header', 'transport', $this->text('amqp_builder'));
        $mform->setExpanded('transport');
        $this->add_text('amqp_host', 'amqp_host', true, ['size' => 40, 'placeholder' => 'broker.example.org']);
        $this->add_switch('amqp_tls', 'amqp_tls');
        $attributes = ['type' => 'number', 'min' => 1, 'max' => 65535, 'step' => 1, 'size' => 8];
        $this->add_text('amqp_port', 'amqp_port', false, $attributes + ['placeholder' => '5672 / 5671']);
        $this->add_text('amqp_user', 'amqp_user');
        $this->add_secret('amqp_pass', 'amqp_pass', true);
        $this->add_text('amqp_vhost', 'amqp_vhost');
        $this->add_text('amqp_exchange', 'amqp_exchange');
        $this->add_text('amqp_routing_key', 'amqp_routing_key_default');
        $mform->addHelpButton('amqp_routing_key', 'amqp_routing_key', 'local_integrationhub');
        $this->add_text('amqp_queue_declare', 'amqp_queue_declare');
        $mform->addHelpButton('amqp_queue_declare', 'amqp_queue', 'local_integrationhub');
        $this->add_text('amqp_dlq', 'amqp_dlq');
        $this->add_text('response_queue', 'response_queue');
        $mform->addHelpButton('response_queue', 'response_queue', 'local_integrationhub');
        $this->add_signing(false);
        foreach (['amqp_user' => 'guest', 'amqp_vhost' => '/'] as $name => $value) {
            $mform->setDefault($name, $value);
        }
    }

    /**
     * Whether the service has this secret.
     *
     * @param string $name
     * @return bool
     */
    protected function has_secret(string $name): bool {
        return $name === 'amqp_pass' ? $this->stored_password() !== '' : parent::has_secret($name);
    }

    /**
     * The columns that submitted data asks for.
     *
     * @param array $data
     * @return array
     */
    protected function columns(array $data): array {
        $values = parent::columns($data);
        $tls = !empty($data['amqp_tls']);
        $port = trim((string) ($data['amqp_port'] ?? ''));
        $parts = [
            'tls' => $tls,
            'host' => trim((string) ($data['amqp_host'] ?? ''), " \t[]"),
            // One that cannot be is told at its own field.
            'port' => ctype_digit($port) && $port <= 65535 ? (int) $port : ($tls ? 5671 : 5672),
            'user' => (string) ($data['amqp_user'] ?? ''),
            'pass' => $values['amqp_pass'] ?? $this->stored_password(),
            'vhost' => (string) ($data['amqp_vhost'] ?? '') ?: '/',
        ];
        foreach (amqp_service_url::PARAMETERS as $name) {
            $parts[$name] = trim((string) ($data["amqp_$name"] ?? ''));
        }
        unset($values['amqp_pass']);
        return $values + ['base_url' => amqp_service_url::url($parts), 'auth_type' => 'none'];
    }

    /**
     * What the form shows of a service.
     *
     * @param \stdClass $service
     * @return array
     */
    protected function from_service(\stdClass $service): array {
        $values = parent::from_service($service);
        foreach (amqp_service_url::parts($service->base_url) as $name => $value) {
            $values["amqp_$name"] = $value;
        }
        unset($values['amqp_pass'], $values['base_url']);
        return $values;
    }

    /**
     * The element that stands for a column.
     *
     * @param string $field
     * @return string
     */
    protected function element_of(string $field): string {
        return $field === 'base_url' ? 'amqp_host' : $field;
    }

    /**
     * What is wrong, by field.
     *
     * @param array $data
     * @param array $files
     * @return string[]
     */
    public function validation($data, $files) {
        $errors = [];
        $port = trim((string) ($data['amqp_port'] ?? ''));
        if ($port !== '' && (!ctype_digit($port) || $port < 1 || $port > 65535)) {
            $a = ['name' => $this->text('amqp_port'), 'value' => $port, 'min' => 1, 'max' => 65535];
            $errors['amqp_port'] = $this->text('error_number', $a);
        }
        if (!preg_match('~^\[?[0-9A-Za-z._:-]+\]?$~D', trim((string) ($data['amqp_host'] ?? '')))) {
            $errors['amqp_host'] = $this->text('error_url_host_name');
        }
        foreach (amqp_service_url::PARAMETERS as $name) {
            $value = (string) ($data["amqp_$name"] ?? '');
            if (strlen($value) > self::MAX_NAME || preg_match('~[\x00-\x1f\x7f]~', $value)) {
                $errors["amqp_$name"] = $this->text('error_amqp_name');
            }
        }
        return $this->ask_again($errors + parent::validation($data, $files), $data);
    }

    /**
     * The password that the service has, as it is stored.
     *
     * @return string
     */
    private function stored_password(): string {
        $service = $this->_customdata['service'];
        return $service ? amqp_service_url::parts($service->base_url)['pass'] : '';
    }
}
