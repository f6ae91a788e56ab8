<?php
// As many texts as the installation needs.

defined('MOODLE_INTERNAL') || die();

$string['integrationhub:manage'] = 'Manage';
$string['integrationhub:view'] = 'View';
$string['pluginname'] = 'Integration Hub 2.0.0';
