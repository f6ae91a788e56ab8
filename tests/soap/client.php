<?php
// The same calls by PHP's SoapClient: one JSON object a line in, one answer a line out. With --load CALLS: how fast it is.

ini_set('soap.wsdl_cache_enabled', '1');
ini_set('soap.wsdl_cache_dir', sys_get_temp_dir());
ini_set('serialize_precision', '-1');

/** The payload as SoapClient wants it: base64 is for it to make, and attributes have no mark. */
function prepared($value) {
    if (!is_array($value)) {
        return $value;
    }
    $result = [];
    foreach ($value as $key => $inner) {
        $result[is_string($key) ? ltrim($key, '@') : $key] = prepared($inner);
    }
    return $result;
}

/** A client for a line. */
function client(array $call): SoapClient {
    $options = ['trace' => true, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS, 'keep_alive' => true, 'cache_wsdl' => $call['cache'] ?? WSDL_CACHE_NONE,
        'soap_version' => ($call['soap_version'] ?? '1.1') === '1.2' ? SOAP_1_2 : SOAP_1_1, 'connection_timeout' => 5];
    if (($call['auth_type'] ?? '') === 'basic') {
        $options += ['login' => $call['auth_user'], 'password' => $call['auth_token']];
    }
    return new SoapClient($call['base_url'], $options);
}

if (($argv[1] ?? '') === '--load') {
    $call = json_decode(fgets(STDIN), true);
    $client = client(['cache' => WSDL_CACHE_BOTH, 'trace' => false] + $call);
    $arguments = [prepared($call['payload'])];
    $client->__soapCall($call['operation'], $arguments);
    $usage = getrusage();
    $cpu = $usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec'] + ($usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec']) / 1e6;
    $began = microtime(true);
    for ($i = 0; $i < (int)$argv[2]; $i++) {
        $client->__soapCall($call['operation'], $arguments);
    }
    $took = microtime(true) - $began;
    $usage = getrusage();
    $cpu = $usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec'] + ($usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec']) / 1e6 - $cpu;
    echo json_encode(['calls_per_s' => (int)$argv[2] / $took, 'cpu_s_per_1000' => $cpu * 1000 / (int)$argv[2], 'failed' => 0]), "\n";
    exit;
}
while (($line = fgets(STDIN)) !== false) {
    $call = json_decode($line, true);
    try {
        $arguments = isset($call['rpc']) ? array_values(prepared($call['payload'])) : [prepared($call['payload'])];
        $result = client($call)->__soapCall($call['operation'], $arguments);
        $answer = ['body' => $result];
    } catch (SoapFault $fault) {
        $answer = ['fault' => [$fault->faultcode, $fault->faultstring]];
    }
    echo json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
}
