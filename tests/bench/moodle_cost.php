<?php
// Triggers events in a site and tells how long each trigger() took; moodle_cost.py puts it into its copies of Moodle.
//
//     mihcost.php?course=ID&user=ID&n=NUMBER
//
// Prints one JSON object: wall time of each trigger() in nanoseconds, and the CPU time of all of them in microseconds.

define('NO_MOODLE_COOKIES', true);
require(__DIR__ . '/config.php');

$course = get_course(required_param('course', PARAM_INT));
\core\session\manager::set_user($DB->get_record('user', ['id' => required_param('user', PARAM_INT)], '*', MUST_EXIST));
$context = \core\context\course::instance($course->id);
$events = [];
for ($i = required_param('n', PARAM_INT); $i > 0; $i--) {
    $event = \core\event\course_viewed::create(['context' => $context]);
    $event->add_record_snapshot('course', $course);
    $events[] = $event;
}

$cpu = function (): int {
    $used = getrusage();
    return ($used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']) * 1000000 + $used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec'];
};
$before = $cpu();
$times = [];
foreach ($events as $event) {
    $began = hrtime(true);
    $event->trigger();
    $times[] = hrtime(true) - $began;
}
$after = $cpu();
header('Content-Type: application/json');
echo json_encode(['ns' => $times, 'cpu' => $after - $before]);
