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
 * Builds the condition of a rule of rows. The JSON in the form's field is what counts: the rows are read from it and written to it.
 *
 * @module     local_integrationhub/filterbuilder
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
define(['core/ajax', 'core/notification'], function(Ajax, Notification) {
    var LISTS = ['$in', '$nin'];
    var TEXTS = ['$startsWith', '$endsWith', '$regex'];

    /**
     * The value that somebody means: a number, true, false and null are those, quotes make a text of anything.
     *
     * @param {String} text
     * @returns {*}
     */
    var literal = function(text) {
        text = text.trim();
        if (/^(-?(0|[1-9]\d*)(\.\d+)?|true|false|null|"(?:[^"\\]|\\.)*")$/.test(text)) {
            try {
                var value = JSON.parse(text);
                // A number that JavaScript would change stays a text.
                return typeof value === 'number' && String(value) !== text ? text : value;
            } catch (e) {
                return text;
            }
        }
        return text;
    };

    /**
     * What the field of a value shows.
     *
     * @param {*} value
     * @returns {String}
     */
    var shown = function(value) {
        if (typeof value !== 'string') {
            return JSON.stringify(value);
        }
        return value === '' || typeof literal(value) !== 'string' || literal(value) !== value ? JSON.stringify(value) : value;
    };

    /**
     * The operand of a row.
     *
     * @param {String} operator
     * @param {String} text
     * @returns {*}
     */
    var operand = function(operator, text) {
        if (LISTS.includes(operator)) {
            return text.split(',').map(literal);
        } else if (TEXTS.includes(operator)) {
            return text;
        } else if (operator === '$exist') {
            return text.trim() !== 'false';
        }
        return literal(text);
    };

    /**
     * What the field of an operand shows; null when it cannot be shown.
     *
     * @param {String} operator
     * @param {*} value
     * @returns {String|null}
     */
    var operandShown = function(operator, value) {
        if (LISTS.includes(operator)) {
            var flat = Array.isArray(value) && value.every(function(one) {
                return typeof one !== 'object' && !String(one).includes(',');
            });
            return flat ? value.map(shown).join(', ') : null;
        } else if (value !== null && typeof value === 'object') {
            return null;
        }
        return TEXTS.includes(operator) ? value : shown(value);
    };

    /**
     * The rows of an object of conditions.
     *
     * @param {Object} object
     * @param {String[]} operators that are known
     * @returns {Array|null} [path, operator, text]; null when it has something else in it
     */
    var rowsOf = function(object, operators) {
        var rows = [];
        var good = object !== null && typeof object === 'object' && !Array.isArray(object)
            && Object.keys(object).every(function(path) {
                var condition = object[path];
                if (condition === null || typeof condition !== 'object') {
                    condition = {'$eq': condition};
                }
                return path[0] !== '$' && Object.keys(condition).every(function(operator) {
                    var text = operators.includes(operator) ? operandShown(operator, condition[operator]) : null;
                    rows.push([path, operator, text]);
                    return text !== null;
                });
            });
        return good ? rows : null;
    };

    /**
     * Reads a condition.
     *
     * @param {String} text
     * @param {String[]} operators
     * @returns {Object|null} all, rows; null when rows cannot show it
     */
    var read = function(text, operators) {
        if (text.trim() === '') {
            return {all: '$and', rows: []};
        }
        var object;
        try {
            object = JSON.parse(text);
        } catch (e) {
            return null;
        }
        if (/\d{16}|\d[eE]/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, ''))) {
            // JavaScript would write such a number in another way.
            return null;
        }
        var keys = object !== null && typeof object === 'object' ? Object.keys(object) : [];
        if (keys.length === 1 && ['$and', '$or'].includes(keys[0])) {
            var parts = Array.isArray(object[keys[0]]) ? object[keys[0]] : [null];
            var rows = parts.map(function(part) {
                return rowsOf(part, operators);
            });
            var simple = rows.every(function(part) {
                return part !== null && (keys[0] === '$and' || part.length === 1);
            });
            return simple ? {all: keys[0], rows: [].concat.apply([], rows)} : null;
        }
        var found = rowsOf(object, operators);
        return found && {all: '$and', rows: found};
    };

    /**
     * Writes a condition.
     *
     * @param {String} all
     * @param {Array} rows
     * @returns {String}
     */
    var write = function(all, rows) {
        var parts = rows.filter(function(row) {
            return row[0] !== '';
        }).map(function(row) {
            var condition = {};
            condition[row[1]] = operand(row[1], row[2]);
            var part = {};
            part[row[0]] = condition;
            return part;
        });
        if (!parts.length) {
            return '';
        }
        var paths = parts.map(function(part) {
            return Object.keys(part)[0];
        });
        var result = {};
        if (parts.length > 1 && (all === '$or' || new Set(paths).size < paths.length)) {
            result[all] = parts;
        } else {
            Object.assign.apply(Object, [result].concat(parts));
        }
        return JSON.stringify(result, null, 1).replace(/\n */g, ' ');
    };

    return {
        init: function() {
            var root = document.querySelector('[data-region="ih-builder"]');
            var field = document.getElementById('id_filter');
            var eventname = document.getElementById('id_eventname');
            var part = function(name, inside) {
                return (inside || root).querySelector('[data-region="ih-builder' + name + '"]');
            };
            var list = part('-list');
            var model = part('-row').content;
            var operators = Array.from(model.querySelectorAll('option')).map(function(option) {
                return option.value;
            });

            var add = function(row) {
                list.appendChild(model.cloneNode(true));
                var item = list.lastElementChild;
                ['path', 'operator', 'value'].forEach(function(name, i) {
                    item.querySelector('[data-part="' + name + '"]').value = row[i];
                });
                return item;
            };

            var toField = function() {
                field.value = write(part('-all').value, Array.from(list.children).map(function(item) {
                    return ['path', 'operator', 'value'].map(function(name) {
                        var value = item.querySelector('[data-part="' + name + '"]').value;
                        return name === 'path' ? value.trim() : value;
                    });
                }));
            };

            var fromField = function() {
                var found = read(field.value, operators);
                part('-byhand').hidden = found !== null;
                part('-rows').hidden = found === null;
                list.textContent = '';
                if (found) {
                    part('-all').value = found.all;
                    (found.rows.length ? found.rows : [['', operators[0], '']]).forEach(add);
                }
            };

            var listPaths = function() {
                if (!eventname.value) {
                    return;
                }
                var args = {eventname: eventname.value};
                Ajax.call([{methodname: 'local_integrationhub_event_fields', args: args}])[0].then(function(answer) {
                    var paths = document.getElementById('ih-paths');
                    paths.textContent = '';
                    answer.groups.forEach(function(group) {
                        group.fields.forEach(function(one) {
                            paths.appendChild(new Option(one.example, one.path));
                        });
                    });
                    return answer;
                }).catch(Notification.exception);
            };

            root.addEventListener('toggle', function() {
                if (root.open) {
                    fromField();
                    listPaths();
                }
            });
            field.addEventListener('input', function() {
                if (root.open) {
                    fromField();
                }
            });
            root.addEventListener('input', toField);
            root.addEventListener('change', toField);
            root.addEventListener('click', function(event) {
                var button = event.target.closest('[data-action]');
                if (button && button.dataset.action === 'ih-builder-add') {
                    add(['', operators[0], '']).querySelector('[data-part="path"]').focus();
                } else if (button) {
                    button.closest('[data-row]').remove();
                    toField();
                    root.querySelector('[data-action="ih-builder-add"]').focus();
                }
            });
            root.addEventListener('keydown', function(event) {
                if (event.key === 'Enter' && event.target.matches('input')) {
                    event.preventDefault();
                }
            });
        }
    };
});
