<?php
// Checks of the plugin's code that need no Moodle: php plain.php CHECK; ends with 1 after naming what is wrong.

define('MOODLE_INTERNAL', true);
define('TOP', dirname(__DIR__, 2));
define('PLUGIN', TOP . '/moodle-plugin');

foreach (['event_name', 'uuid', 'message'] as $class) {
    require(PLUGIN . "/classes/local/$class.php");
}

use local_integrationhub\local\event_name;
use local_integrationhub\local\message;
use local_integrationhub\rule\condition;
use local_integrationhub\rule\event_data;
use local_integrationhub\rule\matcher;
use local_integrationhub\rule\request;
use local_integrationhub\rule\syntax_exception;
use local_integrationhub\rule\template;

foreach (['syntax_exception', 'source', 'number', 'path', 'json_reader', 'template', 'condition', 'value', 'event_data', 'renderer', 'matcher',
    'request'] as $class) {
    require(PLUGIN . "/classes/rule/$class.php");
}

/**
 * What the plugin says to a template or filter; '' when it is valid.
 *
 * @param string $kind json, text or filter
 * @param string $text
 * @return string
 */
function fault_of(string $kind, string $text): string {
    try {
        if ($kind === 'filter') {
            condition::check($text);
        } else if ($kind === 'json') {
            template::check_json($text);
        } else {
            template::check_text($text);
        }
    } catch (syntax_exception $e) {
        return $e->getMessage();
    }
    return '';
}

/**
 * The first fault of a rule's templates and filter, with the part's name as the worker has it.
 *
 * @param array $rule
 * @param array $service
 * @return string
 */
function fault_of_rule(array $rule, array $service): string {
    $payload = $rule['payload_template'] ?? '';
    $kind = ($service['body_type'] ?? '') === 'raw' && strtoupper($rule['http_method'] ?? '') !== 'GET' ? 'text' : 'json';
    $parts = [['endpoint', 'text', $rule['endpoint'] ?? ''], ['payload', $kind, template::is_none($payload) ? 'null' : $payload],
        ['filter', 'filter', $rule['filter'] ?? '']];
    foreach ($parts as [$name, $kind, $text]) {
        $fault = fault_of($kind, $text);
        if ($fault !== '') {
            return "$name, $fault";
        }
    }
    return '';
}

/**
 * What the preview shows for a case.
 *
 * @param string $folder
 * @return array skipped, or method, url and body
 */
function preview_of(string $folder): array {
    [$rule, $service] = [json_decode(file_get_contents("$folder/rule.json")), json_decode(file_get_contents("$folder/service.json"))];
    $data = is_file("$folder/data.json") ? json_decode(file_get_contents("$folder/data.json"), true) : [];
    $event = new event_data(rtrim(file_get_contents("$folder/event.json"), "\n"), function (string $kind, int $id) use ($data): ?array {
        return $data[$kind][$id] ?? null;
    });
    if (!(new matcher($rule->filter ?? null))->matches($event)) {
        return ['skipped' => 1];
    }
    return (array) request::of($rule, $service, $event);
}

$faults = [];

// Whatever the publisher is given as an event's data, it must make the bytes that the worker's tests read.
$body = function (string $name, string $line) use (&$faults): void {
    $made = message::encode(json_decode($line, true));
    if ($made !== $line) {
        $faults[] = "$name:\n  is   $line\n  made $made";
    }
};

switch ($argv[1] ?? '') {
    case 'cases':
        foreach (glob(TOP . '/tests/cases/*/event.json') as $path) {
            $line = rtrim(file_get_contents($path), "\n");
            $data = json_decode($line, true);
            if (is_array($data) && count($data) === 20) {
                // Those with other keys are damaged or shortened by hand: no publisher made them.
                $body(basename(dirname($path)), $line);
                $checked = ($checked ?? 0) + 1;
            }
        }
        if (($checked ?? 0) < 30) {
            $faults[] = 'fewer than 30 cases found: ' . ($checked ?? 0);
        }
        break;

    case 'recorded':
        foreach (file(TOP . '/tests/data/moodle-events.jsonl', FILE_IGNORE_NEW_LINES) as $number => $line) {
            $body('line ' . ($number + 1), $line);
            $data = json_decode($line);
            // Most names of events are made of these parts; that is another way to the same key.
            $message = new message($data->eventname, $line, 0, true);
            $expected = $data->component . '.' . substr($data->eventname, strlen("\\{$data->component}\\event\\"));
            if ($message->routing_key() !== $expected || event_name::wildcard($data->eventname) !== "\\{$data->component}\\event\\*") {
                $faults[] = "line $number: routing key {$message->routing_key()}, not $expected";
            }
        }
        break;

    case 'strings':
        $texts = [];
        foreach (['en', 'es'] as $language) {
            $string = [];
            require(PLUGIN . "/lang/$language/local_integrationhub.php");
            $texts[$language] = $string;
            $sorted = array_keys($string);
            sort($sorted, SORT_STRING);
            if ($sorted !== array_keys($string)) {
                $faults[] = "$language: not sorted";
            }
        }
        foreach ([['en', 'es'], ['es', 'en']] as [$one, $other]) {
            foreach (array_keys(array_diff_key($texts[$one], $texts[$other])) as $key) {
                $faults[] = "$key is in $one and not in $other";
            }
        }
        $placeholders = function (string $text): array {
            preg_match_all('~\{\$a[^}]*\}|\{\{\w+\}\}~', $text, $found);
            sort($found[0]);
            return $found[0];
        };
        foreach (array_intersect_key($texts['en'], $texts['es']) as $key => $text) {
            if ($placeholders($text) !== $placeholders($texts['es'][$key])) {
                $faults[] = "$key: other placeholders in es than in en";
            }
            if (trim($text) === '' || trim($texts['es'][$key]) === '') {
                $faults[] = "$key is empty";
            }
        }
        $keys = file(__DIR__ . '/strings-2.0.0.txt', FILE_IGNORE_NEW_LINES);
        if (count($keys) !== 186) {
            $faults[] = 'strings-2.0.0.txt has ' . count($keys) . ' keys, not 186';
        }
        foreach (array_diff($keys, array_keys($texts['en'])) as $key) {
            $faults[] = "$key of 2.0.0 is missing";
        }
        foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator(PLUGIN, FilesystemIterator::SKIP_DOTS)) as $file) {
            if ($file->getExtension() !== 'php') {
                continue;
            }
            $code = file_get_contents($file);
            preg_match_all('~(?:get_string|moodle_exception|lang_string)\(\s*\'([\w:]+)\',\s*\'local_integrationhub\'~', $code, $found);
            foreach (array_diff($found[1], array_keys($texts['en'])) as $key) {
                $faults[] = basename($file) . " uses $key, which does not exist";
            }
        }
        break;

    case 'rules':
        // What is at fault with a rule is told by the worker's tests: expect.json has it word for word.
        foreach (glob(TOP . '/tests/cases/*/rule.json') as $path) {
            $name = basename(dirname($path));
            $rule = json_decode(file_get_contents($path), true);
            $expect = json_decode(file_get_contents(dirname($path) . '/expect.json'), true);
            $told = fault_of_rule($rule, json_decode(file_get_contents(dirname($path) . '/service.json'), true));
            if ($told !== ($expect['invalid'] ?? '')) {
                $faults[] = "$name:\n  is   $told\n  not  " . ($expect['invalid'] ?? '(nothing)');
            }
            $invalid = ($invalid ?? 0) + ($told !== '');
        }
        if (($invalid ?? 0) < 10) {
            $faults[] = 'fewer than 10 cases that are not valid: ' . ($invalid ?? 0);
        }
        break;

    case 'preview':
        // What a preview shows must be what the worker sends: expect.json has it.
        foreach (glob(TOP . '/tests/cases/*/expect.json') as $path) {
            $name = basename(dirname($path));
            $expect = json_decode(file_get_contents($path), true);
            if (isset($expect['error']) || isset($expect['invalid'])) {
                continue;
            }
            $made = preview_of(dirname($path));
            foreach (isset($expect['skipped']) ? ['skipped'] : ['method', 'url', 'body'] as $part) {
                if (($made[$part] ?? null) !== $expect[$part]) {
                    $faults[] = "$name, $part:\n  is   " . json_encode($made[$part] ?? null) . "\n  not  " . json_encode($expect[$part]);
                }
            }
            $previews = ($previews ?? 0) + 1;
        }
        if (($previews ?? 0) < 80) {
            $faults[] = 'fewer than 80 cases: ' . ($previews ?? 0);
        }
        break;

    case 'syntax':
        while (($line = fgets(STDIN)) !== false) {
            [$kind, $text] = json_decode($line, true);
            echo fault_of($kind, $text) ?: 'ok', "\n";
        }
        break;

    default:
        $faults[] = 'usage: plain.php cases|recorded|strings|rules|preview|syntax';
}

echo implode("\n", $faults), $faults ? "\n" : '';
exit($faults ? 1 : 0);
