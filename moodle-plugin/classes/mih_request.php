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

use local_integrationhub\local\gateway\queued_request;

/**
 * A request that is put together step by step: `mih::send('erp')->to('/students')->with($data)->dispatch()`.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class mih_request {
    /** @var string name of the service */
    private $service;

    /** @var string */
    private $path = '/';

    /** @var array */
    private $data = [];

    /** @var string '': as the service's type has it */
    private $method = '';

    /**
     * Constructor.
     *
     * @param string $service
     */
    public function __construct(string $service) {
        $this->service = $service;
    }

    /**
     * Where to: a path, an AMQP routing key, or a SOAP operation.
     *
     * @param string $path
     * @return self
     */
    public function to(string $path): self {
        $this->path = $path;
        return $this;
    }

    /**
     * What to send.
     *
     * @param array $data
     * @return self
     */
    public function with(array $data): self {
        $this->data = $data;
        return $this;
    }

    /**
     * The HTTP method; POST unless said otherwise.
     *
     * @param string $method
     * @return self
     */
    public function method(string $method): self {
        $this->method = strtoupper($method);
        return $this;
    }

    /**
     * Sends it now, and waits for the answer.
     *
     * @return mih_response
     * @throws \moodle_exception as mih::execute_request() does
     */
    public function dispatch(): mih_response {
        return mih::instance()->execute_request($this->service, $this->path, $this->data, $this->method);
    }

    /**
     * Hands it to the worker fleet, which sends it when this work is done, tries again for days, and keeps what fails as a dead
     * letter. Inside of a transaction it is sent only if that is committed. Nobody waits for an answer.
     *
     * @return string id of the message: what `mihctl trace` and the dead letters know it by
     * @throws \moodle_exception service_not_found, service_disabled, or error_queue_... when it cannot be handed over
     */
    public function queue(): string {
        return queued_request::hand_over($this->service, $this->path, $this->data, $this->method);
    }
}
