#include "dispatcher/soap_transport.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/timing.h"
#include "dispatcher/origin.h"
#include "dispatcher/signing.h"
#include "dispatcher/soap.h"
#include "dispatcher/url.h"

enum {
    MAX_IDLE_CALLS = 256,
    MAX_HEADER_TEXT = 4096,
    MAX_ANSWER_TEXT = 512 * 1024, /* of an answer as JSON */
    KEPT_BYTES = 16 * 1024,       /* of a call's buffers when it is idle */
    OVERDUE_MS = 10000,
};

enum state { STATE_WAITING, STATE_SENT, STATE_ENDED };

/* One delivery. Owned by soap; in `active` or `idle`. */
struct call {
    struct soap *soap;
    TAILQ_ENTRY(call) link;
    enum state state;
    const struct request *request; /* the caller's: JSON */
    transport_done *done;
    void *context;
    int64_t start_us;
    struct soap_waiter waiter;
    struct soap_model *model;
    const struct wsdl_operation *operation;
    struct request http;
    struct buf action; /* the header that names it; and behind its NUL the signature */
    struct buf answer; /* as JSON */
    struct event *timer;
    struct outcome outcome; /* of STATE_ENDED */
};

TAILQ_HEAD(calls, call);

struct soap {
    struct transport transport; /* first: a transport is a soap */
    struct event_base *base;
    struct transport *http;
    struct soap_store *store;
    char *origins;
    struct calls active; /* the oldest first */
    struct calls idle;
    size_t n_active, n_idle, n_ended;
    struct event *later; /* ended calls are answered from the loop */
};

static char xml_type[] = "Content-Type: text/xml; charset=utf-8";
static char accept_xml[] = "Accept: text/xml, application/soap+xml";

static struct soap *soap_of(struct transport *t)
{
    return (struct soap *)t;
}

/* The pool. */

static void free_call(struct call *call)
{
    request_release(&call->http);
    buf_release(&call->action);
    buf_release(&call->answer);
    if (call->timer) {
        event_free(call->timer);
    }
    free(call);
}

static struct call *take_call(struct soap *soap)
{
    struct call *call = TAILQ_FIRST(&soap->idle);
    if (call) {
        TAILQ_REMOVE(&soap->idle, call, link);
        soap->n_idle--;
        return call;
    }
    call = calloc(1, sizeof(*call));
    if (call) {
        call->soap = soap;
        request_init(&call->http);
        buf_init(&call->action, MAX_HEADER_TEXT);
        buf_init(&call->answer, MAX_ANSWER_TEXT);
    }
    return call;
}

static void keep_call(struct soap *soap, struct call *call)
{
    if (soap->n_idle == MAX_IDLE_CALLS) {
        free_call(call);
        return;
    }
    if (call->http.body.cap > KEPT_BYTES || call->http.body.secret) {
        buf_release(&call->http.body);
        buf_init(&call->http.body, REQUEST_MAX_BODY);
    }
    if (call->answer.cap > KEPT_BYTES) {
        buf_release(&call->answer);
    }
    request_reset(&call->http);
    buf_reset(&call->answer);
    call->operation = NULL;
    TAILQ_INSERT_HEAD(&soap->idle, call, link);
    soap->n_idle++;
}

/* Ends. */

/* The only place that answers. */
static void finish(struct call *call, const struct outcome *outcome, const char *body, size_t len)
{
    struct soap *soap = call->soap;
    struct outcome o = *outcome;
    TAILQ_REMOVE(&soap->active, call, link);
    soap->n_active--;
    soap->n_ended -= call->state == STATE_ENDED;
    if (call->timer) {
        event_del(call->timer);
    }
    soap_model_put(call->model);
    call->model = NULL;
    o.latency_us = timing_mono_us() - call->start_us;
    o.token_us += call->waiter.token_us;
    call->done(call->context, &o, body, len);
    keep_call(soap, call);
}

/* Answers those that ended now, not what done() may cause to end. */
static void answer_ended(evutil_socket_t fd, short what, void *context)
{
    struct soap *soap = context;
    struct call *call = TAILQ_FIRST(&soap->active);
    size_t n = soap->n_ended;
    (void)fd;
    (void)what;
    while (call && n > 0) {
        if (call->state != STATE_ENDED) {
            call = TAILQ_NEXT(call, link);
            continue;
        }
        struct outcome outcome = call->outcome;
        n--;
        finish(call, &outcome, "", 0);
        call = TAILQ_FIRST(&soap->active); /* what was next may be gone */
    }
}

/* To be answered from the loop. */
static void end(struct call *call, const struct outcome *outcome)
{
    call->outcome = *outcome;
    call->state = STATE_ENDED;
    call->soap->n_ended++;
    event_active(call->soap->later, 0, 0);
}

static void end_with(struct call *call, enum outcome_kind kind, const char *words)
{
    struct outcome o = {.kind = kind, .retry_after_s = -1};
    (void)snprintf(o.text, sizeof(o.text), "%.*s", (int)sizeof(o.text) - 1, words);
    end(call, &o);
}

static void refuse(struct call *call, const char *what)
{
    const struct request *r = call->request;
    char text[OUTCOME_TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "policy: SOAP: %.200s (rule %lld)", what,
                   r->rule ? (long long)r->rule->id : 0LL);
    end_with(call, OUTCOME_INVALID, text);
}

/* Answers. */

static bool is_success(const struct outcome *o)
{
    return o->status >= 200 && o->status < 300;
}

/* What is no SOAP message: an operation without an answer may send what it likes, and 202 and
 * 204 promise none. */
static bool needs_message(const struct call *call, const struct outcome *o)
{
    return is_success(o) && !call->operation->one_way && o->status != 202 && o->status != 204;
}

/* Reads the answer; true when call->answer holds it. */
static bool read_answer(struct call *call, struct outcome *o, const char *body, size_t len)
{
    struct soap_fault fault = {.text = ""};
    char reason[WSDL_REASON_SIZE] = "it is empty";
    int r = -EBADMSG;
    if (len > 0) {
        r = soap_read(call->model->wsdl, call->operation, body, len, &call->answer, &fault, reason,
                      sizeof(reason));
    }
    if (r == 1) {
        o->kind = fault.blame == SOAP_SENDER ? OUTCOME_FAULT_SENDER : OUTCOME_FAULT_RECEIVER;
        memcpy(o->text, fault.text, sizeof(fault.text));
    } else if (r == -ENOMEM) {
        o->kind = OUTCOME_LOCAL;
        (void)snprintf(o->text, sizeof(o->text), "no memory for the answer");
    } else if (r < 0 && needs_message(call, o)) {
        o->kind = OUTCOME_BROKEN;
        (void)snprintf(o->text, sizeof(o->text), "no SOAP message: %.200s", reason);
    }
    return r >= 0;
}

static void on_answer(void *context, const struct outcome *outcome, const char *body,
                      size_t body_len)
{
    struct call *call = context;
    struct outcome o = *outcome;
    if (o.kind == OUTCOME_HTTP && read_answer(call, &o, body, body_len)) {
        body = buf_text(&call->answer);
        body_len = call->answer.len;
    }
    finish(call, &o, body, body_len);
}

/* Sending. */

static const char *operation_name(const struct request *request)
{
    const char *hash = strchr(buf_text(&request->url), '#');
    return hash ? hash + 1 : "";
}

/* NULL, or why the message must not go where the WSDL says. */
static const char *address_fault(const struct call *call, char *reason, size_t size)
{
    const struct service *service = call->request->service;
    const char *address = call->operation->address;
    bool secret = service->auth != AUTH_NONE || service->soap_template || service->headers ||
                  service->cert || service->n_signing_keys > 0;
    bool file = strncasecmp(service->base_url, "file:", 5) == 0; /* the operator's own */
    if (url_check_base(address, reason, size) < 0) {
        return "the address that the WSDL gives is not valid";
    }
    if (secret && !file && !origin_same(service->base_url, address) &&
        !origin_listed(call->soap->origins, address)) {
        return "the WSDL gives an address of another origin, which would get the credentials: list"
               " it in [soap] allow_origins";
    }
    return NULL;
}

static bool replaces_content(const char *header)
{
    return strncasecmp(header, "Content-Type:", 13) == 0 || strncasecmp(header, "Accept:", 7) == 0;
}

/* Signs the message with the time that the request tells. */
static int sign(struct call *call)
{
    static const char name[] = "webhook-timestamp: ";
    const struct request *request = call->request;
    const struct service *service = request->service;
    struct signing_message m = {.id = request->webhook_id,
                                .timestamp = "",
                                .body = buf_text(&call->http.body),
                                .body_len = call->http.body.len};
    for (size_t i = 0; i < request->n_headers; i++) {
        if (strncmp(request->headers[i], name, sizeof(name) - 1) == 0) {
            m.timestamp = request->headers[i] + sizeof(name) - 1;
        }
    }
    buf_adds(&call->action, "webhook-signature: ");
    signing_add(&call->action, service->signing_keys, service->n_signing_keys, &m);
    return buf_error(&call->action);
}

/* The request's own headers, but for those that say what JSON it is. */
static int add_headers(struct call *call)
{
    struct request *http = &call->http;
    buf_reset(&call->action);
    soap_add_headers(call->operation, &call->action);
    buf_addc(&call->action, '\0');
    size_t signature = call->action.len;
    bool signs = call->request->service->n_signing_keys > 0;
    int r = signs ? sign(call) : buf_error(&call->action);
    if (r < 0) {
        return r;
    }
    if (signs) {
        http->headers[http->n_headers++] = call->action.data + signature;
    }
    if (!call->operation->soap12) {
        http->headers[http->n_headers++] = xml_type;
    }
    http->headers[http->n_headers++] = call->action.data;
    http->headers[http->n_headers++] = accept_xml;
    for (size_t i = 0; i < call->request->n_headers; i++) {
        if (!replaces_content(call->request->headers[i])) {
            if (http->n_headers == REQUEST_MAX_HEADERS) {
                return -EMSGSIZE;
            }
            http->headers[http->n_headers++] = call->request->headers[i];
        }
    }
    return 0;
}

static int write_message(struct call *call, char *reason, size_t size)
{
    const struct service *service = call->request->service;
    struct soap_token token = {.user = service->auth_user, .password = service->auth_token};
    bool secured = service->auth == AUTH_WSSE || service->auth == AUTH_WSSE_TEXT;
    struct soap_input input = {
        .wsdl = call->model->wsdl,
        .operation = call->operation,
        .headers = buf_text(&call->request->soap_headers),
        .headers_len = call->request->soap_headers.len,
        .token = secured ? &token : NULL,
    };
    input.payload = request_body(call->request, &input.payload_len);
    token.digest = service->auth == AUTH_WSSE;
    if (service->auth == AUTH_WSSE_TEXT) {
        buf_release(&call->http.body);
        buf_init_secret(&call->http.body, REQUEST_MAX_BODY);
    }
    token.now_s = timing_unix_s();
    if (secured && RAND_bytes(token.nonce, sizeof(token.nonce)) != 1) {
        return -ENOMEM;
    }
    return soap_write(&input, &call->http.body, reason, size);
}

/* Makes the message; 0 or how it ended. */
static int prepare(struct call *call, char *reason, size_t size)
{
    const struct request *request = call->request;
    struct request *http = &call->http;
    request_reset(http);
    http->service = request->service;
    memcpy(http->method, "POST", sizeof("POST"));
    http->max_answer = SOAP_MAX_ANSWER;
    call->operation = wsdl_operation(call->model->wsdl, operation_name(request),
                                     request->service->soap_version, reason, size);
    if (!call->operation) {
        return -EBADMSG;
    }
    const char *fault = address_fault(call, reason, size);
    if (fault) {
        (void)snprintf(reason, size, "%s", fault);
        return -EBADMSG;
    }
    buf_adds(&http->url, call->operation->address);
    int r = write_message(call, reason, size);
    r = r < 0 ? r : buf_error(&http->url);
    return r < 0 ? r : add_headers(call);
}

/* With its WSDL at hand. What goes wrong here is answered from the loop. */
static void start(struct call *call)
{
    char reason[WSDL_REASON_SIZE];
    int64_t left_ms = (call->waiter.deadline_us - timing_mono_us()) / 1000;
    int r = prepare(call, reason, sizeof(reason));
    if (r == -EBADMSG) {
        refuse(call, reason);
        return;
    }
    if (r == -EMSGSIZE) {
        refuse(call, "its headers or its address are too long");
        return;
    }
    if (left_ms < 1) {
        end_with(call, OUTCOME_TIMEOUT, "the WSDL came too late");
        return;
    }
    if (left_ms < call->request->service->timeout_ms - 1) {
        call->http.timeout_ms = left_ms;
    }
    call->state = STATE_SENT;
    if (r < 0 || call->soap->http->ops->send(call->soap->http, &call->http, on_answer, call) < 0) {
        end_with(call, OUTCOME_LOCAL, "the request could not be started");
    }
}

/* Waiting for the WSDL. */

static void on_ready(struct soap_waiter *waiter, const struct outcome *failure)
{
    struct call *call = waiter->owner;
    call->model = waiter->model;
    if (failure) {
        finish(call, failure, "", 0);
    } else {
        if (call->timer) {
            event_del(call->timer);
        }
        start(call);
    }
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
    struct call *call = context;
    struct outcome o = {.kind = OUTCOME_TIMEOUT, .retry_after_s = -1};
    (void)fd;
    (void)what;
    if (call->state != STATE_WAITING || !call->waiter.entry || call->waiter.fetches) {
        return; /* became the one who fetches: ends with that */
    }
    soap_store_leave(&call->waiter);
    (void)snprintf(o.text, sizeof(o.text), "the WSDL did not come in time");
    finish(call, &o, "", 0);
}

static int set_timer(struct call *call)
{
    int64_t ms = call->request->service->timeout_ms;
    struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    if (!call->timer) {
        call->timer = event_new(call->soap->base, -1, 0, on_time, call);
    }
    return call->timer && event_add(call->timer, &in) == 0 ? 0 : -ENOMEM;
}

static int wait(struct call *call)
{
    if (call->waiter.fetches) {
        return 0;
    }
    int r = set_timer(call);
    if (r < 0) {
        soap_store_leave(&call->waiter);
    }
    return r;
}

static int soap_send(struct transport *t, const struct request *request, transport_done *done,
                     void *context)
{
    struct soap *soap = soap_of(t);
    struct call *call = take_call(soap);
    struct outcome failure;
    if (!call) {
        return -ENOMEM;
    }
    call->request = request;
    call->done = done;
    call->context = context;
    call->start_us = timing_mono_us();
    call->state = STATE_WAITING;
    call->waiter = (struct soap_waiter){
        .ready = on_ready,
        .owner = call,
        .service = request->service,
        .deadline_us = call->start_us + request->service->timeout_ms * 1000,
    };
    int r = soap_store_take(soap->store, &call->waiter, &failure);
    call->model = r == 0 ? call->waiter.model : NULL;
    if (r == 1) {
        r = wait(call) < 0 ? -ENOMEM : 1;
    }
    if (r == -ENOMEM) {
        keep_call(soap, call);
        return r;
    }
    TAILQ_INSERT_TAIL(&soap->active, call, link);
    soap->n_active++;
    if (r == 0) {
        start(call);
    } else if (r < 0) {
        end(call, &failure);
    }
    return 0;
}

/* The rest of the transport. */

static size_t soap_open_count(const struct transport *t)
{
    return ((const struct soap *)t)->n_active;
}

/* What is sent, the HTTP transport watches over. */
static size_t soap_overdue_count(const struct transport *t)
{
    const struct soap *soap = (const struct soap *)t;
    int64_t now_us = timing_mono_us();
    const struct call *call = NULL;
    size_t n = 0;
    TAILQ_FOREACH(call, &soap->active, link)
    {
        n += call->state != STATE_SENT &&
             now_us > call->waiter.deadline_us + (int64_t)OVERDUE_MS * 1000;
    }
    return n;
}

/* The first call that can be cancelled here: what is sent, or fetches, ends with HTTP's. */
static struct call *next_to_cancel(const struct soap *soap)
{
    struct call *call = NULL;
    TAILQ_FOREACH(call, &soap->active, link)
    {
        if (call->state == STATE_ENDED || (call->state == STATE_WAITING && !call->waiter.fetches)) {
            return call;
        }
    }
    return NULL;
}

static void soap_cancel_all(struct transport *t)
{
    struct soap *soap = soap_of(t);
    for (size_t n = soap->n_active; n > 0; n--) {
        struct call *call = next_to_cancel(soap);
        struct outcome outcome = {.kind = OUTCOME_CANCELLED, .retry_after_s = -1};
        if (!call) {
            return;
        }
        if (call->waiter.entry) {
            soap_store_leave(&call->waiter);
        }
        (void)snprintf(outcome.text, sizeof(outcome.text), "given up at shutdown");
        finish(call, &outcome, "", 0);
    }
}

static void soap_free(struct transport *t)
{
    struct soap *soap = soap_of(t);
    soap_cancel_all(t);
    while (!TAILQ_EMPTY(&soap->idle)) {
        struct call *call = TAILQ_FIRST(&soap->idle);
        TAILQ_REMOVE(&soap->idle, call, link);
        free_call(call);
    }
    soap_store_free(soap->store);
    if (soap->later) {
        event_free(soap->later);
    }
    free(soap->origins);
    free(soap);
}

static const struct transport_ops soap_ops = {
    .name = "soap",
    .send = soap_send,
    .open_count = soap_open_count,
    .overdue_count = soap_overdue_count,
    .cancel_all = soap_cancel_all,
    .free = soap_free,
};

int soap_transport_new(struct event_base *base, struct transport *http,
                       const struct soap_settings *settings, struct transport **ret_transport)
{
    struct soap *soap = calloc(1, sizeof(*soap));
    if (!soap) {
        return -ENOMEM;
    }
    soap->transport.ops = &soap_ops;
    soap->base = base;
    soap->http = http;
    TAILQ_INIT(&soap->active);
    TAILQ_INIT(&soap->idle);
    soap->origins = strdup(settings->allow_origins);
    soap->later = event_new(base, -1, 0, answer_ended, soap);
    soap->store = soap_store_new(http, settings);
    if (!soap->origins || !soap->later || !soap->store) {
        soap_free(&soap->transport);
        return -ENOMEM;
    }
    *ret_transport = &soap->transport;
    return 0;
}
