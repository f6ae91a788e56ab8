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

namespace local_integrationhub\service;

use local_integrationhub\local\gateway\http_client;
use local_integrationhub\local\gateway\http_request;
use local_integrationhub\local\gateway\outcome;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\rest_url;

/**
 * The operations of a WSDL 1.1, for people to choose from; the worker reads WSDLs itself.
 *
 * XML with a document type is refused, and nothing that a document names is fetched but other documents of the same origin
 * that it imports.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class wsdl_operations {
    /** Namespace of WSDL 1.1. */
    private const WSDL = 'http://schemas.xmlsoap.org/wsdl/';

    /** Most documents that are read. */
    private const MAX_DOCUMENTS = 10;

    /** Most bytes of one. */
    private const MAX_BYTES = 2097152;

    /**
     * Fetches a WSDL and tells its operations.
     *
     * @param string $url
     * @param \stdClass|null $service whose credentials are sent along; null: none are
     * @return string[] sorted
     * @throws \moodle_exception when it cannot be had or read, or has none
     */
    public static function of_url(string $url, ?\stdClass $service = null): array {
        $origin = self::origin($url);
        $wait = [$url];
        $seen = [];
        $operations = [];
        while ($wait && count($seen) < self::MAX_DOCUMENTS) {
            $next = array_shift($wait);
            if (isset($seen[$next]) || self::origin($next) !== $origin) {
                continue;
            }
            $seen[$next] = true;
            [$names, $imports] = self::of_text(self::fetch($next, $service));
            $operations = array_merge($operations, $names);
            foreach ($imports as $import) {
                $wait[] = parse_url($import, PHP_URL_HOST) ? $import : self::resolve($next, $import);
            }
        }
        if (!$operations) {
            throw new \moodle_exception('error_wsdl_empty', 'local_integrationhub');
        }
        $operations = array_unique($operations);
        sort($operations);
        return $operations;
    }

    /**
     * Fetches a document, as the gateway sends all its requests.
     *
     * @param string $url
     * @param \stdClass|null $service
     * @return string
     * @throws \moodle_exception when it cannot be had
     */
    private static function fetch(string $url, ?\stdClass $service): string {
        try {
            rest_url::require_base($url, 'the address of the WSDL');
            $request = new http_request('GET', $url);
            $request->timeout = 10.0;
            $outcome = $service ? credentials::send($request, $service) : http_client::send($request);
            $isgood = $outcome->kind === outcome::HTTP && $outcome->status === 200;
            $fault = $isgood ? '' : (string) ($outcome->error ?? "HTTP $outcome->status");
        } catch (refused_exception $e) {
            $fault = $e->getMessage();
        }
        if ($fault === '' && strlen($outcome->body) > self::MAX_BYTES) {
            $fault = get_string('error_answer_size', 'local_integrationhub');
        }
        if ($fault !== '') {
            throw new \moodle_exception('error_wsdl_fetch', 'local_integrationhub', '', $fault);
        }
        return $service ? credentials::mask($outcome->body, $service, $request) : $outcome->body;
    }

    /**
     * The operations and imports of one document.
     *
     * @param string $xml
     * @return array[] names of operations, addresses of imports
     * @throws \moodle_exception when it is no WSDL
     */
    public static function of_text(string $xml): array {
        $document = new \DOMDocument();
        $before = libxml_use_internal_errors(true);
        $isread = trim($xml) !== '' && stripos($xml, '<!DOCTYPE') === false && $document->loadXML($xml, LIBXML_NONET);
        libxml_clear_errors();
        libxml_use_internal_errors($before);
        $root = $isread ? $document->documentElement : null;
        if (!$root || $root->localName !== 'definitions' || $root->namespaceURI !== self::WSDL) {
            throw new \moodle_exception('error_wsdl', 'local_integrationhub');
        }
        $path = new \DOMXPath($document);
        $path->registerNamespace('w', self::WSDL);
        $names = [];
        foreach ($path->query('/w:definitions/w:portType/w:operation/@name') as $name) {
            $names[] = trim($name->nodeValue);
        }
        $imports = [];
        foreach ($path->query('/w:definitions/w:import/@location') as $location) {
            $imports[] = trim($location->nodeValue);
        }
        return [$names, $imports];
    }

    /**
     * Scheme, host and port of an address.
     *
     * @param string $url
     * @return string
     */
    private static function origin(string $url): string {
        $parts = parse_url($url) ?: [];
        $scheme = strtolower($parts['scheme'] ?? '');
        return $scheme . '://' . strtolower($parts['host'] ?? '') . ':' . ($parts['port'] ?? ($scheme === 'https' ? 443 : 80));
    }

    /**
     * An address that is relative to another one.
     *
     * @param string $base
     * @param string $relative
     * @return string
     */
    private static function resolve(string $base, string $relative): string {
        $parts = parse_url($base);
        $folder = $relative[0] === '/' ? '' : preg_replace('~[^/]*$~', '', $parts['path'] ?? '/');
        return $parts['scheme'] . '://' . $parts['host'] . (isset($parts['port']) ? ":{$parts['port']}" : '') . $folder . $relative;
    }
}
