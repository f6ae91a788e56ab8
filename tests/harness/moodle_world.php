<?php
// Makes users, a course and a forum in a Moodle site for the tests and the demo; see moodle.py.
//
//     php moodle_world.php FOLDER_OF_MOODLE NUMBER_OF_STUDENTS
//
// Prints one JSON object. Moodle's own generators and core's functions do the work, so the events are the real ones.

define('CLI_SCRIPT', true);
require($argv[1] . '/config.php');
require_once($CFG->dirroot . '/lib/phpunit/classes/util.php');
require_once($CFG->dirroot . '/user/lib.php');

const PASSWORD = 'World-1234';
const PEOPLE = [
    ['Zoë', "O'Brien-Nuñez"], ['李', '小龙'], ['Ольга', 'Иванова'], ['Jürgen', 'Groß & Söhne'], ['Ana', 'Silva > Souza'], ['Ahmed', 'El-Sayed'],
];

\core\session\manager::set_user(get_admin());
$generator = phpunit_util::get_data_generator();
$suffix = (string) $DB->count_records('course');

$makeuser = function (string $username, int $number) use ($DB): stdClass {
    [$first, $last] = PEOPLE[$number % count(PEOPLE)];
    $id = user_create_user((object) [
        'username' => $username, 'password' => PASSWORD, 'firstname' => $first, 'lastname' => $last, 'email' => "$username@example.com",
        'confirmed' => 1, 'mnethostid' => 1, 'auth' => 'manual', 'lang' => 'en',
    ]);
    // No page asks a newcomer for anything.
    $DB->set_field('user', 'policyagreed', 1, ['id' => $id]);
    return (object) ['id' => $id, 'username' => $username];
};

$course = $generator->create_course(['fullname' => 'Química & <Física> ' . $suffix, 'shortname' => 'world' . $suffix]);
$forum = $generator->create_module('forum', ['course' => $course->id, 'name' => 'Questions']);
$teacher = $makeuser('teacher' . $suffix, 0);
$generator->enrol_user($teacher->id, $course->id, 'editingteacher');
$students = [];
for ($i = 1; $i <= (int) $argv[2]; $i++) {
    $student = $makeuser("student{$suffix}x{$i}", $i);
    $generator->enrol_user($student->id, $course->id, 'student');
    $students[] = $student;
}

echo json_encode([
    'password' => PASSWORD, 'course' => (int) $course->id, 'forum' => (int) $forum->id, 'teacher' => $teacher, 'students' => $students,
]);
