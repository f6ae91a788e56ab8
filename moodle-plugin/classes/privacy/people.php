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

namespace local_integrationhub\privacy;

/**
 * Whom a stored text is about.
 *
 * Events name people by id, under keys of their own; what an administrator's template makes of an event may name them by
 * their e-mail address only. Both are looked for, in JSON and in forms. A text that names somebody in no other way than, say,
 * by his name, cannot be told from any other.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class people {
    /** Keys that name a person by id. */
    private const KEYS = ['userid', 'relateduserid', 'realuserid'];

    /** An e-mail address. */
    private const EMAIL = '~[a-z0-9.!#$%&\'*+/=?^_`{|}\~-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+~i';

    /** @var int[] ids in the text */
    private $ids = [];

    /** @var string[] addresses in the text, in small letters */
    private $emails = [];

    /**
     * Reads a text.
     *
     * @param string $text JSON, or a form, or anything
     */
    public function __construct(string $text) {
        $data = json_decode($text, true);
        if (is_array($data)) {
            array_walk_recursive($data, function ($value, $key): void {
                if (is_numeric($value) && $value > 0 && in_array($key, self::KEYS, true)) {
                    $this->ids[] = (int) $value;
                } else if (is_string($value)) {
                    $this->add_emails($value);
                }
            });
        } else {
            $plain = rawurldecode($text);
            // Both characters may stand in an address, too, but they hardly ever do.
            $this->add_emails(strtr($plain, '&=', '  '));
            preg_match_all('~(?:^|[&\[])(?:' . implode('|', self::KEYS) . ')\]?=(\d+)~', $plain, $matches);
            $this->ids = array_map('intval', $matches[1]);
        }
    }

    /**
     * Whether any of these users is among them.
     *
     * @param string[] $users e-mail address by id
     * @return bool
     */
    public function include_any(array $users): bool {
        return array_intersect($this->ids, array_keys($users))
            || array_intersect($this->emails, array_map('core_text::strtolower', array_filter($users)));
    }

    /**
     * The ids in the text.
     *
     * @return int[]
     */
    public function ids(): array {
        return $this->ids;
    }

    /**
     * The e-mail addresses in the text, in small letters.
     *
     * @return string[]
     */
    public function emails(): array {
        return $this->emails;
    }

    /**
     * Takes the addresses of a text.
     *
     * @param string $text
     */
    private function add_emails(string $text): void {
        if (strpos($text, '@') !== false && preg_match_all(self::EMAIL, $text, $matches)) {
            $this->emails = array_merge($this->emails, array_map('core_text::strtolower', $matches[0]));
        }
    }
}
