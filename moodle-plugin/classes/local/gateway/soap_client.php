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
 * PHP's SOAP client with our HTTP: guarded, verified, bounded in time, with the service's ways of authentication.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class soap_client extends \SoapClient {
    /** Where the profiles of WS-Security are. */
    private const OASIS = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-';

    /** Answers above this are refused. */
    private const MAXANSWER = 1048576;

    /** @var \stdClass */
    private $service;

    /** @var float seconds */
    private $timeout;

    /** @var string UUID of the request */
    private $id;

    /** @var string[] the WSDL and what it imports */
    private $documents = [];

    /** @var array */
    private $payload = [];

    /** @var outcome|null of the HTTP request */
    private $outcome = null;

    /** @var outcome|null why there is no answer to understand */
    private $trouble = null;

    /**
     * Constructor.
     *
     * @param string $wsdl
     * @param \stdClass $service
     * @param float $timeout
     * @param string $id
     * @throws \SoapFault when the WSDL cannot be used
     */
    public function __construct(string $wsdl, \stdClass $service, float $timeout, string $id) {
        $this->service = $service;
        $this->timeout = $timeout;
        $this->id = $id;
        parent::__construct($wsdl, [
            'exceptions' => true,
            'cache_wsdl' => WSDL_CACHE_NONE,
            'soap_version' => ($service->soap_version ?? '') === '1.2' ? SOAP_1_2 : SOAP_1_1,
            'features' => SOAP_SINGLE_ELEMENT_ARRAYS,
        ]);
    }

    /**
     * What the WSDL is made of: it says where the elements of headers belong.
     *
     * @param string[] $documents
     */
    public function set_documents(array $documents): void {
        $this->documents = $documents;
    }

    /**
     * Calls an operation.
     *
     * @param string $operation
     * @param array $payload
     * @return mixed
     * @throws \SoapFault
     * @throws refused_exception when a header cannot be made
     */
    public function call(string $operation, array $payload) {
        $this->payload = $payload;
        $this->outcome = null;
        $this->trouble = null;
        $headers = new soap_headers($this->envelope_namespace(), $this->documents);
        $own = $headers->make((string) ($this->service->soap_headers ?? ''), $payload);
        return $this->__soapCall($operation, [$payload], null, array_merge($own, $this->security()));
    }

    /**
     * Sends the message; called by PHP's client.
     *
     * @param string $request
     * @param string $location
     * @param string $action
     * @param int $version
     * @param bool $oneway
     * @return string
     */
    #[\ReturnTypeWillChange]
    public function __doRequest($request, $location, $action, $version, $oneway = false) {
        try {
            $this->outcome = $this->send((string) $request, (string) $location, (string) $action, (int) $version);
        } catch (refused_exception $e) {
            $this->outcome = outcome::invalid($e->getMessage());
        }
        $isanswer = $this->outcome->kind === outcome::HTTP && $this->is_envelope()
            || $oneway && $this->outcome->kind === outcome::HTTP && $this->outcome->status <= 299;
        if (!$isanswer) {
            $this->trouble = $this->outcome;
            if ($this->outcome->kind === outcome::HTTP && $this->outcome->status <= 299) {
                $this->trouble = new outcome(outcome::BROKEN, 500, null, 'the answer is no SOAP message');
            }
            // Anything but a fault, so that the client does not try to read what is none.
            throw new \SoapFault('HTTP', (string) $this->trouble->error);
        }
        return (string) $this->outcome->body;
    }

    /**
     * Why there is no answer to understand.
     *
     * @return outcome|null
     */
    public function trouble(): ?outcome {
        return $this->trouble;
    }

    /**
     * Whether the service has answered at all.
     *
     * @return bool
     */
    public function has_answer(): bool {
        return $this->outcome !== null;
    }

    /**
     * Whether the answer is a fault.
     *
     * @return bool
     */
    public function answer_is_fault(): bool {
        return $this->outcome !== null && (bool) preg_match('~<([\w.-]+:)?Fault[\s>/]~', (string) $this->outcome->body);
    }

    /**
     * Seconds that the service asks to wait.
     *
     * @return int|null
     */
    public function retry_after(): ?int {
        return $this->outcome->retryafter ?? null;
    }

    /**
     * Whether the answer may be read as a SOAP message: no declarations of types, not too large.
     *
     * @return bool
     */
    private function is_envelope(): bool {
        $body = (string) $this->outcome->body;
        return strlen($body) <= self::MAXANSWER && stripos($body, '<!DOCTYPE') === false
            && (bool) preg_match('~<([\w.-]+:)?Envelope[\s>]~', substr($body, 0, 2000));
    }

    /**
     * Sends a message by HTTP.
     *
     * @param string $message
     * @param string $location
     * @param string $action
     * @param int $version
     * @return outcome
     */
    private function send(string $message, string $location, string $action, int $version): outcome {
        rest_url::require_base($location, 'the address in the WSDL');
        if ($this->has_secrets() && wsdl_loader::origin($location) !== wsdl_loader::origin($this->service->base_url)) {
            throw new refused_exception('policy: the WSDL names an address of another origin, which would get the credentials');
        }
        $request = new http_request('POST', $location);
        $request->body = $message;
        $request->timeout = $this->timeout;
        $request->clientcert = secrets::open($this->service->client_cert ?? null, 'client certificate');
        if (preg_match('~[\x00-\x1f\x7f"]~', $action)) {
            throw new refused_exception('policy: the action in the WSDL holds a byte that no header may hold');
        }
        $headers = $version === SOAP_1_2
            ? ['Content-Type' => "application/soap+xml; charset=utf-8; action=\"$action\""]
            : ['Content-Type' => 'text/xml; charset=utf-8', 'SOAPAction' => "\"$action\""];
        $headers += service_headers::authorization($this->service);
        $headers += service_headers::identity($this->service, $this->id, $message);
        foreach ($headers + service_headers::custom($this->service, $this->payload) as $name => $value) {
            $request->add_header($name, $value);
        }
        return oauth::send($this->service, $request);
    }

    /**
     * The UsernameToken of WS-Security, OASIS profile 1.0.
     *
     * @return \SoapHeader[]
     */
    private function security(): array {
        $type = (string) $this->service->auth_type;
        if ($type !== 'wsse' && $type !== 'wssetext') {
            return [];
        }
        $password = secrets::token($this->service);
        $nonce = random_bytes(16);
        $created = gmdate('Y-m-d\TH:i:s\Z');
        $isdigest = $type === 'wsse';
        $text = $isdigest ? base64_encode(sha1($nonce . $created . $password, true)) : $password;
        $profile = self::OASIS . 'username-token-profile-1.0#Password' . ($isdigest ? 'Digest' : 'Text');
        $namespace = self::OASIS . 'wssecurity-secext-1.0.xsd';
        $xml = '<w:Security xmlns:w="' . $namespace . '" xmlns:e="' . $this->envelope_namespace() . '" e:mustUnderstand="1">'
            . '<w:UsernameToken><w:Username>' . self::escape((string) $this->service->auth_user) . '</w:Username>'
            . '<w:Password Type="' . $profile . '">' . self::escape($text) . '</w:Password>'
            . '<w:Nonce EncodingType="' . self::OASIS . 'soap-message-security-1.0#Base64Binary">'
            . base64_encode($nonce) . '</w:Nonce>'
            . '<u:Created xmlns:u="' . self::OASIS . 'wssecurity-utility-1.0.xsd">' . $created . '</u:Created>'
            . '</w:UsernameToken></w:Security>';
        return [new \SoapHeader($namespace, 'Security', new \SoapVar($xml, XSD_ANYXML), true)];
    }

    /**
     * The namespace of the message's envelope.
     *
     * @return string
     */
    private function envelope_namespace(): string {
        return ($this->service->soap_version ?? '') === '1.2'
            ? 'http://www.w3.org/2003/05/soap-envelope'
            : 'http://schemas.xmlsoap.org/soap/envelope/';
    }

    /**
     * Text of XML.
     *
     * @param string $text
     * @return string
     */
    private static function escape(string $text): string {
        return htmlspecialchars($text, ENT_XML1 | ENT_QUOTES, 'UTF-8');
    }

    /**
     * Whether a message holds what only this service may see.
     *
     * @return bool
     */
    private function has_secrets(): bool {
        return $this->service->auth_type !== 'none' || trim((string) ($this->service->soap_headers ?? '')) !== ''
            || trim((string) ($this->service->headers ?? '')) !== '' || (string) ($this->service->client_cert ?? '') !== '';
    }
}
