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

namespace local_integrationhub\local;

/**
 * Where messages are published.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
interface broker {
    /**
     * Publishes messages and waits for the broker's confirms, within the time budgets.
     *
     * Never throws: what went wrong is in the receipt.
     *
     * @param message[] $messages
     * @return receipt
     */
    public function publish(array $messages): receipt;

    /**
     * Hands a message to one rule of one service, past the bindings.
     *
     * @param message $message
     * @param int $serviceid
     * @param int $ruleid
     * @return receipt
     */
    public function redeliver(message $message, int $serviceid, int $ruleid): receipt;

    /**
     * Tells the worker fleet something; best effort.
     *
     * @param string $body JSON
     * @return string|null why it could not be sent
     */
    public function hint(string $body): ?string;
}
