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
 * Settings page.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

use local_integrationhub\admin\setting_brokerurl;
use local_integrationhub\admin\setting_networks;
use local_integrationhub\admin\setting_number;
use local_integrationhub\admin\setting_routingname;
use local_integrationhub\local\config;

defined('MOODLE_INTERNAL') || die();

// Without this category, which others than site administrators may lack, the pages are in the navigation all the same.
if ($ADMIN->locate('localplugins')) {
    $category = new admin_category('local_integrationhub_pages', new lang_string('pluginname_pages', 'local_integrationhub'));
    $ADMIN->add('localplugins', $category);
    foreach (\local_integrationhub\output\tabs::PAGES as $page => $name) {
        $ADMIN->add('local_integrationhub_pages', new admin_externalpage(
            "local_integrationhub_$page",
            new lang_string($name, 'local_integrationhub'),
            new moodle_url("/local/integrationhub/$page.php"),
            'local/integrationhub:view'
        ));
    }
}

if ($hassiteconfig) {
    $settings = new admin_settingpage('local_integrationhub', new lang_string('pluginname', 'local_integrationhub'));
    $ADMIN->add('localplugins', $settings);

    if ($ADMIN->fulltree) {
        $text = function (string $key): lang_string {
            return new lang_string($key, 'local_integrationhub');
        };

        $settings->add(new admin_setting_heading('local_integrationhub/broker', $text('broker'), $text('broker_desc')));
        $settings->add(new setting_brokerurl('local_integrationhub/brokerurl', $text('brokerurl'), $text('brokerurl_desc')));
        $settings->add(new admin_setting_configfile(
            'local_integrationhub/brokercafile',
            $text('brokercafile'),
            $text('brokercafile_desc'),
            ''
        ));
        $settings->add(new setting_routingname(
            'local_integrationhub/exchange',
            $text('exchange'),
            $text('exchange_desc'),
            config::DEFAULTS['exchange']
        ));
        $settings->add(new setting_routingname(
            'local_integrationhub/namespace',
            $text('namespace'),
            $text('namespace_desc'),
            config::DEFAULTS['namespace']
        ));
        $settings->add(new admin_setting_configtext(
            'local_integrationhub/siteid',
            $text('siteid'),
            $text('siteid_desc'),
            config::default_site_id(),
            '/^[\x21-\x7e]{0,255}$/'
        ));

        $settings->add(new admin_setting_heading('local_integrationhub/publishing', $text('publishing'), $text('publishing_desc')));
        $settings->add(new admin_setting_configselect(
            'local_integrationhub/mode',
            $text('mode'),
            $text('mode_desc'),
            config::MODE_SAFE,
            [config::MODE_SAFE => $text('mode_safe'), config::MODE_DIRECT => $text('mode_direct')]
        ));
        $number = function (string $name) use ($text): setting_number {
            $id = 'local_integrationhub/' . $name;
            return new setting_number($id, $text($name), $text($name . '_desc'), config::DEFAULTS[$name], config::LIMITS[$name]);
        };
        foreach (['connectbudget', 'confirmbudget', 'cooloff'] as $name) {
            $settings->add($number($name));
        }

        $settings->add(new admin_setting_heading('local_integrationhub/services', $text('services'), $text('services_desc')));
        foreach (['default_timeout', 'default_max_retries', 'max_log_entries', 'latest_events_limit'] as $name) {
            $settings->add(new admin_setting_configtext(
                'local_integrationhub/' . $name,
                $text($name),
                $text($name . '_desc'),
                config::DEFAULTS[$name],
                PARAM_INT
            ));
        }
        $settings->add($number('dlq_keep_days'));

        $settings->add(new admin_setting_heading('local_integrationhub/gateway', $text('gateway'), $text('gateway_desc')));
        $settings->add($number('gatewaybudget'));
        $settings->add(new setting_networks(
            'local_integrationhub/allownetworks',
            $text('allownetworks'),
            $text('allownetworks_desc'),
            config::DEFAULTS['allownetworks']
        ));
        $settings->add(new admin_setting_configcheckbox(
            'local_integrationhub/proxyenforcesegress',
            $text('proxyenforcesegress'),
            $text('proxyenforcesegress_desc'),
            config::DEFAULTS['proxyenforcesegress']
        ));
    }
}
