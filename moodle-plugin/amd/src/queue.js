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
 * Follows the replays of dead letters while they go on.
 *
 * @module     local_integrationhub/queue
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
define(['core/ajax', 'core/templates'], function(Ajax, Templates) {
    /** Milliseconds between two looks; longer while nothing goes on or the site does not answer. */
    var PAUSE = 1500;
    var LONGPAUSE = 15000;

    /**
     * The widths of the progress bars: the page's policy may forbid styles in HTML.
     *
     * @param {Element} root
     */
    var paint = function(root) {
        root.querySelectorAll('[data-percent]').forEach(function(bar) {
            bar.style.width = bar.dataset.percent + '%';
        });
    };

    return {
        init: function() {
            var root = document.querySelector('[data-region="ih-replays"]');
            var shown = '';
            var plan = function(pause) {
                window.setTimeout(look, pause);
            };
            var look = function() {
                if (document.hidden) {
                    plan(PAUSE);
                    return;
                }
                Ajax.call([{methodname: 'local_integrationhub_replays', args: {}}], true, true, true)[0].then(function(answer) {
                    var state = JSON.stringify(answer);
                    var again = root.querySelector('[data-open="true"], [data-open="1"]') ? PAUSE : LONGPAUSE;
                    if (state === shown || root.contains(document.activeElement)) {
                        plan(again);
                        return answer;
                    }
                    shown = state;
                    return Templates.render('local_integrationhub/replays', answer).then(function(html) {
                        root.innerHTML = html;
                        paint(root);
                        plan(root.querySelector('[data-open="true"], [data-open="1"]') ? PAUSE : LONGPAUSE);
                        return html;
                    });
                }).fail(function() {
                    plan(LONGPAUSE);
                });
            };
            paint(root);
            plan(root.querySelector('[data-open="true"], [data-open="1"]') ? PAUSE : LONGPAUSE);
        }
    };
});
