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
 * The administrator's own headers of a SOAP message: `soap_headers` of the service.
 *
 * A JSON object of the name of an element of the WSDL, or `{namespace}name`, to its value, in the form that payloads have:
 * objects are what an element holds, arrays an element that is repeated, "@name" is an attribute, "_" the text beside
 * attributes, null an element without a value (xsi:nil). `@mustUnderstand`, `@actor` and `@role` are SOAP's own. As in the
 * service's HTTP headers a placeholder takes its value from the payload. The worker fleet also holds an element against its
 * type in the WSDL; here the service does that.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class soap_headers {
    /** XML Schema. */
    private const SCHEMA = 'http://www.w3.org/2001/XMLSchema';

    /** Attributes of elements of any type. */
    private const INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance';

    /** Attributes that are SOAP's own. */
    private const OWN = ['@mustUnderstand', '@actor', '@role'];

    /** Deepest nesting. */
    private const MAXDEPTH = 16;

    /** @var string namespace of the envelope */
    private $envelope;

    /** @var string[] the WSDL and what it imports */
    private $documents;

    /** @var \DOMDocument */
    private $xml;

    /**
     * Constructor.
     *
     * @param string $envelope namespace of the message's envelope
     * @param string[] $documents the WSDL and what it imports
     */
    public function __construct(string $envelope, array $documents) {
        $this->envelope = $envelope;
        $this->documents = $documents;
    }

    /**
     * Makes the headers.
     *
     * @param string $template
     * @param array $payload
     * @return \SoapHeader[]
     * @throws refused_exception
     */
    public function make(string $template, array $payload): array {
        if (trim($template) === '') {
            return [];
        }
        $values = json_decode(placeholders::json($template, $payload, 'SOAP headers'), true);
        if (!is_array($values) || $values && array_keys($values) === range(0, count($values) - 1)) {
            throw self::refusal('not a JSON object');
        }
        $headers = [];
        foreach ($values as $key => $value) {
            [$namespace, $name, $isqualified] = $this->name((string) $key);
            $this->xml = new \DOMDocument('1.0', 'UTF-8');
            $element = $this->element($this->xml, $namespace, $name);
            $this->fill($element, $value, $isqualified ? $namespace : '', 1);
            $this->add_own_attributes($element, is_array($value) ? $value : []);
            $headers[] = new \SoapHeader($namespace ?: 'none', $name, new \SoapVar($this->xml->saveXML($element), XSD_ANYXML));
        }
        return $headers;
    }

    /**
     * Which element a key means.
     *
     * @param string $key
     * @return array namespace, name, whether its children are of that namespace
     * @throws refused_exception
     */
    private function name(string $key): array {
        if (preg_match('~^\{([^{}]*)\}(.+)$~Ds', $key, $match)) {
            $found = $this->declared($match[2], $match[1]);
            return [$match[1], self::checked($match[2]), $found[0][1] ?? true];
        }
        $found = $this->declared(self::checked($key));
        if (count($found) !== 1) {
            throw self::refusal("$key: the WSDL has no such element, or several: write {namespace}name");
        }
        return [$found[0][0], $key, $found[0][1]];
    }

    /**
     * The elements of a name that the WSDL declares.
     *
     * @param string $name
     * @param string|null $namespace null: any
     * @return array[] namespace, whether children are of it
     */
    private function declared(string $name, ?string $namespace = null): array {
        $found = [];
        foreach ($this->documents as $text) {
            $document = new \DOMDocument();
            if (!@$document->loadXML($text, LIBXML_NONET)) {
                continue;
            }
            foreach ($document->getElementsByTagNameNS(self::SCHEMA, 'schema') as $schema) {
                $target = $schema->getAttribute('targetNamespace');
                if ($namespace !== null && $target !== $namespace) {
                    continue;
                }
                foreach ($schema->childNodes as $node) {
                    if ($node instanceof \DOMElement && $node->localName === 'element' && $node->getAttribute('name') === $name) {
                        $found[$target] = [$target, $schema->getAttribute('elementFormDefault') === 'qualified'];
                    }
                }
            }
        }
        return array_values($found);
    }

    /**
     * Writes what an element holds.
     *
     * @param \DOMElement $element
     * @param mixed $value
     * @param string $namespace of its children
     * @param int $depth
     * @throws refused_exception
     */
    private function fill(\DOMElement $element, $value, string $namespace, int $depth): void {
        if ($value === null) {
            $element->setAttributeNS(self::INSTANCE, 'xsi:nil', 'true');
        } else if (!is_array($value)) {
            $element->appendChild($this->xml->createTextNode(self::text($value)));
        } else if ($depth > self::MAXDEPTH || $value && array_keys($value) === range(0, count($value) - 1)) {
            throw self::refusal($element->localName . ': it is nested too deeply, or an array of arrays');
        } else {
            foreach ($value as $key => $part) {
                $this->add($element, (string) $key, $part, $namespace, $depth);
            }
        }
    }

    /**
     * Writes one member of an object.
     *
     * @param \DOMElement $element
     * @param string $key
     * @param mixed $value
     * @param string $namespace
     * @param int $depth
     * @throws refused_exception
     */
    private function add(\DOMElement $element, string $key, $value, string $namespace, int $depth): void {
        if ($key === '_') {
            $element->appendChild($this->xml->createTextNode(self::text($value)));
        } else if ($key !== '' && $key[0] === '@') {
            if ($depth > 1 || !in_array($key, self::OWN, true)) {
                $element->setAttribute(self::checked(substr($key, 1)), self::text($value));
            }
        } else {
            $islist = is_array($value) && array_keys($value) === range(0, count($value) - 1);
            foreach ($islist ? $value : [$value] as $one) {
                $child = $this->element($element, $namespace, self::checked($key));
                $this->fill($child, $one, $namespace, $depth + 1);
            }
        }
    }

    /**
     * Adds an element.
     *
     * @param \DOMNode $parent
     * @param string $namespace '': none
     * @param string $name
     * @return \DOMElement
     */
    private function element(\DOMNode $parent, string $namespace, string $name): \DOMElement {
        $node = $namespace === '' ? $this->xml->createElement($name) : $this->xml->createElementNS($namespace, "h:$name");
        $parent->appendChild($node);
        return $node;
    }

    /**
     * Adds SOAP's own attributes.
     *
     * @param \DOMElement $element
     * @param array $value
     */
    private function add_own_attributes(\DOMElement $element, array $value): void {
        foreach (array_intersect_key($value, array_fill_keys(self::OWN, 1)) as $key => $text) {
            $text = $key === '@mustUnderstand' ? (in_array($text, [true, 1, 'true', '1'], true) ? '1' : '0') : self::text($text);
            $element->setAttributeNS($this->envelope, 'e:' . substr($key, 1), $text);
        }
    }

    /**
     * A value as text of XML.
     *
     * @param mixed $value
     * @return string
     * @throws refused_exception
     */
    private static function text($value): string {
        if (is_array($value)) {
            throw self::refusal('an attribute or a text is an object');
        }
        $text = is_bool($value) ? ($value ? 'true' : 'false') : (string) $value;
        if (preg_match('~[^\x09\x0a\x0d\x20-\x{d7ff}\x{e000}-\x{fffd}\x{10000}-\x{10ffff}]~u', $text)) {
            throw self::refusal('a value holds a character that XML cannot hold');
        }
        return $text;
    }

    /**
     * A name, if it is one that an element or an attribute can have.
     *
     * @param string $name
     * @return string
     * @throws refused_exception
     */
    private static function checked(string $name): string {
        if (!preg_match('~^[\pL_][\pL\pN_.-]*$~Du', $name)) {
            throw self::refusal("$name: it is no name that an XML element can have");
        }
        return $name;
    }

    /**
     * The exception.
     *
     * @param string $why
     * @return refused_exception
     */
    private static function refusal(string $why): refused_exception {
        return new refused_exception("policy: SOAP headers: $why");
    }
}
