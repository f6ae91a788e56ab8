<?php
// The capabilities of 2.0.0.

defined('MOODLE_INTERNAL') || die();

$capabilities = [
    'local/integrationhub:manage' => [
        'captype' => 'write', 'contextlevel' => CONTEXT_SYSTEM, 'riskbitmask' => RISK_CONFIG, 'archetypes' => ['manager' => CAP_ALLOW],
    ],
    'local/integrationhub:view' => ['captype' => 'read', 'contextlevel' => CONTEXT_SYSTEM, 'archetypes' => ['manager' => CAP_ALLOW]],
];
