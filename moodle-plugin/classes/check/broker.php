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

namespace local_integrationhub\check;

use core\check\result;
use local_integrationhub\local\amqp_broker;
use local_integrationhub\local\config;
use local_integrationhub\local\health;

/**
 * Whether the broker takes events.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class broker extends base {
    /**
     * The result.
     *
     * @return result
     */
    public function get_result(): result {
        if (!config::has_broker()) {
            return health::is_used() ? $this->tell(result::ERROR, 'none') : $this->tell(result::NA, 'unused');
        }
        $error = amqp_broker::instance()->fault();
        return $error === null ? $this->tell(result::OK, 'ok') : $this->tell(result::ERROR, 'found', null, [$error]);
    }
}
