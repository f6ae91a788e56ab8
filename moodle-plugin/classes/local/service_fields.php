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

use local_integrationhub\local\gateway\network;
use local_integrationhub\local\inbound\signed;

/**
 * The fields of a service: defaults and what is accepted.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class service_fields {
    /** Types of service. */
    public const TYPES = ['rest', 'amqp', 'soap'];

    /** Ways of authentication. */
    public const AUTHTYPES = ['none', 'bearer', 'apikey', 'basic', 'oauth2', 'wsse', 'wssetext'];

    /** Forms of a request's body. */
    public const BODYTYPES = ['json', 'form', 'raw'];

    /** Versions of SOAP; null is as the WSDL says. */
    public const SOAPVERSIONS = [null, '1.1', '1.2'];

    /** Fields that hold secrets. */
    public const SECRETS = ['auth_token', 'client_cert', 'signing_secret', 'signing_secret_old', 'hmac_secret'];

    /** Texts that may be missing: longest value. */
    private const TEXTS = [
        'auth_user' => 255,
        'auth_header' => 100,
        'auth_url' => 1333,
        'auth_scope' => 255,
        'client_cert' => 65536,
        'headers' => 65536,
        'content_type' => 100,
        'signing_secret' => 1000,
        'signing_secret_old' => 1000,
        'soap_headers' => 65536,
        'ip_whitelist' => 65536,
        'hmac_secret' => 1000,
        'hmac_header' => 100,
    ];

    /** Numbers: smallest and largest value. */
    private const NUMBERS = [
        'timeout' => [1, 3600],
        'max_retries' => [0, 999],
        'retry_backoff' => [0, 86400],
        'cb_failure_threshold' => [1, 999],
        'cb_cooldown' => [1, 86400],
        'max_concurrency' => [1, 10000],
        'rate_limit' => [0, 99999],
        'long_retries' => [0, 1],
        'paused' => [0, 1],
        'rate_limit_requests' => [0, 999999999],
        'rate_limit_window' => [1, 86400],
        'inbound_max_bytes' => [0, 16777216],
        'inbound_window' => [0, 86400],
        'inbound_open' => [0, 1],
    ];

    /**
     * The fields that a person may set.
     *
     * @return string[]
     */
    public static function names(): array {
        return array_merge(
            ['name', 'type', 'base_url', 'auth_type', 'auth_token', 'response_queue', 'enabled'],
            ['body_type', 'soap_version', 'hmac_algo'],
            array_keys(self::TEXTS),
            array_keys(self::NUMBERS)
        );
    }

    /**
     * The values of a new service where nothing else is said.
     *
     * @return array
     */
    public static function defaults(): array {
        return [
            'type' => 'rest',
            'auth_type' => 'bearer',
            'auth_token' => null,
            'timeout' => config::number('default_timeout'),
            'max_retries' => config::number('default_max_retries'),
            'retry_backoff' => 1,
            'cb_failure_threshold' => 5,
            'cb_cooldown' => 30,
            'response_queue' => null,
            'enabled' => 1,
            'max_concurrency' => 16,
            'rate_limit' => 0,
            'long_retries' => 1,
            'paused' => 0,
            'body_type' => 'json',
            'soap_version' => null,
            'hmac_algo' => 'sha256',
            'hmac_header' => 'X-Hub-Signature-256',
            'rate_limit_requests' => 0,
            'rate_limit_window' => 60,
            'inbound_max_bytes' => 0,
            'inbound_window' => 0,
            'inbound_open' => 0,
        ] + array_fill_keys(array_keys(self::TEXTS), null);
    }

    /**
     * Refuses a name that is not one of the secrets'.
     *
     * @param string $name
     * @throws \moodle_exception naming what is accepted
     */
    public static function require_secret(string $name): void {
        self::validate_choice(['secret-stdin' => $name], 'secret-stdin', self::SECRETS);
    }

    /**
     * Refuses what cannot work.
     *
     * @param array $values name => value, of the fields that are set
     * @param \stdClass|null $old the service as it is, when there is one
     * @throws \moodle_exception naming field and what is accepted
     */
    public static function validate(array $values, ?\stdClass $old = null): void {
        foreach (self::faults($values, $old) as $fault) {
            throw $fault;
        }
    }

    /**
     * What cannot work.
     *
     * @param array $values name => value, of the fields that are set
     * @param \stdClass|null $old the service as it is, when there is one
     * @return \moodle_exception[] by name of the field
     */
    public static function faults(array $values, ?\stdClass $old = null): array {
        $faults = [];
        $type = (string) ($values['type'] ?? $old->type ?? 'rest');
        foreach ($values as $name => $value) {
            try {
                self::validate_field((string) $name, $value, $type);
            } catch (\moodle_exception $e) {
                $faults[$name] = $e;
            }
        }
        if (isset($values['type'], $old->base_url) && !array_key_exists('base_url', $values) && !$faults) {
            try {
                self::validate_url((string) $old->base_url, $type);
            } catch (\moodle_exception $e) {
                $faults['type'] = $e;
            }
        }
        return $faults;
    }

    /**
     * Refuses a value that cannot work.
     *
     * @param string $name of the field
     * @param mixed $value
     * @param string $type of the service
     */
    private static function validate_field(string $name, $value, string $type): void {
        $choices = ['type' => self::TYPES, 'auth_type' => self::AUTHTYPES, 'body_type' => self::BODYTYPES,
            'soap_version' => self::SOAPVERSIONS, 'hmac_algo' => signed::ALGORITHMS];
        if (isset(self::NUMBERS[$name])) {
            self::validate_number($name, (string) $value, self::NUMBERS[$name]);
        } else if (isset($choices[$name])) {
            self::validate_choice([$name => $value], $name, $choices[$name]);
        } else if (isset(self::TEXTS[$name]) && \core_text::strlen((string) $value) > self::TEXTS[$name]) {
            $a = ['name' => $name, 'max' => self::TEXTS[$name]];
            throw new \moodle_exception('error_too_long', 'local_integrationhub', '', $a);
        } else if ($name === 'name' && self::is_bad_name((string) $value)) {
            throw new \moodle_exception('error_name_required', 'local_integrationhub');
        } else if ($name === 'auth_token' && preg_match('~[\x00-\x08\x0a-\x1f\x7f]~', (string) $value)) {
            throw new \moodle_exception('error_token_bytes', 'local_integrationhub');
        } else if ($name === 'base_url') {
            self::validate_url((string) $value, $type);
        } else {
            self::validate_inbound([$name => $value]);
            service_syntax::check($name, (string) $value);
        }
    }

    /**
     * Refuses what would turn every inbound call away.
     *
     * @param array $values
     * @throws \moodle_exception
     */
    private static function validate_inbound(array $values): void {
        $fault = network::first_fault((string) ($values['ip_whitelist'] ?? ''));
        if ($fault !== null) {
            throw new \moodle_exception('error_networks', 'local_integrationhub', '', $fault);
        }
        if (array_key_exists('hmac_header', $values) && !preg_match('~^[A-Za-z0-9-]{1,100}$~D', (string) $values['hmac_header'])) {
            throw new \moodle_exception('error_hmac_header', 'local_integrationhub');
        }
    }

    /**
     * Whether a name cannot be stored or found again.
     *
     * @param string $name
     * @return bool
     */
    private static function is_bad_name(string $name): bool {
        return trim($name) === '' || \core_text::strlen($name) > 255;
    }

    /**
     * Refuses a number out of its range.
     *
     * @param string $name
     * @param string $value
     * @param int[] $limits
     */
    private static function validate_number(string $name, string $value, array $limits): void {
        [$min, $max] = $limits;
        if (!preg_match('~^\d{1,9}$~D', $value) || $value < $min || $value > $max) {
            $a = ['name' => $name, 'value' => $value, 'min' => $min, 'max' => $max];
            throw new \moodle_exception('error_number', 'local_integrationhub', '', $a);
        }
    }

    /**
     * Refuses a value that is not in the list.
     *
     * @param array $values
     * @param string $name
     * @param string[] $choices
     */
    private static function validate_choice(array $values, string $name, array $choices): void {
        if (array_key_exists($name, $values) && !in_array($values[$name], $choices, true)) {
            $a = ['name' => $name, 'value' => (string) $values[$name], 'accepted' => implode(', ', array_filter($choices))];
            throw new \moodle_exception('error_choice', 'local_integrationhub', '', $a);
        }
    }

    /**
     * The smallest and the largest value of a number.
     *
     * @param string $name
     * @return int[]
     */
    public static function limits(string $name): array {
        return self::NUMBERS[$name];
    }

    /**
     * Refuses a URL that the worker would refuse.
     *
     * @param string $url
     * @param string $type
     */
    public static function validate_url(string $url, string $type): void {
        if ($url === '') {
            throw new \moodle_exception('error_url_required', 'local_integrationhub');
        }
        $schemes = $type === 'amqp' ? ['amqp', 'amqps'] : ['http', 'https'];
        if ($type === 'amqp' && config::is_encrypted($url)) {
            $url = secrets::open($url);
        }
        $parts = preg_match('~[\x00-\x20\x7f]~', $url) || strlen($url) > 1333 ? false : parse_url($url);
        if (
            $parts === false || ($parts['host'] ?? '') === ''
            || !in_array(strtolower($parts['scheme'] ?? ''), $schemes, true)
        ) {
            throw new \moodle_exception('error_invalid_url', 'local_integrationhub', '', implode('://, ', $schemes) . '://');
        }
    }
}
