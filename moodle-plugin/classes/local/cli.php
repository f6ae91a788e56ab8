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

namespace local_integrationhub\local;

/**
 * What the command-line scripts have in common.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class cli {
    /**
     * The options that were given; ends the script with the help text when it was asked for.
     *
     * @param string[] $names long names
     * @param string $help
     * @param bool $needsone whether the help text is also for a call without options
     * @param string[] $short long names by letter
     * @return array name => value, null when not given
     */
    public static function options(array $names, string $help, bool $needsone = true, array $short = []): array {
        [$options, $unknown] = cli_get_params(array_fill_keys($names, null) + ['help' => false], $short + ['h' => 'help']);
        if ($unknown) {
            cli_error(get_string('cliunknowoption', 'admin', implode("\n  ", $unknown)));
        }
        if ($options['help'] || $needsone && count((array) $_SERVER['argv']) < 2) {
            cli_write($help);
            exit(0);
        }
        return $options;
    }

    /**
     * Runs the script; an exception is printed and ends it with exit code 1.
     *
     * @param callable $body
     */
    public static function run(callable $body): void {
        try {
            $body();
        } catch (\moodle_exception $e) {
            cli_error($e->getMessage());
        }
    }

    /**
     * The one action that was asked for.
     *
     * @param array $options
     * @param string[] $actions
     * @return string[] action and its argument
     */
    public static function action(array $options, array $actions): array {
        $given = array_keys(array_filter(array_intersect_key($options, array_fill_keys($actions, 1)), 'is_scalar'));
        if (count($given) !== 1) {
            throw new \moodle_exception('cli_one_action', 'local_integrationhub', '', '--' . implode(', --', $actions));
        }
        $action = $given[0];
        return [$action, (string) $options[$action]];
    }

    /**
     * The argument of an action that needs one.
     *
     * @param string $action
     * @param string $argument
     * @return string
     */
    public static function argument(string $action, string $argument): string {
        if ($argument === '' || $argument === '1' && !preg_grep('~^--' . $action . '=~', (array) $_SERVER['argv'])) {
            throw new \moodle_exception('cli_missing', 'local_integrationhub', '', '--' . $action . '=...');
        }
        return $argument;
    }

    /**
     * The record of the fields that were given.
     *
     * @param array $options
     * @param array $fields option => column
     * @return \stdClass
     */
    public static function record(array $options, array $fields): \stdClass {
        $record = new \stdClass();
        foreach ($fields as $option => $column) {
            if ($options[$option] !== null) {
                $record->$column = $options[$option] === true ? '' : (string) $options[$option];
            }
        }
        return $record;
    }

    /**
     * The content of a file.
     *
     * @param string $path - for standard input
     * @return string
     */
    public static function file_content(string $path): string {
        $content = @file_get_contents($path === '-' ? 'php://stdin' : $path);
        if ($content === false) {
            throw new \moodle_exception('cli_file', 'local_integrationhub', '', $path);
        }
        return $content;
    }

    /**
     * Prints records, never a secret.
     *
     * @param \stdClass[] $records
     * @param string[] $columns
     * @param bool $json
     */
    public static function table(array $records, array $columns, bool $json): void {
        $rows = [];
        foreach ($records as $record) {
            $row = [];
            foreach ($columns as $column) {
                $row[$column] = $column === 'base_url' ? self::masked($record->$column) : $record->$column;
            }
            $rows[] = $row;
        }
        if ($json) {
            cli_writeln(json_encode($rows, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE));
            return;
        }
        cli_writeln(implode("\t", $columns));
        foreach ($rows as $row) {
            cli_writeln(implode("\t", array_map(function ($value): string {
                return preg_replace('~\s+~', ' ', (string) $value);
            }, $row)));
        }
    }

    /**
     * A URL without its password.
     *
     * @param string $url
     * @return string
     */
    public static function masked(string $url): string {
        return preg_replace('~(://[^/:@]*):[^/]*@~', '$1:***@', $url);
    }
}
