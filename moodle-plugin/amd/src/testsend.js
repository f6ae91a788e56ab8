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
 * Has a worker send a rule's latest event, and shows what the service answered.
 *
 * @module     local_integrationhub/testsend
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
define(['core/ajax', 'core/templates', 'core/notification', 'core/str'], function(Ajax, Templates, Notification, Str) {
    /** Milliseconds between two looks, and how many there are. */
    var PAUSE = 500;
    var LOOKS = 60;

    var call = function(name, args) {
        return Ajax.call([{methodname: 'local_integrationhub_' + name, args: args}])[0];
    };

    var pause = function() {
        return new Promise(function(done) {
            window.setTimeout(done, PAUSE);
        });
    };

    /**
     * Waits for the answer.
     *
     * @param {Object} args
     * @param {Number} looks that are left
     * @returns {Promise} what is shown
     */
    var wait = function(args, looks) {
        if (looks === 0) {
            return Str.get_string('test_no_answer', 'local_integrationhub').then(function(text) {
                return {success: false, error: text};
            });
        }
        return pause().then(function() {
            return call('test_result', args);
        }).then(function(answer) {
            return answer.isknown ? answer : wait(args, looks - 1);
        });
    };

    return {
        init: function() {
            var root = document.querySelector('[data-region="ih-test"]');
            var button = root.querySelector('[data-action="ih-test"]');
            var target = root.querySelector('[data-region="ih-test-result"]');
            var ruleid = Number(root.dataset.ruleid);

            var show = function(context) {
                return Templates.render('local_integrationhub/testsend_result', context).then(function(html) {
                    target.innerHTML = html;
                    return html;
                });
            };

            button.addEventListener('click', function() {
                button.disabled = true;
                show({iswaiting: true}).then(function() {
                    return call('test_send', {ruleid: ruleid});
                }).then(function(sent) {
                    return sent.error ? {success: false, error: sent.error} : wait({messageid: sent.messageid, ruleid: ruleid}, LOOKS);
                }).then(show).catch(Notification.exception).then(function() {
                    button.disabled = false;
                    return true;
                });
            });
        }
    };
});
