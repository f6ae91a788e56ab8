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
 * After a failure, no process of this host tries the broker again for some seconds.
 *
 * A file in the local cache folder, whose modification time is the end of the pause and whose content is the reason: one
 * stat() per request. When it has passed, the process that notices prolongs it before it tries, so that a broker that
 * hangs holds up one process and not all.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class cooloff {
    /** @var bool whether this process may be the one that tries now, though a pause stands */
    private $trying = false;

    /**
     * Whether the broker must be left alone now. When a pause has just ended, it begins anew for everybody else.
     *
     * @param int $seconds length of a pause
     * @return bool
     */
    public function active(int $seconds): bool {
        $file = $this->file();
        clearstatcache(true, $file);
        $until = @filemtime($file);
        if ($until === false) {
            return false;
        }
        // A pause that ends later than any could is a clock that was set back.
        if ($until > time() && $until <= time() + 3600) {
            return true;
        }
        @touch($file, time() + $seconds);
        $this->trying = true;
        return false;
    }

    /**
     * Begins a pause.
     *
     * @param string $reason
     * @param int $seconds
     */
    public function begin(string $reason, int $seconds): void {
        $file = $this->file();
        if (@file_put_contents($file, $reason) !== false) {
            @touch($file, time() + $seconds);
        }
        $this->trying = false;
    }

    /**
     * Ends the pause after a success.
     */
    public function end(): void {
        if ($this->trying) {
            @unlink($this->file());
            $this->trying = false;
        }
    }

    /**
     * Forgets a pause, whoever began it.
     */
    public function clear(): void {
        @unlink($this->file());
        $this->trying = false;
    }

    /**
     * The last failure, while its pause stands.
     *
     * @return string|null
     */
    public function reason(): ?string {
        $reason = @file_get_contents($this->file());
        return $reason === false ? null : $reason;
    }

    /**
     * The file.
     *
     * @return string
     */
    private function file(): string {
        return local_folder::path() . '/cooloff';
    }
}
