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
 * Shows the operations of the WSDL whose address stands in the form of a SOAP service.
 *
 * @module     local_integrationhub/operations
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
define(['core/ajax', 'core/templates', 'core/notification'], function(Ajax, Templates, Notification) {
    var show = function(region, button) {
        button.disabled = true;
        var args = {
            url: document.querySelector('input[name="base_url"]').value,
            serviceid: Number(region.dataset.serviceid)
        };
        return Ajax.call([{methodname: 'local_integrationhub_wsdl_operations', args: args}])[0].then(function(result) {
            return Templates.render('local_integrationhub/operations_result', result);
        }).then(function(html) {
            region.querySelector('[data-region="ih-operations-result"]').innerHTML = html;
            return html;
        }).catch(Notification.exception).then(function() {
            button.disabled = false;
            return true;
        });
    };

    return {
        init: function() {
            document.querySelectorAll('[data-region="ih-operations"]').forEach(function(region) {
                var button = region.querySelector('[data-action="ih-operations"]');
                button.addEventListener('click', function() {
                    show(region, button);
                });
            });
        }
    };
});
