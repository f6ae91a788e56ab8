/*
 * What the files of the catalog module share, and nobody else includes: rows become a service
 * and rules here, with their faults, before they are put together.
 */
#ifndef MIH_DISPATCHER_CATALOG_IMPL_H
#define MIH_DISPATCHER_CATALOG_IMPL_H

#include "dispatcher/catalog.h"

/* Fill the zeroed service from the row. 0, also with a fault, or -ENOMEM. */
int service_prepare(struct service *s, const struct service_row *row,
                    const struct secret_keys *keys) __attribute__((warn_unused_result));
void service_release(struct service *s);

/* Gives the service a fault, in words without prefix; the first one stays. 0 or -ENOMEM. */
int service_fault(struct service *s, const char *what) __attribute__((warn_unused_result));

/* catalog_auth.c: how the service is told who calls. The same results. */
int service_prepare_auth(struct service *s, const struct service_row *row,
                         const struct secret_keys *keys) __attribute__((warn_unused_result));
void service_release_auth(struct service *s);

/* catalog_soap.c: what only SOAP services have. Address and headers; the same results. */
int service_prepare_soap(struct service *s, const struct service_row *row)
    __attribute__((warn_unused_result));

/* catalog_amqp.c: where the messages of an AMQP service go. The same results. */
int service_prepare_amqp(struct service *s, const struct secret_keys *keys)
    __attribute__((warn_unused_result));

/* catalog_form.c: the form of its requests: body, content type, headers, signature. */
int service_prepare_form(struct service *s, const struct service_row *row,
                         const struct secret_keys *keys) __attribute__((warn_unused_result));
void service_release_form(struct service *s);

/* The secret in a column as it is, for secret_free(); "" for none, and for one that cannot be
 * decrypted, which is the service's fault. 0 or -ENOMEM. */
int service_open_secret(struct service *s, const struct secret_keys *keys, const char *name,
                        const char *stored, char **ret_text) __attribute__((warn_unused_result));

/* Fill the zeroed rule; its service must be prepared. 0, also with a fault, or -ENOMEM. */
int rule_prepare(struct rule *rule, const struct service *service, const struct rule_row *row)
    __attribute__((warn_unused_result));
void rule_release(struct rule *rule);

#endif
