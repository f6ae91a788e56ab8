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
 * Access tokens of OAuth 2.0 client credentials (RFC 6749 section 4.4), kept encrypted in a cache until shortly before they
 * expire.
 *
 * @package    local_integrationhub
 * @copyright  2026 Moodle Integration Hub contributors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class oauth {
    /** Seconds before its end at which a token is fetched anew, unless a fifth of its life is less. */
    private const MARGIN = 60;

    /** Longest time that a token is kept, in seconds. */
    private const MAXLIFE = 86400;

    /** Life of a token whose life is not told, in seconds. */
    private const LIFE = 300;

    /** @var \stdClass */
    private $service;

    /** @var string client secret */
    private $secret;

    /** @var outcome|null why there is no token */
    private $failure = null;

    /**
     * Constructor.
     *
     * @param \stdClass $service
     * @throws refused_exception when a field is missing
     */
    public function __construct(\stdClass $service) {
        $this->service = $service;
        $this->secret = secrets::token($service);
        if ((string) $service->auth_user === '' || $this->secret === '') {
            throw new refused_exception('policy: OAuth 2.0 needs a client id (auth_user) and a client secret (auth_token)');
        }
        rest_url::require_base((string) $service->auth_url, 'the token endpoint (auth_url)');
    }

    /**
     * Sends a request, with a token where the service wants one; once more with a new one when it refuses that.
     *
     * @param \stdClass $service
     * @param http_request $request
     * @return outcome
     * @throws refused_exception when a field is missing
     */
    public static function send(\stdClass $service, http_request $request): outcome {
        if ($service->auth_type !== 'oauth2') {
            return http_client::send($request);
        }
        $oauth = new self($service);
        for ($again = false;; $again = true) {
            $token = $oauth->token($request->clientcert, $request->timeout);
            if ($token === null) {
                return $oauth->failure();
            }
            $request->add_header('Authorization', "Bearer $token");
            $outcome = http_client::send($request);
            if ($again || $outcome->kind !== outcome::HTTP || $outcome->status !== 401) {
                return $outcome;
            }
            $oauth->forget();
        }
    }

    /**
     * A token that is good now.
     *
     * @param string $clientcert PEM
     * @param float $timeout seconds
     * @return string|null null: failure() tells why
     */
    private function token(string $clientcert, float $timeout): ?string {
        $kept = self::cache()->get($this->key());
        if ($kept && $kept['until'] > time()) {
            return \core\encryption::decrypt($kept['token']);
        }
        $outcome = http_client::send($this->request($clientcert, $timeout));
        $answer = json_decode((string) $outcome->body, true);
        $token = is_array($answer) ? $answer['access_token'] ?? null : null;
        if ($outcome->kind !== outcome::HTTP || $outcome->status !== 200 || !is_string($token) || $token === '') {
            $this->failure = $this->explain($outcome);
            return null;
        }
        if (preg_match('~[^\x21-\x7e]~', $token)) {
            $fault = 'the token holds a byte that no header may hold';
            $this->failure = $this->explain(new outcome(outcome::BROKEN, 0, null, $fault));
            return null;
        }
        $told = $answer['expires_in'] ?? null;
        $life = is_numeric($told) ? max(0, (int) min($told, self::MAXLIFE)) : self::LIFE;
        $until = time() + $life - min(self::MARGIN, intdiv($life, 5));
        self::cache()->set($this->key(), ['until' => $until, 'token' => \core\encryption::encrypt($token)]);
        return $token;
    }

    /**
     * Why there is no token.
     *
     * @return outcome
     */
    private function failure(): outcome {
        return $this->failure;
    }

    /**
     * The service has refused the token.
     */
    private function forget(): void {
        self::cache()->delete($this->key());
    }

    /**
     * What a failed fetch means for the request that waits: trouble on the way is the same trouble, a 5xx a broken answer, and
     * a 4xx says that the client is not known.
     *
     * @param outcome $outcome
     * @return outcome
     */
    private function explain(outcome $outcome): outcome {
        $words = 'token endpoint ' . strtok($this->service->auth_url, '?') . ': ';
        if ($outcome->kind !== outcome::HTTP) {
            $outcome->error = $words . $outcome->error;
            return $outcome;
        }
        $refused = $outcome->status >= 400 && $outcome->status <= 499;
        $what = $outcome->error ?? 'the answer holds no access_token';
        return new outcome($refused ? outcome::HTTP : outcome::BROKEN, $refused ? 401 : 0, null, $words . $what);
    }

    /**
     * The request that fetches it.
     *
     * @param string $clientcert
     * @param float $timeout
     * @return http_request
     */
    private function request(string $clientcert, float $timeout): http_request {
        $request = new http_request('POST', $this->service->auth_url);
        $pair = urlencode($this->service->auth_user) . ':' . urlencode($this->secret);
        $request->add_header('Content-Type', 'application/x-www-form-urlencoded');
        $request->add_header('Accept', 'application/json');
        $request->add_header('Authorization', 'Basic ' . base64_encode($pair));
        $form = ['grant_type' => 'client_credentials'];
        if ((string) $this->service->auth_scope !== '') {
            $form['scope'] = $this->service->auth_scope;
        }
        $request->body = http_build_query($form, '', '&');
        $request->timeout = $timeout;
        $request->clientcert = $clientcert;
        return $request;
    }

    /**
     * One token for one client, however many services use it.
     *
     * @return string
     */
    private function key(): string {
        $parts = [$this->service->auth_url, $this->service->auth_user, $this->secret, (string) $this->service->auth_scope];
        // A token may be bound to the certificate that it was fetched with.
        $parts[] = secrets::open($this->service->client_cert ?? null, 'client certificate');
        return hash('sha256', json_encode($parts));
    }

    /**
     * The tokens of the site.
     *
     * @return \cache
     */
    private static function cache(): \cache {
        return \cache::make('local_integrationhub', 'oauth_tokens');
    }
}
