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

/**
 * Makes, changes and lists services from the command line.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

define('CLI_SCRIPT', true);

require(__DIR__ . '/../../../config.php');
require_once($CFG->libdir . '/clilib.php');

use local_integrationhub\local\cli;
use local_integrationhub\local\service_fields;
use local_integrationhub\service\registry;

$help = <<<'TEXT'
Makes, changes and lists the services of Moodle Integration Hub.

    service.php --list [--json]
    service.php --add=NAME --url=URL [fields]
    service.php --update=NAME [fields]
    service.php --enable=NAME | --disable=NAME | --delete=NAME
    service.php --encrypt=NAME                      encrypt its secrets with Moodle's key, for workers that have a copy of it

Fields:
    --url=URL              base URL (REST), WSDL URL (SOAP) or AMQP URL
    --type=TYPE            rest, amqp or soap (default: rest)
    --auth=TYPE            none, bearer, apikey, basic, oauth2; of SOAP also wsse, wssetext (default: bearer)
    --token-stdin          read the token, password or client secret from standard input (an argument can be seen by all)
    --secret-stdin=FIELD   the same of client_cert (PEM: certificate and key), signing_secret, signing_secret_old (whsec_...)
                           or hmac_secret (of calls to webhook.php)
    --auth-user=NAME       user of basic and wsse, client id of oauth2
    --auth-header=NAME     header of the API key (default: X-API-Key)
    --auth-url=URL         token endpoint of oauth2
    --auth-scope=TEXT      its scope
    --headers=JSON         headers to add, {"Name": "text with {{placeholders}}"}
    --body-type=TYPE       json, form or raw (default: json)
    --content-type=TYPE    of a raw body
    --soap-version=N       1.1 or 1.2 (default: as the WSDL says)
    --soap-headers=JSON    template of the SOAP headers
    --timeout=SECONDS      (default: the setting default_timeout)
    --max-retries=N        (default: the setting default_max_retries)
    --retry-backoff=SECONDS
    --cb-threshold=N       failures in a row that open the circuit breaker
    --cb-cooldown=SECONDS
    --max-concurrency=N    requests at a time, per worker process
    --rate-limit=N         requests per second of all worker processes together; 0: no limit
    --long-retries=0|1     go on trying for days after the last retry (default: 1)
    --paused=0|1           keep its events waiting
    --response-queue=NAME  inbound queue of an AMQP service
    --ip-list=NETWORKS     who may call webhook.php, separated by commas
    --hmac-header=NAME     header of the signatures of calls; webhook-signature: Standard Webhooks
    --hmac-algo=NAME       sha256 (default), sha384 or sha512
    --inbound-rate=N       most calls in --inbound-rate-window seconds (default: 60); 0: no limit
    --inbound-max-bytes=N  largest body of a call; 0: 16 MiB
    --inbound-window=N     seconds that a signed call may be old; 0: 300
    --inbound-open=0|1     without a token anybody may call (default: 0)

Exit code 0 when done, 1 with a message when not.

TEXT;

$fields = [
    'url' => 'base_url',
    'type' => 'type',
    'auth' => 'auth_type',
    'auth-user' => 'auth_user',
    'auth-header' => 'auth_header',
    'auth-url' => 'auth_url',
    'auth-scope' => 'auth_scope',
    'headers' => 'headers',
    'body-type' => 'body_type',
    'content-type' => 'content_type',
    'soap-version' => 'soap_version',
    'soap-headers' => 'soap_headers',
    'timeout' => 'timeout',
    'max-retries' => 'max_retries',
    'retry-backoff' => 'retry_backoff',
    'cb-threshold' => 'cb_failure_threshold',
    'cb-cooldown' => 'cb_cooldown',
    'max-concurrency' => 'max_concurrency',
    'rate-limit' => 'rate_limit',
    'long-retries' => 'long_retries',
    'paused' => 'paused',
    'response-queue' => 'response_queue',
    'ip-list' => 'ip_whitelist',
    'hmac-header' => 'hmac_header',
    'hmac-algo' => 'hmac_algo',
    'inbound-rate' => 'rate_limit_requests',
    'inbound-rate-window' => 'rate_limit_window',
    'inbound-max-bytes' => 'inbound_max_bytes',
    'inbound-window' => 'inbound_window',
    'inbound-open' => 'inbound_open',
];
$options = cli::options(array_merge(
    ['list', 'json', 'add', 'update', 'enable', 'disable', 'delete', 'encrypt', 'token-stdin', 'secret-stdin'],
    array_keys($fields)
), $help);

cli::run(function () use ($options, $fields): void {
    [$action, $name] = cli::action($options, ['list', 'add', 'update', 'enable', 'disable', 'delete', 'encrypt']);
    $data = cli::record($options, $fields);
    $secret = $options['token-stdin'] ? 'auth_token' : $options['secret-stdin'];
    if ($secret) {
        service_fields::require_secret((string) $secret);
        $data->$secret = trim((string) file_get_contents('php://stdin'));
    }
    if ($action === 'list') {
        $columns = ['id', 'name', 'type', 'auth_type', 'enabled', 'base_url'];
        cli::table(registry::get_all_services(), $columns, (bool) $options['json']);
        return;
    }
    $name = cli::argument($action, $name);
    if ($action === 'add') {
        $data->name = $name;
        cli_writeln(get_string('cli_service_added', 'local_integrationhub', registry::create_service($data)));
        return;
    }
    $service = registry::get_service($name);
    if (!$service) {
        throw new moodle_exception('service_not_found', 'local_integrationhub', '', $name);
    }
    if ($action === 'delete') {
        registry::delete_service((int) $service->id);
    } else if ($action === 'encrypt') {
        registry::encrypt_service((int) $service->id);
    } else {
        $data = $action === 'update' ? $data : (object) ['enabled' => (int) ($action === 'enable')];
        registry::update_service((int) $service->id, $data);
    }
    cli_writeln(get_string('cli_done', 'local_integrationhub'));
});
