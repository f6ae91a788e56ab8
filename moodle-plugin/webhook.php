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

/**
 * Where external services call: POST webhook.php?service=NAME with a JSON object.
 *
 * Nobody logs in here: the service's token or signature is the proof, checked in classes/local/inbound/endpoint.php.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('NO_MOODLE_COOKIES', true);
define('AJAX_SCRIPT', true);

// Moodle sets no status for errors of such scripts: until the answer is known it is this, so that the caller comes again.
http_response_code(500);

// phpcs:ignore moodle.Files.RequireLogin.Missing
require(__DIR__ . '/../../config.php');

[$status, $answer] = \local_integrationhub\local\inbound\endpoint::answer(\local_integrationhub\local\inbound\call::current());

http_response_code($status);
header('Content-Type: application/json; charset=utf-8');
header('Cache-Control: no-store');
if ($status === 405) {
    header('Allow: POST');
} else if ($status === 503) {
    header('Retry-After: ' . \local_integrationhub\local\inbound\endpoint::RETRYAFTER);
}
echo json_encode($answer);
