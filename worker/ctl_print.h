/*
 * How mihctl shows a request: as a curl command that a shell takes as it stands, or as one JSON
 * object. Credentials are "***" in both (ctl_mask.h).
 */
#ifndef MIH_WORKER_CTL_PRINT_H
#define MIH_WORKER_CTL_PRINT_H

#include <stddef.h>
#include <stdio.h>

struct buf;
struct json_object;
struct request;

/* Appends the text as one word of a POSIX shell: in single quotes, each "'" of its own as '\''. It
 * must not hold NUL, which no word can. */
void ctl_quote(struct buf *out, const char *text, size_t len);

/* The command with a line feed; of AMQP, which curl does not speak, lines that say what goes where.
 * Of a SOAP service it is for the request that ctl_soap.h makes. 0, or negative: memory is out, or
 * the buffer's maximum was reached. */
int ctl_print_command(const struct request *r, struct buf *out) __attribute__((warn_unused_result));

/* The object: method, url, headers, body, and of AMQP exchange and routing_key. To put.
 * NULL: no memory. */
struct json_object *ctl_request_object(const struct request *r);

/* Prints an object as one line, and puts it. NULL (no memory) is told as {"error": ...}. */
void ctl_print_object(FILE *out, struct json_object *take);

#endif
