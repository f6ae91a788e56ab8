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

namespace local_integrationhub\admin;

use local_integrationhub\local\amqp_url;
use local_integrationhub\local\config;
use local_integrationhub\local\cooloff;

/**
 * The broker URL: encrypted in the database, never shown again; what is shown is the address without the password.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class setting_brokerurl extends \admin_setting_encryptedpassword {
    /**
     * Refuses what is no broker URL.
     *
     * @param string $data
     * @return string '' or the error
     */
    public function write_setting($data) {
        try {
            amqp_url::parse_list(trim($data));
        } catch (\moodle_exception $e) {
            return $e->getMessage();
        }
        $error = parent::write_setting($data);
        if ($error === '') {
            // What was wrong with the old address need not be wrong with the new one.
            (new cooloff())->clear();
        }
        return $error;
    }

    /**
     * The field, with the present address above it.
     *
     * @param string $data
     * @param string $query
     * @return string
     */
    public function output_html($data, $query = '') {
        $this->description .= "\n\n" . $this->present();
        return parent::output_html($data, $query);
    }

    /**
     * Says which broker is configured.
     *
     * @return string
     */
    private function present(): string {
        try {
            $urls = amqp_url::parse_list(config::broker_url());
        } catch (\moodle_exception $e) {
            return $e->getMessage();
        }
        if (!$urls) {
            return get_string('brokerurl_none', 'local_integrationhub');
        }
        $masked = array_map(function (amqp_url $url): string {
            // The description is Markdown: the asterisks are none.
            return \html_writer::tag('code', str_replace('*', '&#42;', s($url->masked())));
        }, $urls);
        return get_string('brokerurl_present', 'local_integrationhub', implode(', ', $masked));
    }
}
