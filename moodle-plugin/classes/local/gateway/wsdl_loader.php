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

namespace local_integrationhub\local\gateway;

/**
 * Gives PHP's SOAP client a WSDL that it has not fetched itself.
 *
 * The client would fetch it, and all that it imports, past Moodle's proxy, the network guard and every time-out. So the
 * WSDL is fetched as any other request is and kept for a while; its imports are fetched the same way, by a loader of
 * external entities that knows no other address than those of the WSDL's own origin, and no file. A document with a DTD is
 * refused.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class wsdl_loader {
    /** Most documents. */
    private const MAXDOCUMENTS = 32;

    /** Most bytes of all documents. */
    private const MAXBYTES = 2097152;

    /** @var \stdClass */
    private $service;

    /** @var float seconds */
    private $timeout;

    /** @var string[] documents fetched or taken from the cache */
    private $documents = [];

    /** @var int bytes of them */
    private $bytes = 0;

    /** @var outcome|null why a document could not be had */
    private $trouble = null;

    /**
     * Constructor.
     *
     * @param \stdClass $service
     * @param float $timeout
     */
    public function __construct(\stdClass $service, float $timeout) {
        $this->service = $service;
        $this->timeout = $timeout;
    }

    /**
     * Makes a client while the loader is in force.
     *
     * @param callable $make gets the name of the WSDL
     * @return soap_client
     * @throws \SoapFault when there is none
     */
    public function load(callable $make): soap_client {
        $url = (string) $this->service->base_url;
        rest_url::require_base($url, 'base_url (the WSDL)');
        $before = function_exists('libxml_get_external_entity_loader') ? libxml_get_external_entity_loader() : null;
        libxml_set_external_entity_loader(function ($public, $system) {
            return $this->open((string) $system);
        });
        $errors = libxml_use_internal_errors(true);
        try {
            $client = $make($url);
            $client->set_documents($this->documents);
            return $client;
        } finally {
            libxml_clear_errors();
            libxml_use_internal_errors($errors);
            libxml_set_external_entity_loader($before);
        }
    }

    /**
     * Why the WSDL could not be had, when that was the network's or the service's fault.
     *
     * @return outcome|null
     */
    public function trouble(): ?outcome {
        return $this->trouble;
    }

    /**
     * A document as a stream.
     *
     * @param string $url
     * @return resource|null null: libxml tells of an error
     */
    private function open(string $url) {
        if ($this->trouble !== null) {
            return null;
        }
        $text = $this->document($url);
        if ($text === null) {
            return null;
        }
        $stream = fopen('php://temp', 'w+');
        fwrite($stream, $text);
        rewind($stream);
        return $stream;
    }

    /**
     * A document.
     *
     * @param string $url
     * @return string|null
     */
    private function document(string $url): ?string {
        if (self::origin($url) !== self::origin($this->service->base_url)) {
            $this->trouble = outcome::invalid('the WSDL imports a document of another origin');
            return null;
        }
        if (count($this->documents) >= self::MAXDOCUMENTS) {
            $this->trouble = outcome::invalid('the WSDL imports more than ' . self::MAXDOCUMENTS . ' documents');
            return null;
        }
        $cache = \cache::make('local_integrationhub', 'wsdl');
        $key = hash('sha256', $this->service->id . ' ' . $this->service->timemodified . ' ' . $url);
        $text = $cache->get($key);
        if ($text === false) {
            $text = $this->fetch($url);
            if ($text === null) {
                return null;
            }
            $cache->set($key, $text);
        }
        $this->bytes += strlen($text);
        if ($this->bytes > self::MAXBYTES) {
            $this->trouble = outcome::invalid('the WSDL is larger than ' . self::MAXBYTES . ' bytes');
            return null;
        }
        $this->documents[] = $text;
        return $text;
    }

    /**
     * Fetches a document.
     *
     * @param string $url
     * @return string|null
     */
    private function fetch(string $url): ?string {
        $request = new http_request('GET', $url);
        $request->timeout = $this->timeout;
        $request->clientcert = secrets::open($this->service->client_cert ?? null, 'client certificate');
        foreach (service_headers::authorization($this->service) as $name => $value) {
            $request->add_header($name, $value);
        }
        try {
            $outcome = oauth::send($this->service, $request);
        } catch (refused_exception $e) {
            $outcome = outcome::invalid($e->getMessage());
        }
        if ($outcome->kind !== outcome::HTTP || $outcome->status !== 200) {
            $outcome->error = 'WSDL: ' . ($outcome->error ?? "HTTP $outcome->status");
            $this->trouble = $outcome;
            return null;
        }
        if (stripos((string) $outcome->body, '<!DOCTYPE') !== false) {
            $this->trouble = outcome::invalid('the WSDL holds a document type declaration');
            return null;
        }
        return $outcome->body;
    }

    /**
     * Scheme, host and port of a URL.
     *
     * @param string $url
     * @return string|null null when it is no URL of the web
     */
    public static function origin(string $url): ?string {
        $parts = parse_url($url);
        $scheme = strtolower($parts['scheme'] ?? '');
        if (!in_array($scheme, ['http', 'https'], true) || !isset($parts['host'])) {
            return null;
        }
        return $scheme . '://' . strtolower($parts['host']) . ':' . ($parts['port'] ?? ($scheme === 'https' ? 443 : 80));
    }
}
