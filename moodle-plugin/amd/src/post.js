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
 * Sends the harmless changes of a menu as a form at once; without this their links lead to a page that asks.
 *
 * @module     local_integrationhub/post
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
define(['core/config'], function(Config) {
    var send = function(link) {
        var url = new URL(link.href);
        var form = document.createElement('form');
        form.method = 'post';
        form.action = url.origin + url.pathname;
        url.searchParams.set('sesskey', Config.sesskey);
        url.searchParams.forEach(function(value, name) {
            var field = document.createElement('input');
            field.type = 'hidden';
            field.name = name;
            field.value = value;
            form.appendChild(field);
        });
        document.body.appendChild(form);
        form.submit();
    };

    return {
        init: function() {
            document.addEventListener('click', function(event) {
                var link = event.target.closest('a[data-ih-post]');
                if (link) {
                    event.preventDefault();
                    send(link);
                }
            });
        }
    };
});
