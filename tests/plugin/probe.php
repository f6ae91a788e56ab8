<?php
// A page of the test site that raises events on demand; tests/plugin copies it into the Moodle tree.
//
//     events=N      raise N events \core\event\user_loggedin (in one transaction when `transaction` is given)
//     others=N      raise N events \core\event\dashboard_viewed
//     transaction=  commit, rollback, or die: end the script inside the transaction
//     kill=PLACE    SIGKILL to this process: `working` before the commit, `committed` after it, `ending` while the request shuts down, before
//                   anything is published
//     late=1        raise three events while the request shuts down, and answer only then
//
// Prints one JSON object: pid, outbox (message ids of the rows that this connection sees before the transaction ends), reads and writes (of the
// database, by the raising of the events).

require(__DIR__ . '/config.php');

$raise = function (int $number): void {
    \core\event\user_loggedin::create(['userid' => 2, 'objectid' => 2, 'other' => ['username' => "probe $number"]])->trigger();
};

$transaction = optional_param('transaction', '', PARAM_ALPHA);
$handle = $transaction ? $DB->start_delegated_transaction() : null;
$reads = $DB->perf_get_reads();
$writes = $DB->perf_get_writes();
for ($i = 0; $i < optional_param('events', 0, PARAM_INT); $i++) {
    $raise($i);
}
for ($i = 0; $i < optional_param('others', 0, PARAM_INT); $i++) {
    \core\event\dashboard_viewed::create(['context' => \context_user::instance(2)])->trigger();
}
$answer = ['pid' => getmypid(), 'reads' => $DB->perf_get_reads() - $reads, 'writes' => $DB->perf_get_writes() - $writes];
$answer['outbox'] = $DB->get_fieldset_sql('SELECT messageid FROM {local_integrationhub_outbox} ORDER BY id');
header('Content-Type: application/json');
$late = optional_param('late', 0, PARAM_BOOL);
if (!$late) {
    echo json_encode($answer);
}
if ($transaction === 'die') {
    exit;
}
if ($transaction === 'rollback') {
    try {
        $handle->rollback(new \moodle_exception('error'));
    } catch (\moodle_exception $e) {
        $handle = null;
    }
}
$kill = optional_param('kill', '', PARAM_ALPHA);
$die = function (string $place) use ($kill): void {
    if ($kill === $place) {
        posix_kill(getmypid(), 9);
    }
};
$die('working');
if ($handle) {
    $handle->allow_commit();
}
$die('committed');
register_shutdown_function($die, 'ending');
if ($late) {
    \core_shutdown_manager::register_function($raise, [1]);
    register_shutdown_function($raise, 2);
    register_shutdown_function(function () use ($raise): void {
        register_shutdown_function($raise, 3);
    });
    register_shutdown_function(function () use ($answer): void {
        echo json_encode($answer);
    });
}
