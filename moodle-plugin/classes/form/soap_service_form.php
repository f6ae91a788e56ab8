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

/**
 * The form of a SOAP service. Its page shows the operations of the WSDL on demand.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class soap_service_form extends service_form {
    /** Type of the services. */
    public const TYPE = 'soap';

    /** Texts that may be missing. */
    protected const TEXTS = ['base_url', 'auth_type', 'auth_user', 'auth_header', 'soap_version', 'soap_headers'];

    /** Secrets: field => whether it has several lines. */
    protected const SECRETS = [
        'auth_token' => false, 'client_cert' => true, 'signing_secret' => false, 'signing_secret_old' => false,
    ];

    /**
     * Where the service is and how it is called.
     */
    protected function transport(): void {
        global $OUTPUT, $PAGE;
        $mform = $this->_form;
        $mform->addElement('header', 'transport', $this->text('service_request'));
        $mform->setExpanded('transport');
        $this->add_text('base_url', 'wsdlurl', true, ['size' => 60, 'placeholder' => 'https://erp.example.org/service?wsdl']);
        $mform->addHelpButton('base_url', 'base_url', 'local_integrationhub');
        $id = (int) ($this->_customdata['service']->id ?? 0);
        $mform->addElement('static', 'operations', $this->text('wsdl_operations'), $OUTPUT->render_from_template(
            'local_integrationhub/operations',
            ['serviceid' => $id]
        ));
        $PAGE->requires->js_call_amd('local_integrationhub/operations', 'init');
        $versions = ['' => $this->text('soap_version_wsdl'), '1.1' => '1.1', '1.2' => '1.2'];
        $mform->addElement('select', 'soap_version', $this->text('soap_version'), $versions);
        $attributes = ['rows' => 3, 'class' => 'local-integrationhub-code', 'placeholder' => '{"Caller": {"name": "moodle"}}',
            'spellcheck' => 'false'];
        $mform->addElement('textarea', 'soap_headers', $this->text('soap_headers'), $attributes);
        $mform->setType('soap_headers', PARAM_RAW);
        $mform->addHelpButton('soap_headers', 'soap_headers', 'local_integrationhub');
        $this->add_authentication(['none', 'bearer', 'apikey', 'basic', 'wsse', 'wssetext']);
        $this->add_signing(true);
    }
}
