/*
 * What is asked for by the head of an HTTP/1 request: enough of RFC 9112 for a server that answers
 * GET and HEAD of a few paths and closes the connection then. Header fields are passed over. Pure.
 */
#ifndef MIH_WORKER_HTTPGET_H
#define MIH_WORKER_HTTPGET_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTPGET_MAX = 8192, HTTPGET_PATH_SIZE = 64 };

enum httpget {
    HTTPGET_MORE,    /* the head is not complete */
    HTTPGET_OK,      /* ret_request is set */
    HTTPGET_METHOD,  /* neither GET nor HEAD */
    HTTPGET_INVALID, /* no HTTP/1, or longer than HTTPGET_MAX */
};

struct httpget_request {
    bool head_only;
    char path[HTTPGET_PATH_SIZE]; /* without query; cut, and then no path that is served */
};

enum httpget httpget_parse(const char *bytes, size_t len, struct httpget_request *ret_request)
    __attribute__((warn_unused_result));

#endif
