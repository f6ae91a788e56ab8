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

namespace local_integrationhub;

/**
 * The answer to a request of the gateway.
 *
 * The properties are those of 2.0.0: public, and without types, so that code which was written for it goes on working.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class mih_response {
    /** @var bool whether the service has taken it */
    public $success;

    /** @var int|null HTTP status; 0 without one */
    public $httpstatus;

    /** @var string|null body of the answer */
    public $body;

    /** @var string|null what went wrong */
    public $error;

    /** @var int milliseconds of the last attempt */
    public $latencyms;

    /** @var int attempts made */
    public $attempts;

    /**
     * Constructor.
     *
     * @param bool $success
     * @param int|null $httpstatus
     * @param string|null $body
     * @param string|null $error
     * @param int $latencyms
     * @param int $attempts
     */
    public function __construct(
        bool $success,
        ?int $httpstatus,
        ?string $body,
        ?string $error,
        int $latencyms,
        int $attempts
    ) {
        $this->success = $success;
        $this->httpstatus = $httpstatus;
        $this->body = $body;
        $this->error = $error;
        $this->latencyms = $latencyms;
        $this->attempts = $attempts;
    }

    /**
     * The body, decoded.
     *
     * @param bool $assoc arrays instead of objects
     * @return mixed null when there is no body
     * @throws \coding_exception when the body is no JSON
     */
    public function json(bool $assoc = true) {
        if ($this->body === null) {
            return null;
        }
        $value = json_decode($this->body, $assoc);
        if (json_last_error() !== JSON_ERROR_NONE) {
            throw new \coding_exception('The answer is no JSON: ' . json_last_error_msg());
        }
        return $value;
    }

    /**
     * Whether the service has taken the request.
     *
     * @return bool
     */
    public function is_ok(): bool {
        return $this->success;
    }
}
