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

/**
 * A whole number within limits.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class setting_number extends \admin_setting_configtext {
    /** @var int[] smallest and largest value */
    private $limits;

    /**
     * Constructor.
     *
     * @param string $name
     * @param string|\lang_string $visiblename
     * @param string|\lang_string $description
     * @param int $default
     * @param int[] $limits smallest and largest value
     */
    public function __construct($name, $visiblename, $description, int $default, array $limits) {
        $this->limits = $limits;
        parent::__construct($name, $visiblename, $description, $default, PARAM_INT, 6);
    }

    /**
     * Refuses what is out of the limits.
     *
     * @param string $data
     * @return mixed true or the error
     */
    public function validate($data) {
        [$min, $max] = $this->limits;
        if (!preg_match('~^\d{1,9}$~D', trim($data)) || $data < $min || $data > $max) {
            $a = ['name' => $this->visiblename, 'value' => s($data), 'min' => $min, 'max' => $max];
            return get_string('error_number', 'local_integrationhub', $a);
        }
        return true;
    }
}
