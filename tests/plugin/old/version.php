<?php
// What 2.0.0 said of itself.

defined('MOODLE_INTERNAL') || die();

$plugin->component = 'local_integrationhub';
$plugin->version = 2026022700;
$plugin->release = '2.0.0';
$plugin->requires = 2022112800;
$plugin->supported = [401, 501];
$plugin->maturity = MATURITY_STABLE;
