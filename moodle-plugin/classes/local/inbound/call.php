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

namespace local_integrationhub\local\inbound;

/**
 * One call of webhook.php.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class call {
    /** @var string HTTP method */
    public $method;

    /** @var string name of the service */
    public $slug;

    /** @var string[] lower-case name => value */
    public $headers = [];

    /** @var string address of the caller */
    public $address;

    /** @var callable gets the most bytes that are wanted, returns the body or its beginning */
    private $read;

    /** @var string|null as it was read */
    private $body = null;

    /**
     * Constructor.
     *
     * @param string $method
     * @param string $slug
     * @param string[] $headers
     * @param string $address
     * @param callable $read
     */
    public function __construct(string $method, string $slug, array $headers, string $address, callable $read) {
        $this->method = $method;
        $this->slug = $slug;
        $this->headers = array_change_key_case($headers);
        $this->address = $address;
        $this->read = $read;
    }

    /**
     * The call that this PHP process has been given.
     *
     * @return self
     */
    public static function current(): self {
        $headers = [];
        foreach ($_SERVER as $name => $value) {
            if (strncmp($name, 'HTTP_', 5) === 0 && is_string($value)) {
                $headers[str_replace('_', '-', substr($name, 5))] = $value;
            }
        }
        // Where the web server keeps the header from CGI, a rewrite rule may have saved it.
        if (isset($_SERVER['REDIRECT_HTTP_AUTHORIZATION']) && !isset($headers['AUTHORIZATION'])) {
            $headers['AUTHORIZATION'] = $_SERVER['REDIRECT_HTTP_AUTHORIZATION'];
        }
        $slug = optional_param('service', '', PARAM_ALPHANUMEXT);
        $read = function (int $most): string {
            return (string) file_get_contents('php://input', false, null, 0, $most);
        };
        return new self((string) ($_SERVER['REQUEST_METHOD'] ?? ''), $slug, $headers, (string) getremoteaddr(''), $read);
    }

    /**
     * The value of a header.
     *
     * @param string $name
     * @return string '' when it is not there
     */
    public function header(string $name): string {
        return trim((string) ($this->headers[strtolower($name)] ?? ''));
    }

    /**
     * The body.
     *
     * @param int $most bytes; a larger body is cut behind the next one
     * @return string
     */
    public function body(int $most): string {
        if ($this->body === null) {
            $this->body = ($this->read)($most + 1);
        }
        return $this->body;
    }
}
