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

namespace local_integrationhub\external;

use core_external\external_api;
use core_external\external_function_parameters;
use core_external\external_multiple_structure;
use core_external\external_single_structure;
use core_external\external_value;
use local_integrationhub\local\page;
use local_integrationhub\output\queue_page;

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/../../externalcompat.php');

/**
 * The latest replays of dead letters, and how far they are.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class replays extends external_api {
    /**
     * What it takes.
     *
     * @return external_function_parameters
     */
    public static function execute_parameters() {
        return new external_function_parameters([]);
    }

    /**
     * Looks.
     *
     * @return array
     */
    public static function execute(): array {
        $context = \context_system::instance();
        self::validate_context($context);
        require_capability(page::VIEW, $context);
        \core\session\manager::write_close();
        return queue_page::replays(page::can_replay());
    }

    /**
     * What it gives: the data of the template replays.
     *
     * @return external_single_structure
     */
    public static function execute_returns() {
        $text = function (string $what): external_value {
            return new external_value(PARAM_RAW, $what);
        };
        $number = function (string $what): external_value {
            return new external_value(PARAM_INT, $what);
        };
        return new external_single_structure([
            'hasreplays' => new external_value(PARAM_BOOL, 'Whether there are any'),
            'replays' => new external_multiple_structure(new external_single_structure([
                'id' => $number('Id'),
                'time' => $text('When it was asked for'),
                'user' => $text('Who asked'),
                'action' => $text('What is done'),
                'text' => $text('Which letters'),
                'state' => new external_single_structure([
                    'text' => $text('State'), 'icon' => $text('Its sign'), 'class' => $text('Its colour'), 'note' => $text('More'),
                ]),
                'isopen' => new external_value(PARAM_BOOL, 'Whether it goes on'),
                'percent' => $number('How much is done'),
                'moved' => $number('Letters that were moved'),
                'failed' => $number('Of these, how many failed again'),
                'error' => $text('Why it ended early'),
                'stopurl' => $text('Where it is stopped'),
            ])),
        ]);
    }
}
