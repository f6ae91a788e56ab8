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
 * The form of a rule: choosing the event, inserting fields, and the preview.
 *
 * @module     local_integrationhub/rules
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
define(['core/ajax', 'core/templates', 'core/notification'], function(Ajax, Templates, Notification) {
    var field = function(name) {
        return document.getElementById('id_' + name);
    };

    var region = function(name) {
        return document.querySelector('[data-region="' + name + '"]');
    };

    /**
     * Calls a function and shows what a template makes of its answer.
     *
     * @param {String} method of the plugin
     * @param {Object} args
     * @param {String} template
     * @param {Element} target
     * @param {Function} change of the answer, before
     * @returns {Promise}
     */
    var show = function(method, args, template, target, change) {
        return Ajax.call([{methodname: 'local_integrationhub_' + method, args: args}])[0].then(function(answer) {
            return Templates.render('local_integrationhub/' + template, change ? change(answer) : answer);
        }).then(function(html) {
            target.innerHTML = html;
            return html;
        }).catch(Notification.exception);
    };

    /** Shows only the events that the words of the search are in. */
    var search = function() {
        var words = region('ih-picker-search').value.toLowerCase().split(/\s+/);
        var any = false;
        region('ih-picker').querySelectorAll('section').forEach(function(section) {
            var found = false;
            section.querySelectorAll('li').forEach(function(item) {
                var text = (item.textContent + ' ' + section.dataset.group).toLowerCase();
                item.hidden = !words.every(function(word) {
                    return text.includes(word);
                });
                found = found || !item.hidden;
            });
            section.hidden = !found;
            any = any || found;
        });
        region('ih-picker-none').hidden = any;
    };

    /** Lists the fields of the chosen event. */
    var listFields = function() {
        if (region('ih-fields').open && field('eventname').value) {
            show('event_fields', {eventname: field('eventname').value}, 'fields_list', region('ih-fields-list'));
        }
    };

    /**
     * Puts a path where the person writes: a placeholder into a template, a key into a condition.
     *
     * @param {String} path
     * @param {Element} target
     */
    var insert = function(path, target) {
        var text = target.id === 'id_filter' ? JSON.stringify(path) + ': ' : '{{' + path + '}}';
        target.setRangeText(text, target.selectionStart, target.selectionEnd, 'end');
        target.focus();
    };

    var preview = function(button) {
        var args = {};
        ['eventname', 'http_method', 'endpoint', 'payload_template', 'filter'].forEach(function(name) {
            args[name] = field(name).value;
        });
        args.serviceid = Number(field('serviceid').value);
        button.disabled = true;
        show('preview_rule', args, 'preview_result', region('ih-preview'), function(answer) {
            answer.isvalid = !answer.faults.length;
            answer.isfiltered = args.filter.trim() !== '';
            answer.ispart = answer.tried < answer.happened;
            return answer;
        }).then(function() {
            button.disabled = false;
            return true;
        }).catch(Notification.exception);
    };

    /**
     * Adapts the form to the service: methods are of REST, operations of SOAP.
     *
     * @param {Object} types by the services' ids
     */
    var adapt = function(types) {
        var type = types[field('serviceid').value];
        field('http_method').closest('.fitem').hidden = type !== undefined && type !== 'rest';
        var list = document.getElementById('ih-operations');
        list.textContent = '';
        if (type === 'soap') {
            var args = {serviceid: Number(field('serviceid').value)};
            Ajax.call([{methodname: 'local_integrationhub_wsdl_operations', args: args}])[0].then(function(answer) {
                answer.operations.forEach(function(name) {
                    list.appendChild(new Option(name, name));
                });
                return answer;
            }).catch(Notification.exception);
        }
    };

    return {
        init: function(types) {
            var target = field('payload_template');
            ['payload_template', 'filter', 'endpoint'].forEach(function(name) {
                field(name).addEventListener('focus', function() {
                    target = field(name);
                });
            });
            region('ih-picker-search').addEventListener('input', search);
            region('ih-picker-search').addEventListener('keydown', function(event) {
                if (event.key === 'Enter') {
                    event.preventDefault();
                }
            });
            region('ih-picker').addEventListener('click', function(event) {
                var button = event.target.closest('[data-event]');
                if (button) {
                    field('eventname').value = button.dataset.event;
                    region('ih-picker').open = false;
                    field('eventname').focus();
                    listFields();
                }
            });
            field('eventname').addEventListener('change', listFields);
            region('ih-fields').addEventListener('toggle', listFields);
            region('ih-fields').addEventListener('click', function(event) {
                var button = event.target.closest('[data-path]');
                if (button) {
                    insert(button.dataset.path, target);
                }
            });
            document.querySelector('[data-action="ih-preview"]').addEventListener('click', function(event) {
                preview(event.target);
            });
            field('serviceid').addEventListener('change', function() {
                adapt(types);
            });
            adapt(types);
        }
    };
});
