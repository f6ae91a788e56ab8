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

use local_integrationhub\rule\condition;
use local_integrationhub\rule\json_reader;
use local_integrationhub\rule\source;
use local_integrationhub\rule\syntax_exception;
use local_integrationhub\rule\template;

/**
 * The fields of a service that have a form of their own: headers, templates, header names, addresses, keys.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class service_syntax {
    /** A header's name. */
    private const TOKEN = '~^[!#$%&\'*+.^_`|\~0-9A-Za-z-]+$~D';

    /** Deepest JSON. */
    private const MAX_DEPTH = 32;

    /**
     * Refuses a value that the worker could not use. An empty one stands for none.
     *
     * @param string $name of the field
     * @param string $value
     * @throws \moodle_exception
     */
    public static function check(string $name, string $value): void {
        if ($value === '' || config::is_encrypted($value)) {
            return;
        }
        if ($name === 'headers') {
            self::check_headers($value);
        } else if ($name === 'soap_headers') {
            self::check_syntax($name, function () use ($value): void {
                template::check_json($value);
            });
        } else if ($name === 'auth_url') {
            service_fields::validate_url($value, 'rest');
        } else if ($name === 'auth_header' && !preg_match(self::TOKEN, $value)) {
            throw new \moodle_exception('error_header_name', 'local_integrationhub', '', $value);
        } else if ($name === 'content_type' && preg_match('~[^\x20-\x7e]~', $value)) {
            throw new \moodle_exception('error_content_type', 'local_integrationhub');
        } else if ($name === 'signing_secret' || $name === 'signing_secret_old') {
            self::check_signing_secret($value);
        } else if ($name === 'client_cert' && !self::is_certificate($value)) {
            throw new \moodle_exception('error_client_cert', 'local_integrationhub');
        }
    }

    /**
     * Refuses what is no JSON object of header names and text templates.
     *
     * @param string $text
     */
    private static function check_headers(string $text): void {
        self::check_syntax('headers', function () use ($text): void {
            $source = new source($text);
            $root = json_reader::read($source, self::MAX_DEPTH);
            if ($root['type'] !== 'object') {
                $source->fault($root['at'], 'expected an object of header names and values');
            }
            foreach ($root['members'] as [$key, $value]) {
                if (!preg_match(self::TOKEN, $key['text'])) {
                    $source->fault($key['at'], 'this is not the name of a header');
                }
                if ($value['type'] !== 'string') {
                    $source->fault($value['at'], 'expected a text');
                }
                try {
                    template::check_text($value['text']);
                } catch (syntax_exception $e) {
                    $source->fault($value['at'], 'in this value, ' . $e->getMessage());
                }
            }
        });
    }

    /**
     * Tells a fault of a text's syntax with the field's name.
     *
     * @param string $name
     * @param callable $check
     */
    private static function check_syntax(string $name, callable $check): void {
        try {
            $check();
        } catch (syntax_exception $e) {
            $a = ['field' => $name, 'fault' => $e->getMessage()];
            throw new \moodle_exception('error_syntax', 'local_integrationhub', '', $a);
        }
    }

    /**
     * Refuses a signing secret that is none of Standard Webhooks.
     *
     * @param string $secret
     */
    private static function check_signing_secret(string $secret): void {
        $key = preg_match('~^whsec_(.*)$~Ds', $secret, $found) ? base64_decode($found[1], true) : false;
        if ($key === false || strlen($key) < 24 || strlen($key) > 64) {
            throw new \moodle_exception('error_signing_secret', 'local_integrationhub');
        }
    }

    /**
     * Whether a text holds a certificate and a private key.
     *
     * @param string $pem
     * @return bool
     */
    private static function is_certificate(string $pem): bool {
        return strpos($pem, '-----BEGIN CERTIFICATE-----') !== false
            && preg_match('~-----BEGIN ([A-Z]+ )?PRIVATE KEY-----~', $pem) === 1;
    }
}
