/*
 * HTTP requests over one curl multi handle per process.
 *
 * Easy handles are pooled with everything set that never changes; a request sets only its URL,
 * method, body and time-outs, and its header list is made of nodes that live in the call.
 * Connections are kept alive and shared by all services: credentials are headers of the request.
 * What a connection carries is the client certificate, and curl gives one that was opened with a
 * certificate only to a request with the same.
 *
 * HTTP/2 where a TLS server offers it, and one request at a time on each connection all the same:
 * so a broken connection is one failed delivery, and not as many as there were streams, which
 * would open the service's breaker at once. When a kept-alive connection turns out to be dead
 * before a byte of the answer came, curl sends the request again on a new one; the webhook-id makes
 * that harmless.
 *
 * The network guard is asked about each address that is connected to, and about the address of a
 * kept connection before each request. What it refuses is a fault of the configuration, never of
 * the service.
 *
 * A forward proxy is used when the settings name one, whatever the environment says. Of a
 * connection through it the guard sees the proxy's address, so it must be told that the proxy
 * guards.
 *
 * Never: redirects, a proxy from the environment, other schemes, compressed answers,
 * credentials from .netrc, certificates that are not valid.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/netguard.h"
#include "common/secret.h"
#include "common/timing.h"
#include "dispatcher/clientcert.h"
#include "dispatcher/rest_impl.h"
#include "dispatcher/resttrouble.h"
#include "dispatcher/url.h"

enum {
    MAX_HEADER_BYTES = 64 * 1024, /* of an answer */
    MAX_LINES_BYTES = 64 * 1024,  /* of a request's headers */
    MAX_CONNECTIONS = 1024,       /* kept alive at the same time */
    MAX_IDLE_CALLS = 256,         /* easy handles kept for later */
    OVERDUE_MS = 10000,     /* beyond the time-out: curl should have ended the call long since */
    KEPT_BODY_BYTES = 4096, /* of a call's buffer when it is idle */
    MAX_CONNECTION_AGE_S = 300,
    READ_BYTES = 1024, /* answers are small, and curl takes this buffer anew for every transfer:
                          this size the allocator has ready, the default of 16 KiB it has not */
};

static struct rest *rest_of(struct transport *t)
{
    return (struct rest *)t;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct call *call = context;
    (void)line;
    call->header_bytes += size * count;
    if (call->header_bytes > MAX_HEADER_BYTES) {
        call->header_too_large = true;
        return 0;
    }
    return size * count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct call *call = context;
    size_t len = size * count;
    if (call->body.len + len > call->max_body) {
        call->body_too_large = true;
        return 0;
    }
    buf_add(&call->body, bytes, len);
    return buf_error(&call->body) == 0 ? len : 0;
}

/* curl_easy_setopt() fails only when memory is out or the option unknown: one test for all. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(easy, option, value);                                          \
    } while (0)

static CURLcode set_safety(CURL *easy, const struct rest *rest)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* not even http_proxy of the environment; see rest_route() */
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (rest->ca_file != NULL)
        SET(CURLOPT_CAINFO, rest->ca_file);
    if (rest->ca_file != NULL && rest->proxy != NULL)
        SET(CURLOPT_PROXY_CAINFO, rest->ca_file);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else a stuck name look-up freezes the loop */
    return code;
}

static CURLcode set_manner(CURL *easy)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_BUFFERSIZE, (long)READ_BYTES);
    SET(CURLOPT_MAXLIFETIME_CONN, (long)MAX_CONNECTION_AGE_S);
    SET(CURLOPT_PATH_AS_IS, 1L);
    return code;
}

static CURLcode set_callbacks(CURL *easy, struct call *call)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_ERRORBUFFER, call->words);
    SET(CURLOPT_HTTPHEADER, call->nodes);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    return code;
}

static void free_call(struct call *call)
{
    curl_easy_cleanup(call->easy);
    buf_release(&call->lines);
    buf_release(&call->body);
    free(call);
}

static struct call *new_call(struct rest *rest)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->rest = rest;
    call->sockets.guard = rest->guard;
    buf_init_secret(&call->lines, MAX_LINES_BYTES);
    buf_init(&call->body, rest->max_body);
    call->easy = curl_easy_init();
    if (call->easy == NULL || set_safety(call->easy, rest) != CURLE_OK ||
        set_manner(call->easy) != CURLE_OK || set_callbacks(call->easy, call) != CURLE_OK ||
        watcher_adopt(rest->watcher, call->easy, &call->sockets) != CURLE_OK) {
        free_call(call);
        return NULL;
    }
    return call;
}

struct call *rest_take(struct rest *rest)
{
    struct call *call = TAILQ_FIRST(&rest->idle);
    if (call == NULL)
        return new_call(rest);
    TAILQ_REMOVE(&rest->idle, call, link);
    rest->n_idle--;
    return call;
}

/* NULL takes it out of the handle, which would else keep a pointer to it. */
static CURLcode set_cert(struct call *call, const struct clientcert *cert)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    struct curl_blob chain = {.flags = CURL_BLOB_NOCOPY};
    struct curl_blob key = {.flags = CURL_BLOB_NOCOPY};
    if (cert != NULL) {
        chain.data = cert->chain;
        chain.len = cert->chain_len;
        key.data = cert->key;
        key.len = cert->key_len;
    }
    call->has_cert = cert != NULL;
    SET(CURLOPT_SSLCERT_BLOB, cert != NULL ? &chain : NULL);
    SET(CURLOPT_SSLKEY_BLOB, cert != NULL ? &key : NULL);
    return code;
}

void rest_reset(struct call *call)
{
    if (call->body.cap > KEPT_BODY_BYTES)
        buf_release(&call->body);
    else
        buf_reset(&call->body);
    call->header_bytes = 0;
    call->header_too_large = call->body_too_large = false;
    watcher_sockets_reset(&call->sockets);
    call->words[0] = '\0';
}

void rest_keep(struct call *call)
{
    struct rest *rest = call->rest;
    if (call->gets != NULL)
        secret_wipe(call->body.data, call->body.cap);
    call->gets = NULL;
    if (call->has_cert)
        (void)set_cert(call, NULL);
    if (call->token != NULL) {
        oauth_put(call->token);
        call->token = NULL;
        call->renewed = call->fails = false;
        call->began_us = call->token_us = 0;
    }
    rest_reset(call);
    TAILQ_INSERT_HEAD(&rest->idle, call, link);
    rest->n_idle++;
}

static void free_idle(struct rest *rest, size_t left)
{
    while (rest->n_idle > left) {
        struct call *call = TAILQ_LAST(&rest->idle, call_list);
        TAILQ_REMOVE(&rest->idle, call, link);
        rest->n_idle--;
        free_call(call);
    }
}

static bool known_method(const char *m)
{
    return strcmp(m, "POST") == 0 || strcmp(m, "PUT") == 0 || strcmp(m, "PATCH") == 0 ||
           strcmp(m, "DELETE") == 0 || strcmp(m, "GET") == 0;
}

static CURLcode set_method(struct call *call, const char *method)
{
    CURL *easy = call->easy;
    bool plain = strcmp(method, "POST") == 0 || strcmp(method, "GET") == 0;
    CURLcode code = CURLE_OK;
    if (strcmp(call->method, method) == 0)
        return CURLE_OK;
    SET(CURLOPT_CUSTOMREQUEST, plain ? NULL : method);
    if (code == CURLE_OK)
        memccpy(call->method, method, '\0', sizeof call->method);
    return code;
}

static CURLcode set_body(struct call *call, const struct request *request)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    size_t len;
    const char *body = request_body(request, &len);
    if (strcmp(request->method, "GET") == 0)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    SET(CURLOPT_POSTFIELDS, len > 0 ? body : ""); /* not copied; NULL would mean: ask me */
    return code;
}

int64_t rest_timeout_us(const struct call *call)
{
    const struct request *request = call->request;
    return 1000 * (request->timeout_ms > 0 ? request->timeout_ms : request->service->timeout_ms);
}

/* What is left of it. */
static long left_ms(const struct call *call)
{
    int64_t left_us = rest_timeout_us(call);
    if (call->began_us != 0)
        left_us -= call->start_us - call->began_us;
    return left_us > 1000 ? (long)(left_us / 1000) : 1;
}

static CURLcode set_timeouts(struct call *call, long timeout_ms)
{
    CURL *easy = call->easy;
    long connect_ms = call->rest->connect_timeout_ms;
    CURLcode code = CURLE_OK;
    if (call->timeout_ms == timeout_ms)
        return CURLE_OK;
    SET(CURLOPT_TIMEOUT_MS, timeout_ms);
    /* One timer less where the whole request has no more time than the connection. */
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms < timeout_ms ? connect_ms : 0L);
    if (code == CURLE_OK)
        call->timeout_ms = timeout_ms;
    return code;
}

static CURLcode set_limit(struct call *call, size_t max_answer)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    call->max_body = max_answer > 0 ? max_answer : call->rest->max_body;
    call->body.max = call->max_body;
    if (call->max_file == (curl_off_t)call->max_body)
        return CURLE_OK;
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->max_body);
    call->max_file = (curl_off_t)call->max_body;
    return code;
}

/* curl copies what is taken apart already when the transfer begins; until then the rule lives.
 * A GET has its query behind the rule's URL. */
static CURLcode set_url(struct call *call, const struct request *request)
{
    CURL *easy = call->easy;
    struct Curl_URL *url = request->rule != NULL ? request->rule->url : NULL;
    CURLcode code = CURLE_OK;
    if (strcmp(request->method, "GET") == 0)
        url = NULL;
    SET(CURLOPT_CURLU, url);
    if (url == NULL)
        SET(CURLOPT_URL, buf_text(&request->url));
    return code;
}

static CURLcode prepare(struct call *call, const struct request *request)
{
    CURLcode code = set_url(call, request);
    if (code == CURLE_OK)
        code = set_body(call, request);
    if (code == CURLE_OK)
        code = set_method(call, request->method);
    if (code == CURLE_OK)
        code = set_timeouts(call, left_ms(call));
    if (code == CURLE_OK)
        code = set_limit(call, request->max_answer);
    if (code == CURLE_OK && request->service->cert != NULL)
        code = set_cert(call, request->service->cert);
    if (code == CURLE_OK && rest_set_headers(call, request) < 0)
        code = CURLE_OUT_OF_MEMORY;
    return code;
}

int rest_start(struct call *call)
{
    struct rest *rest = call->rest;
    int routed = rest->proxy != NULL ? rest_route(call) : 0;
    if (routed != 0)
        return routed < 0 ? routed : 0;
    call->start_us = timing_mono_us();
    call->still_us = stillness_total_us(&call->rest->stillness, call->start_us);
    if (prepare(call, call->request) != CURLE_OK ||
        curl_multi_add_handle(rest->multi, call->easy) != CURLM_OK)
        return -ENOMEM;
    TAILQ_INSERT_TAIL(&rest->active, call, link);
    rest->n_active++;
    return 0;
}

static int rest_send(struct transport *t, const struct request *request, transport_done *done,
                     void *context)
{
    struct rest *rest = rest_of(t);
    if (!known_method(request->method))
        return -EINVAL;
    struct call *call = rest_take(rest);
    if (call == NULL)
        return -ENOMEM;
    call->request = request;
    call->done = done;
    call->context = context;
    int r = request->service->auth == AUTH_OAUTH2 ? rest_start_authorized(call) : rest_start(call);
    if (r < 0)
        rest_keep(call);
    return r;
}

static void note_answer(struct call *call, struct outcome *o)
{
    struct curl_header *header;
    char *location = NULL;
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    o->kind = OUTCOME_HTTP;
    o->status = (int)status;
    if (status < 300)
        return;
    if (curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        o->retry_after_s = verdict_retry_after(header->value, timing_unix_s());
    curl_easy_getinfo(call->easy, CURLINFO_REDIRECT_URL, &location);
    if (location != NULL)
        resttrouble_location(location, o->text, sizeof o->text);
}

/* Whether the guard is why the transfer failed: it may have refused one address of a name, and
 * another one was tried. */
static bool is_refused(const struct call *call, CURLcode code)
{
    return call->sockets.refused != NULL &&
           (code == CURLE_ABORTED_BY_CALLBACK || call->sockets.opened == 0);
}

static void explain_refusal(const struct call *call, char *ret_text, size_t size)
{
    char host[128];
    url_host(buf_text(&call->request->url), host, sizeof host);
    netguard_explain(call->sockets.refused, host, call->sockets.address, ret_text, size);
}

static void note_trouble(struct call *call, CURLcode code, struct outcome *o)
{
    struct resttrouble trouble = {
        .code = code,
        .words = call->words,
        .local_errno = call->sockets.error,
        .stood_still = stillness_excuses(&call->rest->stillness, call->still_us, call->timeout_ms,
                                         timing_mono_us()),
        .header_too_large = call->header_too_large,
        .body_too_large = call->body_too_large,
    };
    curl_off_t first_byte_us = 0;
    char refusal[OUTCOME_TEXT_SIZE];
    if (is_refused(call, code)) {
        explain_refusal(call, refusal, sizeof refusal);
        trouble.refusal = refusal;
    }
    if (call->rest->proxy != NULL && trouble.refusal == NULL && rest_note_proxy(call, o))
        return;
    curl_easy_getinfo(call->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us);
    trouble.answer_began = first_byte_us > 0;
    resttrouble_explain(&trouble, o);
}

/* The only place that answers. The call is back in the pool only afterwards: done() may send. */
void rest_end(struct call *call, struct outcome *o)
{
    struct rest *rest = call->rest;
    curl_multi_remove_handle(rest->multi, call->easy);
    TAILQ_REMOVE(&rest->active, call, link);
    rest->n_active--;
    o->latency_us = timing_mono_us() - (call->began_us != 0 ? call->began_us : call->start_us);
    o->token_us = call->token_us;
    rest_mask_token(call, o);
    call->done(call->context, o, buf_text(&call->body), call->body.len);
    rest_keep(call);
}

void rest_answer_parked(struct call *call, struct outcome *o)
{
    call->done(call->context, o, "", 0);
    rest_keep(call);
}

static void on_worked(void *context)
{
    struct rest *rest = context;
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(rest->multi, &left)) != NULL) {
        struct outcome outcome = {.retry_after_s = -1};
        CURLcode code = message->data.result;
        struct call *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (code == CURLE_OK)
            note_answer(call, &outcome);
        else
            note_trouble(call, code, &outcome);
        if (call->token != NULL && outcome.status == 401 && rest_renew(call))
            continue;
        rest_end(call, &outcome);
    }
    free_idle(rest, MAX_IDLE_CALLS);
}

static size_t rest_open_count(const struct transport *t)
{
    const struct rest *rest = (const struct rest *)t;
    return rest->n_active + rest->n_parked;
}

static size_t rest_overdue_count(const struct transport *t)
{
    const struct rest *rest = (const struct rest *)t;
    int64_t now_us = timing_mono_us();
    const struct call *call;
    size_t n = 0;
    TAILQ_FOREACH(call, &rest->active, link)
    n += now_us - call->start_us > (int64_t)(call->timeout_ms + OVERDUE_MS) * 1000;
    return n;
}

/* Answers what is under way now, not what done() may send meanwhile. Who waits for a token is
 * answered with its fetch, which is a call of ours. */
static void rest_cancel_all(struct transport *t)
{
    struct rest *rest = rest_of(t);
    rest_answer_refused(rest, &(struct outcome){.kind = OUTCOME_CANCELLED, .retry_after_s = -1});
    for (size_t n = rest->n_active; n > 0 && rest->n_active > 0; n--) {
        struct outcome outcome = {.kind = OUTCOME_CANCELLED, .retry_after_s = -1};
        memccpy(outcome.text, "given up at shutdown", '\0', sizeof outcome.text);
        rest_end(TAILQ_FIRST(&rest->active), &outcome);
    }
}

static void rest_free(struct transport *t)
{
    struct rest *rest = rest_of(t);
    if (rest->multi != NULL)
        rest_cancel_all(t);
    if (event_initialized(&rest->patience)) {
        event_del(&rest->refuse);
        event_del(&rest->patience);
    }
    stillness_stop(&rest->stillness);
    free_idle(rest, 0);
    curl_multi_cleanup(rest->multi);
    watcher_free(rest->watcher);
    free(rest->user_agent);
    free(rest->ca_file);
    secret_free(rest->proxy);
    free(rest->no_proxy);
    oauth_free(rest->oauth);
    free(rest);
    curl_global_cleanup();
}

static const struct transport_ops rest_ops = {
    .name = "rest",
    .send = rest_send,
    .open_count = rest_open_count,
    .overdue_count = rest_overdue_count,
    .cancel_all = rest_cancel_all,
    .free = rest_free,
};

static int open_multi(struct rest *rest, struct event_base *base)
{
    rest->multi = curl_multi_init();
    if (rest->multi == NULL ||
        curl_multi_setopt(rest->multi, CURLMOPT_MAXCONNECTS, (long)MAX_CONNECTIONS) != CURLM_OK ||
        curl_multi_setopt(rest->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) != CURLM_OK ||
        event_assign(&rest->refuse, base, -1, 0, rest_on_refuse, rest) != 0 ||
        event_assign(&rest->patience, base, -1, 0, rest_on_patience, rest) != 0 ||
        stillness_start(&rest->stillness, base, timing_mono_us()) != 0)
        return -ENOMEM;
    return watcher_new(base, rest->multi, on_worked, rest, &rest->watcher);
}

/* A copy, or NULL for "" and NULL; false when memory is out. */
static bool copy(const char *text, char **ret_copy)
{
    bool is_empty = text == NULL || *text == '\0';
    *ret_copy = is_empty ? NULL : strdup(text);
    return is_empty || *ret_copy != NULL;
}

static bool copy_settings(struct rest *rest, const struct transport_settings *settings)
{
    rest->max_body = settings->max_response_bytes;
    rest->connect_timeout_ms = settings->connect_timeout_ms;
    rest->guard = settings->guard;
    rest->no_proxy = strdup(settings->no_proxy != NULL ? settings->no_proxy : "");
    if (asprintf(&rest->user_agent, "User-Agent: %s", settings->user_agent) < 0)
        rest->user_agent = NULL;
    return rest->user_agent != NULL && rest->no_proxy != NULL &&
           copy(settings->ca_file, &rest->ca_file) && copy(settings->proxy, &rest->proxy);
}

int rest_transport_new(struct event_base *base, const struct transport_settings *settings,
                       struct transport **ret_transport)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    struct rest *rest = calloc(1, sizeof *rest);
    if (rest == NULL) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    rest->transport.ops = &rest_ops;
    TAILQ_INIT(&rest->active);
    TAILQ_INIT(&rest->idle);
    TAILQ_INIT(&rest->waiting);
    TAILQ_INIT(&rest->refused);
    TAILQ_INIT(&rest->fetches);
    rest->oauth = oauth_new();
    if (!copy_settings(rest, settings) || rest->oauth == NULL || open_multi(rest, base) != 0) {
        rest_free(&rest->transport);
        return -ENOMEM;
    }
    *ret_transport = &rest->transport;
    return 0;
}
