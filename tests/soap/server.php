<?php
// A real SoapServer for every WSDL of this folder, behind PHP's own web server: php -S 127.0.0.1:PORT server.php
// What each call brought is appended to the file that MIH_SOAP_RECORD names, as JSON; so are the requests themselves.

/** What the services do. Each method records its arguments; what it returns is compared on the other side. */
final class Services {
    /** @var array what came, for the record */
    public array $calls = [];
    public ?string $caller = null;

    private function note(string $operation, array $arguments): void {
        $this->calls[] = ['operation' => $operation, 'arguments' => $arguments];
    }

    public function Caller($caller) {
        $this->calls[] = ['operation' => 'header Caller', 'arguments' => [$caller]];
    }

    public function Security($security) {
        $this->calls[] = ['operation' => 'header Security', 'arguments' => [$security]];
    }

    public function Add($p) {
        $this->note('Add', [$p]);
        return ['AddResult' => $p->intA + $p->intB];
    }

    public function Divide($p) {
        $this->note('Divide', [$p]);
        if ($p->intB === 0) {
            throw new SoapFault('Client', 'Division by zero');
        }
        if ($p->intB < 0) {
            throw new SoapFault('Server', 'Out of order', null, (object)['code' => 7]);
        }
        return ['DivideResult' => $p->intA / $p->intB];
    }

    public function Tell($p) {
        $this->note('Tell', [$p]);
    }

    public function NumberToWords($p) {
        $this->note('NumberToWords', [$p]);
        return ['NumberToWordsResult' => "<{$p->ubiNum}> & words"];
    }

    public function NumberToDollars($p) {
        $this->note('NumberToDollars', [$p]);
        return ['NumberToDollarsResult' => "{$p->dNum} dollars"];
    }

    public function FullCountryInfo($p) {
        $this->note('FullCountryInfo', [$p]);
        $languages = $p->sCountryISOCode === 'CH' ? [['sISOCode' => 'de', 'sName' => 'Deutsch'], ['sISOCode' => 'fr', 'sName' => 'Français']]
            : [['sISOCode' => 'el', 'sName' => 'Ελληνικά']];
        return ['FullCountryInfoResult' => ['sISOCode' => $p->sCountryISOCode, 'sName' => 'Land', 'sCapitalCity' => null,
            'Languages' => ['tLanguage' => $languages]]];
    }

    public function ListOfLanguages($p) {
        $this->note('ListOfLanguages', [$p]);
        return ['ListOfLanguagesResult' => ['tLanguage' => [['sISOCode' => 'de', 'sName' => 'Deutsch']]]];
    }

    public function Enrol($p) {
        $this->note('Enrol', [$p]);
        $answer = ['count' => count((array)$p->member), 'member' => $p->member, 'ok' => true, 'ratio' => $p->ratio ?? null];
        if (isset($p->fee)) {
            $answer['fee'] = $p->fee;
        }
        return $answer;
    }

    public function Ping($p) {
        $this->note('Ping', [$p]);
        return "<$p>";
    }

    public function RecordMember($p) {
        $this->note('RecordMember', [$p]);
        return ['RecordMemberResult' => "{$p->student->name} is in {$p->course}"];
    }

    public function sum($a, $b, $note) {
        $this->note('sum', [$a, $b, $note]);
        return $a + $b;
    }

    public function mix($flag, $when, $point, $names) {
        $this->note('mix', [$flag, $when, $point, $names]);
        return ['point' => $point, 'names' => $names, 'flag' => !$flag];
    }
}

/** Appends one line to the record. */
function record(array $line): void {
    file_put_contents(getenv('MIH_SOAP_RECORD'), json_encode($line, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION) . "\n",
        FILE_APPEND | LOCK_EX);
}

ini_set('soap.wsdl_cache_enabled', '0');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$address = "http://{$_SERVER['HTTP_HOST']}";
$name = basename($path);
if ($path === '/settled') {     // only a process that does one request after the other can say so: see SoapServer.record
    return;
}
if (str_starts_with($path, '/secret/') && ($_SERVER['HTTP_AUTHORIZATION'] ?? '') !== getenv('MIH_SOAP_AUTHORIZATION')
        && ($_SERVER['HTTP_AUTHORIZATION'] ?? '') !== 'Basic ' . base64_encode('moodle:p: ss')
        && ($_SERVER['HTTP_X_API_KEY'] ?? '?') !== getenv('MIH_SOAP_KEY')) {
    record(['refused' => $path]);
    http_response_code(401);
    echo 'who are you?';
    return;
}
if ($_SERVER['REQUEST_METHOD'] === 'GET') {
    record(['get' => $path]);
    if (!is_file(__DIR__ . "/$name") || !preg_match('/\.(wsdl|xsd)$/', $name)) {
        http_response_code(404);
        return;
    }
    header('Content-Type: text/xml; charset=utf-8');
    $prefix = str_starts_with($path, '/secret/') ? "$address/secret" : $address;
    echo str_replace('@ADDRESS@', $prefix, file_get_contents(__DIR__ . "/$name"));
    return;
}
$input = file_get_contents('php://input');
$services = new Services();
$server = new SoapServer(__DIR__ . "/$name.wsdl", ['features' => SOAP_SINGLE_ELEMENT_ARRAYS, 'cache_wsdl' => WSDL_CACHE_NONE]);
$server->setObject($services);
ob_start();     // the answer waits here until the record is written: PHP calls shutdown functions before it ends output buffers
register_shutdown_function(function () use ($services, $input, $name) {
    record(['service' => $name, 'calls' => $services->calls, 'xml' => $input, 'action' => $_SERVER['HTTP_SOAPACTION'] ?? null,
        'type' => $_SERVER['HTTP_CONTENT_TYPE'] ?? null, 'signature' => $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? null,
        'webhook_timestamp' => $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? null, 'webhook_id' => $_SERVER['HTTP_WEBHOOK_ID'] ?? null,
        'at' => microtime(true)]);
});
$server->handle($input);
