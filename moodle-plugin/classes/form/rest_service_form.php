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

use local_integrationhub\local\service_fields;

/**
 * The form of a REST service.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class rest_service_form extends service_form {
    /** Type of the services. */
    public const TYPE = 'rest';

    /** Texts that may be missing. */
    protected const TEXTS = [
        'base_url', 'auth_type', 'auth_user', 'auth_header', 'auth_url', 'auth_scope', 'headers', 'body_type', 'content_type',
    ];

    /** Secrets: field => whether it has several lines. */
    protected const SECRETS = [
        'auth_token' => false, 'client_cert' => true, 'signing_secret' => false, 'signing_secret_old' => false,
    ];

    /**
     * Where the service is and how it is called.
     */
    protected function transport(): void {
        $mform = $this->_form;
        $mform->addElement('header', 'transport', $this->text('service_request'));
        $mform->setExpanded('transport');
        $this->add_text('base_url', 'baseurl', true, ['size' => 60, 'placeholder' => 'https://api.example.org/v1']);
        $mform->addHelpButton('base_url', 'base_url', 'local_integrationhub');
        $types = [];
        foreach (service_fields::BODYTYPES as $type) {
            $types[$type] = $this->text("body_type_$type");
        }
        $mform->addElement('select', 'body_type', $this->text('body_type'), $types);
        $this->add_text('content_type', 'content_type', false, ['size' => 30, 'placeholder' => 'text/plain']);
        $mform->hideIf('content_type', 'body_type', 'neq', 'raw');
        $attributes = ['rows' => 3, 'class' => 'local-integrationhub-code', 'placeholder' => '{"X-Site": "{{site.shortname}}"}',
            'spellcheck' => 'false'];
        $mform->addElement('textarea', 'headers', $this->text('headers'), $attributes);
        $mform->setType('headers', PARAM_RAW);
        $mform->addHelpButton('headers', 'headers', 'local_integrationhub');
        $this->add_authentication(['none', 'bearer', 'apikey', 'basic', 'oauth2']);
        $this->add_signing(true);
    }
}
