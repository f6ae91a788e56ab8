/*
 * The services and rules as the worker knows them: an immutable snapshot, replaced as a whole.
 *
 * A catalog is built from rows (by whoever read them) and then sealed: sealing compiles every
 * template and endpoint and indexes the rules by event name. A rule that cannot be compiled stays
 * in the catalog with its fault, so that its events become dead letters that name it, instead of
 * vanishing. References are counted: a delivery under way keeps the snapshot it started with.
 * One thread (the loop's) takes and drops references; building may happen on another.
 * Secrets are decrypted when a service is added, and wiped when the catalog is freed.
 *
 * Faults begin with "policy: ", say what is wrong and where (byte, or line and
 * column), and name rule and service at the end. Ids are unique, as the tables' keys are.
 */
#ifndef MIH_DISPATCHER_CATALOG_H
#define MIH_DISPATCHER_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/retry.h"

struct amqp_target;
struct catalog;
struct clientcert;
struct condition;
struct headerset;
struct secret_keys;
struct signing_key;
struct template;

enum service_type { SERVICE_REST, SERVICE_SOAP, SERVICE_AMQP };
enum { SERVICE_TYPES = SERVICE_AMQP + 1 };
enum service_auth {
    AUTH_NONE,
    AUTH_BEARER,
    AUTH_APIKEY,
    AUTH_BASIC,
    AUTH_OAUTH2,
    AUTH_WSSE,      /* WS-Security UsernameToken, with a digest of the password */
    AUTH_WSSE_TEXT, /* the same with the password itself */
};

enum service_body { BODY_JSON, BODY_FORM, BODY_RAW };

enum {
    SERVICE_NAME_SIZE = 101,
    SERVICE_DEFAULT_TIMEOUT_S = 5,   /* for a time-out of 0 or less */
    SERVICE_MAX_TIMEOUT_S = 20 * 60, /* below the broker's limit for unacknowledged messages */
    SERVICE_MAX_CONCURRENCY = 1024,
    SERVICE_MAX_RETRIES = 1000,
    SERVICE_MAX_BACKOFF_S = 3600,
    SERVICE_MAX_COOLDOWN_S = 24 * 3600,
    SERVICE_MAX_RATE = 1000000,
};

/* As in the table local_integrationhub_svc (COMPAT 3). Texts may be NULL for SQL NULL. A type
 * that is not known is rest, an auth type that is not known sends no header. */
struct service_row {
    int64_t id;
    const char *name;
    const char *type;
    const char *base_url;
    const char *auth_type;
    const char *auth_token; /* token, password or client secret */
    const char *auth_user;
    const char *auth_header; /* name of the header that carries the API key */
    const char *auth_url;
    const char *auth_scope;
    const char *client_cert; /* PEM: chain and private key */
    const char *headers;     /* JSON object: header name -> text template */
    const char *body_type;   /* json, form, raw; NULL and "" are json */
    const char *content_type;
    const char *signing_secret;
    const char *signing_secret_old;
    const char *soap_version;
    const char *soap_headers;
    int64_t timeout_s;
    int64_t max_concurrency;
    int64_t max_retries;
    int64_t retry_backoff_s;
    int64_t cb_failure_threshold;
    int64_t cb_cooldown_s;
    int64_t rate_limit; /* requests per second of the whole fleet; 0: none */
    bool long_retries;
    bool enabled;
    bool paused; /* its events go on being queued, and wait */
};

/* A payload_template that is NULL, white space or "0" stands for the whole event; an endpoint
 * that is NULL or "" for "/"; an http_method that is NULL or "" for POST. */
struct rule_row {
    int64_t id;
    int64_t service_id;
    const char *eventname;
    const char *endpoint;
    const char *http_method;
    const char *payload_template;
    const char *filter;   /* JSON condition; NULL: every event */
    int64_t timemodified; /* Unix seconds; as it stands in the row */
    bool enabled;
};

struct rule {
    int64_t id;
    char *eventname;   /* \component\event\name, or with * as the last part */
    size_t prefix_len; /* of a wildcard: bytes before the * */
    bool wildcard;
    bool enabled;
    char routing_key[256];     /* "" when the event name is not valid: see fault */
    char method[12];           /* upper case */
    int64_t timemodified;      /* of its row, and so is the next one */
    char *endpoint_text;       /* "" for NULL */
    struct template *endpoint; /* text template */
    char *constant_url;        /* the whole URL, when no event has a say in it; else NULL */
    struct Curl_URL *url;      /* constant_url taken apart, once for all requests; or NULL */
    struct template *payload;  /* JSON template; NULL: the whole event */
    struct condition *filter;  /* NULL: every event */
    unsigned needs;            /* mask of roots (enrichment.h) that templates and filter need */
    char *fault;               /* why it cannot be used, or NULL */
    const struct service *service;
};

struct service {
    int64_t id;
    char *name; /* as people may see it: its first 100 bytes, safe (utf8.h) */
    enum service_type type;
    char *base_url;
    char *url_prefix;         /* base_url with exactly one slash at its end; not of AMQP */
    struct amqp_target *amqp; /* of AMQP, what base_url says; else NULL */
    enum service_auth auth;
    char *auth_user;  /* "" for NULL, and so are the next three */
    char *auth_token; /* a secret: never to be shown */
    char *soap_version;
    char *soap_headers;
    struct template *soap_template; /* soap_headers compiled; NULL: none */
    char *auth_header;              /* "Authorization: Bearer ..." or the like, a secret; or NULL */
    char *auth_url;          /* of OAuth 2.0, or NULL; auth_user and auth_token are its client */
    char *auth_scope;        /* "" for NULL */
    struct clientcert *cert; /* NULL: none */
    struct signing_key *signing_keys; /* secrets */
    size_t n_signing_keys;
    struct headerset *headers; /* NULL: none */
    bool own_accept;           /* one of them is Accept */
    enum service_body body;
    char *content_header; /* "Content-Type: ..." of a body that is no JSON; else NULL */
    bool plain_secrets;   /* a secret of it is not encrypted in the table */
    int64_t timeout_ms;
    unsigned max_concurrency;
    struct retry_policy retry;
    unsigned cb_threshold; /* failures in a row that open the breaker */
    int64_t cb_cooldown_ms;
    unsigned rate_limit; /* requests per second of the whole fleet; 0: none */
    bool enabled;
    bool paused;
    char *fault;        /* why no rule of it can be used, or NULL */
    struct rule *rules; /* sealed: exact names first, sorted; then wildcards */
    size_t n_rules;
    size_t n_exact;
    const struct rule **rules_by_id; /* the same, sorted by id */
};

struct catalog_builder;

/* NULL when memory is out. */
struct catalog_builder *catalog_builder_new(void);
/* The keys that decrypt secrets, before the first service; borrowed until the builder is gone. */
void catalog_builder_set_keys(struct catalog_builder *b, const struct secret_keys *keys);
/* Copy the row. 0 or -ENOMEM. Rules may come before their services. A rule whose service is
 * unknown is kept out (and counted). */
int catalog_builder_service(struct catalog_builder *b, const struct service_row *row)
    __attribute__((warn_unused_result));
int catalog_builder_rule(struct catalog_builder *b, const struct rule_row *row)
    __attribute__((warn_unused_result));
/* A digest over all rows added so far, whatever their order: equal digests, equal catalogs. */
uint64_t catalog_builder_digest(const struct catalog_builder *b);
/* Compiles and hands out a catalog with one reference; the builder is gone, in any case.
 * 0 or -ENOMEM. */
int catalog_builder_seal(struct catalog_builder *b, struct catalog **ret_catalog)
    __attribute__((warn_unused_result));
void catalog_builder_free(struct catalog_builder *b); /* NULL is allowed */

struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c); /* NULL is allowed */

uint64_t catalog_digest(const struct catalog *c);
/* Rules that were kept out because their service is unknown. */
size_t catalog_orphan_count(const struct catalog *c);
size_t catalog_service_count(const struct catalog *c);
const struct service *catalog_service_at(const struct catalog *c, size_t index); /* by id */
/* NULL when there is none. Both O(log n). */
const struct service *catalog_service(const struct catalog *c, int64_t service_id);
const struct rule *service_rule(const struct service *s, int64_t rule_id);

/* Calls on_match for each enabled rule of the service that wants the event, exact names first,
 * each kind by id. Returns how many. Allocates nothing. */
typedef void catalog_on_match(void *context, const struct rule *rule);
size_t service_match(const struct service *s, const char *eventname, catalog_on_match *on_match,
                     void *context);

#endif
