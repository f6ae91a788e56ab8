<?php
// How many payloads PHP makes of events in one second of CPU, the way of the existing plugin: each key's placeholder is replaced in
// the template's text, the result decoded, and encoded again for sending.
//
//   php render.php render|parse TEMPLATE EVENTS SECONDS
//
// With parse the event is decoded for each payload too. Prints the number, and the bytes of one round over all events.

[, $way, $template, $path, $seconds] = $argv;
$lines = file($path, FILE_IGNORE_NEW_LINES);
$events = array_map(function ($line) {
    return json_decode($line, true);
}, $lines);
$cpu = function () {
    $usage = getrusage();
    return $usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec'] + ($usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec']) / 1e6;
};
$render = function (array $event) use ($template) {
    $text = $template;
    foreach ($event as $key => $value) {
        if (is_scalar($value) || $value === null) {
            $text = str_replace('{{' . $key . '}}', (string) $value, $text);
        }
    }
    return strlen(json_encode(json_decode($text, true)));
};
$made = 0;
$began = $cpu();
do {
    $bytes = 0;
    foreach ($events as $i => $event) {
        $bytes += $render($way === 'parse' ? json_decode($lines[$i], true) : $event);
    }
    $made += count($events);
    $took = $cpu() - $began;
} while ($took < $seconds);
printf("%.0f %d\n", $made / $took, $bytes);
