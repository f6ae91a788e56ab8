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

namespace local_integrationhub\local\gateway;

/**
 * An HTTP request as it goes over the wire.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class http_request {
    /** @var string */
    public $method;

    /** @var string */
    public $url;

    /** @var string[] name => value */
    public $headers = [];

    /** @var string|null null: no body */
    public $body = null;

    /** @var float seconds */
    public $timeout = 5.0;

    /** @var string PEM of a client's certificate and key; '' for none */
    public $clientcert = '';

    /**
     * Constructor.
     *
     * @param string $method
     * @param string $url
     */
    public function __construct(string $method, string $url) {
        $this->method = $method;
        $this->url = $url;
    }

    /**
     * Adds a header.
     *
     * @param string $name
     * @param string $value
     * @throws refused_exception when the value could break out of its line
     */
    public function add_header(string $name, string $value): void {
        if (preg_match('~[\x00-\x08\x0a-\x1f\x7f]~', $value)) {
            throw new refused_exception("policy: header $name: the value holds a control byte");
        }
        $this->headers[$name] = $value;
    }
}
