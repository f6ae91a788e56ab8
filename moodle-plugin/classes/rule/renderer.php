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

namespace local_integrationhub\rule;

/**
 * Fills in a template as the worker does, for previews. The template must have been checked before.
 *
 * The worker's rules are told in its dispatcher/template.h; tests/cases is rendered by both.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class renderer {
    /** @var source the template */
    private $source;

    /** @var event_data */
    private $data;

    /**
     * Constructor.
     *
     * @param string $template
     * @param event_data $data
     */
    private function __construct(string $template, event_data $data) {
        $this->source = new source($template);
        $this->data = $data;
    }

    /**
     * A JSON template's text.
     *
     * @param string $template
     * @param event_data $data
     * @return string
     * @throws syntax_exception when a filter refuses its input
     */
    public static function json(string $template, event_data $data): string {
        return (new self($template, $data))->value();
    }

    /**
     * A text template's text.
     *
     * @param string $template
     * @param event_data $data
     * @param bool $encode whether what is inserted is percent-encoded
     * @return string
     * @throws syntax_exception when a filter refuses its input
     */
    public static function text(string $template, event_data $data, bool $encode = false): string {
        $renderer = new self($template, $data);
        $source = $renderer->source;
        $text = '';
        while (($next = strpos($template, '{{', $source->at)) !== false) {
            $text .= substr($template, $source->at, $next - $source->at);
            $source->at = $next;
            $node = $renderer->placeholder();
            $text .= $encode && empty($node['encoded']) ? rawurlencode(value::text($node)) : value::text($node);
        }
        return $text . substr($template, $source->at);
    }

    /**
     * A JSON value or a placeholder.
     *
     * @return string
     */
    private function value(): string {
        $source = $this->source;
        $source->skip_space();
        if ($source->sees('{{')) {
            $node = $this->placeholder();
            return empty($node['quoted']) && value::is_numeric($node) ? value::text($node) : value::json($node);
        }
        $byte = $source->byte();
        if ($byte === '{' || $byte === '[') {
            return $this->container($byte);
        }
        return $byte === '"' ? $this->string()[0] : $source->take_match('[^,\]}\s]+');
    }

    /**
     * An object or a list.
     *
     * @param string $open
     * @return string
     */
    private function container(string $open): string {
        $source = $this->source;
        $close = $open === '{' ? '}' : ']';
        $source->at++;
        $source->skip_space();
        $parts = [];
        while ($source->byte() !== $close) {
            if ($open === '{') {
                $source->skip_space();
                [$key, $isliteral] = $this->string();
                $source->skip_space();
                $source->at++;
                // Of two equal literal keys the last value stands where the first one stood.
                $parts[$isliteral ? "k$key" : 'p' . count($parts)] = "$key:" . $this->value();
            } else {
                $parts[] = $this->value();
            }
            $source->skip_space();
            if ($source->byte() === ',') {
                $source->at++;
                $source->skip_space();
            }
        }
        $source->at++;
        return $open . implode(',', $parts) . $close;
    }

    /**
     * A string, with placeholders in it.
     *
     * @return array its JSON text, and whether it had no placeholder
     */
    private function string(): array {
        $source = $this->source;
        $source->at++;
        $text = '';
        $isliteral = true;
        while ($source->byte() !== '"') {
            if ($source->sees('{{')) {
                $text .= substr(json_encode(value::text($this->placeholder())), 1, -1);
                $isliteral = false;
                continue;
            }
            $piece = $source->take_match('(?:[^"\x5c{]|\x5c.|{(?!{))+');
            $text .= substr(json_encode(json_decode("\"$piece\"")), 1, -1);
        }
        $source->at++;
        return ["\"$text\"", $isliteral];
    }

    /**
     * What a placeholder stands for.
     *
     * @return array node
     */
    private function placeholder(): array {
        $source = $this->source;
        $start = $source->at;
        $source->at += 2;
        $source->skip_space();
        $path = $source->take_match(path::KEY . '(?:\.' . path::KEY . ')*');
        $node = $this->data->value(explode('.', $path));
        $source->skip_space();
        while ($source->byte() === '|') {
            $source->at++;
            $source->skip_space();
            $filter = $source->take_match('[0-9A-Za-z]+');
            $source->skip_space();
            $argument = $filter === 'default' ? $this->argument() : value::NONE;
            $node = $this->filtered($node, $filter, $argument, $start, $path);
            $source->skip_space();
        }
        $source->at += 2;
        return $node;
    }

    /**
     * What stands behind a filter's colon.
     *
     * @return array node
     */
    private function argument(): array {
        $source = $this->source;
        $source->at++;
        $source->skip_space();
        $quote = $source->byte();
        if ($quote !== '"' && $quote !== "'") {
            $word = $source->take_match('[0-9A-Za-z_.+\x80-\xff-]+');
            if (in_array($word, ['true', 'false', 'null'], true)) {
                return ['type' => $word];
            }
            return ['type' => number::is_number($word) ? 'number' : 'string', 'text' => $word];
        }
        $source->at++;
        $text = $source->take_match('(?:\x5c.|[^\x5c' . $quote . '])*');
        $source->at++;
        return value::text_node(preg_replace('~\\\\(.)~s', '$1', $text));
    }

    /**
     * What a filter makes of a value.
     *
     * @param array $node
     * @param string $filter
     * @param array $argument node
     * @param int $start where the placeholder stands
     * @param string $path
     * @return array node
     */
    private function filtered(array $node, string $filter, array $argument, int $start, string $path): array {
        $isnone = $node['type'] === 'null';
        if ($filter === 'default') {
            return $isnone || $node['type'] === 'string' && $node['text'] === '' ? $argument : $node;
        }
        if ($filter === 'json') {
            return ['type' => 'json', 'text' => value::json($node)];
        }
        if ($isnone) {
            return $node;
        }
        $text = value::text($node);
        switch ($filter) {
            case 'string':
                return value::text_node($text) + ['quoted' => true];
            case 'sha256':
                return value::text_node(hash('sha256', $text)) + ['quoted' => true];
            case 'urlencode':
                return value::text_node(rawurlencode($text)) + ['encoded' => true];
            case 'iso8601':
                return value::text_node($this->date($text, $start, $path));
        }
        return value::text_node(mb_convert_case($text, $filter === 'upper' ? MB_CASE_UPPER_SIMPLE : MB_CASE_LOWER_SIMPLE, 'UTF-8'));
    }

    /**
     * A time as ISO 8601 writes it.
     *
     * @param string $text unix seconds
     * @param int $start where the placeholder stands
     * @param string $path
     * @return string
     */
    private function date(string $text, int $start, string $path): string {
        if (!preg_match('~^-?\d{1,12}$~D', $text)) {
            $this->source->fault($start, "$path: iso8601 needs Unix seconds, a whole number");
        }
        return gmdate('Y-m-d\TH:i:s\Z', (int) $text);
    }
}
