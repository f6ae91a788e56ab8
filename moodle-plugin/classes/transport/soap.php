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

namespace local_integrationhub\transport;

use local_integrationhub\local\gateway\outcome;
use local_integrationhub\local\gateway\refused_exception;
use local_integrationhub\local\gateway\soap_client;
use local_integrationhub\local\gateway\wsdl_loader;

/**
 * SOAP services by their WSDL: the endpoint is the operation, the payload its one argument, the result is told as JSON.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class soap extends base {
    /**
     * Makes one attempt; the method is none of SOAP's business.
     *
     * @param \stdClass $service
     * @param float $timeout
     * @param string $endpoint
     * @param array $payload
     * @param string $method
     * @param string $id
     * @return outcome
     */
    public function attempt(
        \stdClass $service,
        float $timeout,
        string $endpoint,
        array $payload,
        string $method,
        string $id
    ): outcome {
        if (!extension_loaded('soap')) {
            return new outcome(outcome::LOCAL, 500, null, 'SOAP Error: ' . get_string('error_soapmissing', 'local_integrationhub'));
        }
        $operation = ltrim($endpoint, '/');
        if (!preg_match('~^[\pL_][\pL\pN_.-]*$~Du', $operation)) {
            throw new refused_exception('policy: the endpoint is no name of an operation');
        }
        $loader = new wsdl_loader($service, $timeout);
        try {
            $client = $loader->load(function (string $file) use ($service, $timeout, $id): soap_client {
                return new soap_client($file, $service, $timeout, $id);
            });
            $result = $client->call($operation, $payload);
            return new outcome(outcome::HTTP, 200, (string) json_encode($result, JSON_INVALID_UTF8_SUBSTITUTE));
        } catch (\SoapFault $fault) {
            return $this->explain($fault, $client ?? null, $loader);
        }
    }

    /**
     * What a fault means: one that the service sent, or one of PHP's client.
     *
     * @param \SoapFault $fault
     * @param soap_client|null $client null: the WSDL could not be used
     * @param wsdl_loader $loader
     * @return outcome
     */
    private function explain(\SoapFault $fault, ?soap_client $client, wsdl_loader $loader): outcome {
        $trouble = $client === null ? $loader->trouble() : $client->trouble();
        if ($trouble !== null) {
            $trouble->error = 'SOAP Error: ' . $trouble->error;
            $trouble->status = $trouble->kind === outcome::HTTP ? $trouble->status : 500;
            return $trouble;
        }
        if ($client !== null && $client->has_answer()) {
            $code = (string) preg_replace('~^.*:~', '', (string) $fault->faultcode);
            if ($code === 'Client' && !$client->answer_is_fault()) {
                // PHP's client did not understand the answer.
                return new outcome(outcome::BROKEN, 500, null, 'SOAP Error: ' . $fault->getMessage());
            }
            $senders = ['Client', 'Sender', 'MustUnderstand', 'VersionMismatch', 'DataEncodingUnknown'];
            $kind = in_array($code, $senders, true) ? outcome::FAULT_SENDER : outcome::FAULT_RECEIVER;
            $outcome = new outcome($kind, 500, null, 'SOAP Fault: ' . $fault->getMessage());
            $outcome->retryafter = $client->retry_after();
            return $outcome;
        }
        return new outcome(outcome::INVALID, 500, null, 'SOAP Error: ' . $fault->getMessage());
    }
}
