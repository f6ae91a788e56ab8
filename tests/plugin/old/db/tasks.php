<?php
// The scheduled task of 2.0.0.

defined('MOODLE_INTERNAL') || die();

$tasks = [[
    'classname' => 'local_integrationhub\task\consume_responses_task', 'blocking' => 0,
    'minute' => '*/1', 'hour' => '*', 'day' => '*', 'dayofweek' => '*', 'month' => '*',
]];
