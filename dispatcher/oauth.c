#include "dispatcher/oauth.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "common/jsonview.h"
#include "common/secret.h"
#include "dispatcher/clientcert.h"
#include "dispatcher/query.h"
#include "dispatcher/url.h"

enum {
    MAX_TOKEN = 16 * 1024,
    MAX_DEPTH = 8,
    DEFAULT_LIFE_S = 300, /* RFC 6749 leaves it open */
    MAX_LIFE_S = 24 * 3600,
    MARGIN_MS = 60 * 1000,
    PAUSE_MS = 5000, /* between fetches that are of no use */
};

static char form_type[] = "Content-Type: application/x-www-form-urlencoded";
static char no_name[] = "";
static char accept_json[] = "Accept: application/json";

/* In the list of its oauth, the last used first. */
struct oauth_token {
    TAILQ_ENTRY(oauth_token) link;
    size_t users;
    char *url;
    char *client;
    char *secret;
    char *scope;
    char *chain;  /* of the client certificate: a token may be bound to it; NULL: none */
    char *header; /* "Authorization: Bearer ..."; NULL: none yet, or refused */
    uint64_t number;
    int64_t renew_ms;
    int64_t expires_ms;
    int64_t pause_ms;       /* until then no fetch */
    bool was_refused;       /* the one before */
    bool is_fetched;        /* a fetch is under way */
    bool has_failed;        /* the last one has */
    struct outcome failure; /* then */
    struct service service; /* stands in for the real one in the fetch: no authentication */
    struct request request;
};

TAILQ_HEAD(token_list, oauth_token);

struct oauth {
    struct token_list tokens;
    size_t n;
};

struct oauth *oauth_new(void)
{
    struct oauth *o = calloc(1, sizeof(*o));
    if (o) {
        TAILQ_INIT(&o->tokens);
    }
    return o;
}

static void end_fetch(struct oauth_token *t)
{
    struct request *r = &t->request;
    t->is_fetched = false;
    request_release(r);
    clientcert_put(t->service.cert);
    t->service.cert = NULL;
}

static void token_free(struct oauth_token *t)
{
    end_fetch(t);
    secret_free(t->header);
    secret_free(t->secret);
    free(t->url);
    free(t->client);
    free(t->scope);
    free(t->chain);
    free(t);
}

void oauth_free(struct oauth *o)
{
    struct oauth_token *t;
    while (o && (t = TAILQ_FIRST(&o->tokens)) != NULL) {
        TAILQ_REMOVE(&o->tokens, t, link);
        token_free(t);
    }
    free(o);
}

static struct oauth_token *token_new(const struct service *s)
{
    struct oauth_token *t = calloc(1, sizeof(*t));
    if (!t) {
        return NULL;
    }
    request_init(&t->request);
    t->url = strdup(s->auth_url);
    t->client = strdup(s->auth_user);
    t->secret = strdup(s->auth_token);
    t->scope = strdup(s->auth_scope);
    t->chain = s->cert ? strndup(s->cert->chain, s->cert->chain_len) : NULL;
    if (!t->url || !t->client || !t->secret || !t->scope || (s->cert && !t->chain)) {
        token_free(t);
        return NULL;
    }
    return t;
}

static bool is_of(const struct oauth_token *t, const struct service *s)
{
    const char *chain = t->chain ? t->chain : "";
    size_t len = s->cert ? s->cert->chain_len : 0;
    if (strlen(chain) != len || (len > 0 && memcmp(chain, s->cert->chain, len) != 0)) {
        return false;
    }
    return strcmp(t->client, s->auth_user) == 0 && strcmp(t->secret, s->auth_token) == 0 &&
           strcmp(t->url, s->auth_url) == 0 && strcmp(t->scope, s->auth_scope) == 0;
}

/* The oldest that nobody uses, when there are too many. */
static void make_room(struct oauth *o)
{
    struct oauth_token *t = TAILQ_LAST(&o->tokens, token_list);
    while (t && o->n >= OAUTH_MAX_TOKENS) {
        struct oauth_token *newer = TAILQ_PREV(t, token_list, link);
        if (t->users == 0 && !t->is_fetched) {
            TAILQ_REMOVE(&o->tokens, t, link);
            token_free(t);
            o->n--;
        }
        t = newer;
    }
}

struct oauth_token *oauth_get(struct oauth *o, const struct service *service)
{
    struct oauth_token *t = TAILQ_FIRST(&o->tokens);
    while (t && !is_of(t, service)) {
        t = TAILQ_NEXT(t, link);
    }
    if (t) {
        TAILQ_REMOVE(&o->tokens, t, link);
    } else {
        make_room(o);
        t = token_new(service);
        o->n += t != NULL;
    }
    if (t) {
        TAILQ_INSERT_HEAD(&o->tokens, t, link);
        t->users++;
    }
    return t;
}

void oauth_put(struct oauth_token *t)
{
    t->users--;
}

static bool is_good(const struct oauth_token *t, int64_t now_ms)
{
    return t->header && now_ms < t->expires_ms;
}

enum oauth_answer oauth_ask(const struct oauth_token *t, int64_t now_ms)
{
    if (t->header && now_ms < t->renew_ms) {
        return OAUTH_READY;
    }
    if (t->is_fetched) {
        return is_good(t, now_ms) ? OAUTH_READY : OAUTH_WAIT;
    }
    if (t->has_failed && now_ms < t->pause_ms) {
        return is_good(t, now_ms) ? OAUTH_READY : OAUTH_PAUSE;
    }
    return OAUTH_FETCH;
}

/* RFC 6749 section 2.3.1: both are encoded as in a form before they become a pair. */
static void add_basic(struct buf *out, const char *client, const char *secret)
{
    struct buf pair;
    buf_init_secret(&pair, MAX_TOKEN);
    query_add_text(&pair, client, strlen(client));
    buf_addc(&pair, ':');
    query_add_text(&pair, secret, strlen(secret));
    size_t size = sodium_base64_ENCODED_LEN(pair.len, sodium_base64_VARIANT_ORIGINAL);
    char *code = buf_error(&pair) == 0 ? malloc(size) : NULL;
    if (code) {
        sodium_bin2base64(code, size, (const unsigned char *)buf_text(&pair), pair.len,
                          sodium_base64_VARIANT_ORIGINAL);
        buf_adds(out, "Authorization: Basic ");
        buf_adds(out, code);
    } else {
        out->error = out->error != 0 ? out->error : -ENOMEM;
    }
    secret_free(code);
    buf_release(&pair);
}

const struct request *oauth_request(struct oauth_token *t, const struct service *service)
{
    struct request *r = &t->request;
    request_release(r);
    buf_init_secret(&r->header_text, r->header_text.max);
    t->service = (struct service){.id = service->id,
                                  .name = no_name,
                                  .timeout_ms = SERVICE_MAX_TIMEOUT_S * INT64_C(1000),
                                  .cert = clientcert_ref(service->cert)};
    t->is_fetched = true;
    r->service = &t->service;
    memcpy(r->method, "POST", sizeof("POST"));
    buf_adds(&r->url, t->url);
    buf_adds(&r->body, "grant_type=client_credentials");
    if (*t->scope) {
        buf_adds(&r->body, "&scope=");
        query_add_text(&r->body, t->scope, strlen(t->scope));
    }
    add_basic(&r->header_text, t->client, t->secret);
    if (buf_error(&r->url) < 0 || buf_error(&r->body) < 0 || buf_error(&r->header_text) < 0) {
        end_fetch(t);
        return NULL;
    }
    r->headers[r->n_headers++] = form_type;
    r->headers[r->n_headers++] = accept_json;
    r->headers[r->n_headers++] = r->header_text.data;
    return r;
}

void oauth_not_sent(struct oauth_token *t)
{
    end_fetch(t);
}

/* The text of a member, or NULL; in out. */
static const char *text_of(const struct jsonview *v, const char *key, struct buf *out)
{
    const struct jsonview_node *node = jsonview_member(v, jsonview_root(v), key);
    if (!node || node->type != JSONVIEW_STRING) {
        return NULL;
    }
    jsonview_decode(v, node, out);
    return buf_error(out) == 0 && strlen(buf_text(out)) == out->len ? buf_text(out) : NULL;
}

/* Seconds; some endpoints send them as text. */
static int64_t life_of(const struct jsonview *v)
{
    const struct jsonview_node *node = jsonview_member(v, jsonview_root(v), "expires_in");
    if (!node || (node->type != JSONVIEW_NUMBER && node->type != JSONVIEW_STRING)) {
        return DEFAULT_LIFE_S;
    }
    int64_t life = strtoll(jsonview_bytes(v, node), NULL, 10);
    if (life < 1) {
        return 1;
    }
    return life > MAX_LIFE_S ? MAX_LIFE_S : life;
}

/* RFC 6750 section 2.1, less strictly: what can stand in a header. */
static bool is_sendable(const char *token)
{
    for (const char *c = token; *c; c++) {
        if (*c <= 0x20 || *c > 0x7e) {
            return false;
        }
    }
    return *token != '\0';
}

static bool is_bearer(const struct jsonview *v)
{
    struct buf type;
    buf_init(&type, MAX_TOKEN);
    const char *text = text_of(v, "token_type", &type);
    bool good = !text || strcasecmp(text, "bearer") == 0;
    buf_release(&type);
    return good;
}

/* NULL and the token is there, or what is wrong with the answer. */
static const char *take_token(struct oauth_token *t, const struct jsonview *v, int64_t now_ms)
{
    struct buf token;
    char *header = NULL;
    buf_init_secret(&token, MAX_TOKEN);
    const char *text = text_of(v, "access_token", &token);
    const char *fault = NULL;
    if (!text || !is_sendable(text)) {
        fault = "no access token in the answer";
    } else if (!is_bearer(v)) {
        fault = "its token is no bearer token";
    } else if (asprintf(&header, "Authorization: Bearer %s", text) < 0) {
        fault = "out of memory";
        header = NULL;
    }
    buf_release(&token);
    if (header) {
        int64_t life_ms = life_of(v) * 1000;
        secret_free(t->header);
        t->header = header;
        t->number++;
        t->expires_ms = now_ms + life_ms;
        t->renew_ms = t->expires_ms - (life_ms / 5 < MARGIN_MS ? life_ms / 5 : MARGIN_MS);
    }
    return fault;
}

static const char *read_token(struct oauth_token *t, const char *body, size_t len, int64_t now_ms)
{
    struct jsonview v = {0};
    char reason[80];
    const char *fault = "its answer is no JSON object";
    if (jsonview_parse(&v, body, len, MAX_DEPTH, reason, sizeof(reason)) == 0 &&
        jsonview_root(&v)->type == JSONVIEW_OBJECT) {
        fault = take_token(t, &v, now_ms);
    }
    jsonview_release(&v);
    return fault;
}

/* The code of RFC 6749 section 5.2 ("invalid_client"), with a space before it; "" without one. */
static void error_code(const char *body, size_t len, char *ret_text, size_t size)
{
    struct jsonview v = {0};
    struct buf code;
    char reason[80];
    const char *text = NULL;
    buf_init(&code, size);
    if (jsonview_parse(&v, body, len, MAX_DEPTH, reason, sizeof(reason)) == 0) {
        text = text_of(&v, "error", &code);
    }
    if (!text || text[strspn(text, "abcdefghijklmnopqrstuvwxyz_")] != '\0') {
        text = "";
    }
    (void)snprintf(ret_text, size, "%s%s", *text ? " " : "", text);
    buf_release(&code);
    jsonview_release(&v);
}

static void say(struct outcome *o, const struct oauth_token *t, const char *what)
{
    char host[72];
    bool is_policy = strncmp(what, "policy: ", 8) == 0;
    url_host(t->url, host, sizeof(host));
    (void)snprintf(o->text, sizeof(o->text), "%stoken endpoint %s%s%.155s",
                   is_policy ? "policy: " : "", host, *what ? ": " : "",
                   is_policy ? what + 8 : what);
}

static void explain_status(const struct oauth_token *t, const struct outcome *o, const char *body,
                           size_t len, struct outcome *ret_failure)
{
    char code[60];
    char what[OUTCOME_TEXT_SIZE];
    bool says_later = o->status == 408 || o->status == 425;
    error_code(body, len, code, sizeof(code));
    (void)snprintf(what, sizeof(what), "HTTP %d%s", o->status, code);
    if (o->status >= 300 && o->status <= 399) {
        ret_failure->kind = OUTCOME_INVALID;
        ret_failure->status = 0;
        (void)snprintf(what, sizeof(what), "policy: HTTP %d, never followed, leads to %.150s",
                       o->status, o->text);
    } else if (o->status == 429 || o->status == 503) {
        ret_failure->retry_after_s = o->retry_after_s;
    } else if (o->status >= 400 && o->status <= 499 && !says_later) {
        ret_failure->status = 401;
    } else {
        ret_failure->kind = OUTCOME_BROKEN;
        ret_failure->status = 0;
    }
    say(ret_failure, t, what);
}

/* Reads what came. True: the token is good. */
static bool read_answer(struct oauth_token *t, const struct outcome *outcome, const char *body,
                        size_t body_len, int64_t now_ms, struct outcome *ret_failure)
{
    const char *fault = NULL;
    if (outcome->kind != OUTCOME_HTTP) {
        say(ret_failure, t, outcome->text);
    } else if (outcome->status < 200 || outcome->status > 299) {
        explain_status(t, outcome, body, body_len, ret_failure);
    } else {
        fault = read_token(t, body, body_len, now_ms);
        if (!fault) {
            return true;
        }
        ret_failure->kind = OUTCOME_BROKEN;
        ret_failure->status = 0;
        say(ret_failure, t, fault);
    }
    return false;
}

bool oauth_fetched(struct oauth_token *t, const struct outcome *outcome, const char *body,
                   size_t body_len, int64_t now_ms, struct outcome *ret_failure)
{
    end_fetch(t);
    *ret_failure = (struct outcome){.kind = outcome->kind,
                                    .status = outcome->status,
                                    .retry_after_s = -1,
                                    .latency_us = outcome->latency_us,
                                    .token_us = outcome->latency_us};
    bool came = read_answer(t, outcome, body, body_len, now_ms, ret_failure);
    if (!came && outcome->kind == OUTCOME_CANCELLED) {
        return false;
    }
    t->has_failed = !came;
    if (came) {
        t->pause_ms = t->was_refused ? now_ms + PAUSE_MS : 0;
        return true;
    }
    t->pause_ms = now_ms + PAUSE_MS;
    t->failure = *ret_failure;
    return is_good(t, now_ms);
}

const struct outcome *oauth_failure(const struct oauth_token *t)
{
    return &t->failure;
}

void oauth_late(const struct oauth_token *t, struct outcome *ret_outcome)
{
    *ret_outcome = (struct outcome){.kind = OUTCOME_TIMEOUT, .retry_after_s = -1};
    say(ret_outcome, t, "no answer yet");
}

const char *oauth_header(const struct oauth_token *t)
{
    return t->header;
}

uint64_t oauth_number(const struct oauth_token *t)
{
    return t->number;
}

bool oauth_refused(struct oauth_token *t, uint64_t number, int64_t now_ms)
{
    if (t->number != number) {
        return true;
    }
    if (now_ms < t->pause_ms) {
        return false;
    }
    t->was_refused = true;
    secret_free(t->header);
    t->header = NULL;
    return true;
}
