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

use core\output\named_templatable;

/**
 * What a service answered.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class connection_result implements named_templatable, \renderable {
    /** @var \stdClass as service\connection_test gives it */
    private $result;

    /**
     * Constructor.
     *
     * @param \stdClass $result
     */
    public function __construct(\stdClass $result) {
        $this->result = $result;
    }

    /**
     * The template.
     *
     * @param \renderer_base $renderer
     * @return string
     */
    public function get_template_name(\renderer_base $renderer): string {
        return 'local_integrationhub/connection_result';
    }

    /**
     * The data of the template.
     *
     * @param \renderer_base $output
     * @return array
     */
    public function export_for_template(\renderer_base $output): array {
        $headers = [];
        foreach ($this->result->headers as $name => $value) {
            $headers[] = ['name' => $name, 'value' => $value];
        }
        return [
            'success' => $this->result->success,
            'error' => $this->result->error,
            'request' => $this->result->request,
            'status' => $this->result->status ?: '',
            'time' => get_string('milliseconds', 'local_integrationhub', $this->result->milliseconds),
            'headers' => $headers,
            'hasheaders' => (bool) $headers,
            'body' => $this->result->body,
            'more' => $this->result->more,
        ];
    }
}
