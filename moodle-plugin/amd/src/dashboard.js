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
 * Draws the charts of the dashboard and keeps the page up to date without loading it anew.
 *
 * @module     local_integrationhub/dashboard
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
define(['jquery', 'core/ajax', 'core/chart_builder', 'core/chart_output_chartjs'], function($, Ajax, Builder, Output) {
    /** Milliseconds between two looks; longer while the site does not answer. */
    var PAUSE = 5000;
    var LONGPAUSE = 30000;

    /**
     * A chart that can be shown anew.
     */
    function Live() {
        Output.apply(this, arguments);
    }
    Live.prototype = Object.create(Output.prototype);

    /**
     * Nothing moves: the numbers change while one looks.
     *
     * @returns {Object}
     */
    Live.prototype._makeConfig = function() {
        var config = Output.prototype._makeConfig.apply(this, arguments);
        config.options.animation = false;
        return config;
    };

    /**
     * Shows other numbers of the same shape.
     *
     * @param {Object} chart
     */
    Live.prototype.show = function(chart) {
        this._chart = chart;
        this.update();
    };

    /** Charts by name: what is drawn, and by whom. */
    var drawn = {};

    /**
     * Draws a chart; one that is drawn already goes on from where it is.
     *
     * @param {Element} figure
     * @param {String} data as core's chart API writes it
     * @param {Boolean} isempty
     */
    var draw = function(figure, data, isempty) {
        var name = figure.dataset.chart;
        var canvas = figure.querySelector('[data-region="canvas"]');
        figure.querySelector('[data-region="empty"]').hidden = !isempty;
        figure.querySelector('details').hidden = isempty;
        canvas.hidden = isempty;
        if (isempty || (drawn[name] && drawn[name].data === data)) {
            return;
        }
        Builder.make(JSON.parse(data)).then(function(chart) {
            if (drawn[name]) {
                drawn[name].output.show(chart);
            } else {
                drawn[name] = {output: new Live($(canvas), chart)};
            }
            drawn[name].data = data;
            figure.dataset.drawn = '1';
            return chart;
        }).fail(window.console.error);
    };

    /**
     * Puts what has changed into the page; the focus stays on what it was on.
     *
     * @param {Element} root
     * @param {Object} answer
     */
    var show = function(root, answer) {
        answer.regions.forEach(function(region) {
            var target = root.querySelector('[data-live="' + region.name + '"]');
            if (!target || target.dataset.html === region.html) {
                return;
            }
            var href = target.contains(document.activeElement) && document.activeElement.getAttribute('href');
            target.innerHTML = region.html;
            target.dataset.html = region.html;
            var link = href && target.querySelector('a[href="' + CSS.escape(href) + '"]');
            if (link) {
                link.focus({preventScroll: true});
            }
        });
        answer.charts.forEach(function(chart) {
            draw(root.querySelector('[data-chart="' + chart.name + '"]'), chart.data, chart.isempty);
        });
        root.querySelector('[data-live="updated"]').textContent = answer.updated;
    };

    return {
        init: function() {
            var root = document.querySelector('[data-region="ih-live"]');
            var box = root.querySelector('[data-action="ih-live"]');
            var timer = null;
            var args = {period: root.dataset.period, serviceid: Number(root.dataset.serviceid)};

            var look = function() {
                if (document.hidden || !box.checked) {
                    return;
                }
                // A page that is only looked at does not keep its user logged in.
                Ajax.call([{methodname: 'local_integrationhub_dashboard', args: args}], true, true, true)[0].then(function(answer) {
                    show(root, answer);
                    plan(PAUSE);
                    return answer;
                }).fail(function() {
                    plan(LONGPAUSE);
                });
            };
            var plan = function(pause) {
                window.clearTimeout(timer);
                timer = window.setTimeout(look, pause);
            };

            root.querySelectorAll('[data-chart]').forEach(function(figure) {
                draw(figure, figure.dataset.data, !figure.querySelector('[data-region="empty"]').hidden);
            });
            box.addEventListener('change', function() {
                plan(0);
            });
            document.addEventListener('visibilitychange', function() {
                plan(0);
            });
            plan(PAUSE);
        }
    };
});
