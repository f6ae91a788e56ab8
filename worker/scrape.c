#include "worker/scrape.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "worker/httpget.h"

enum { ADDRESS_SIZE = 128, MS = 1000 };

struct connection {
    struct scrape *owner;
    struct bufferevent *stream; /* NULL: free */
    struct event *deadline;
    bool answered;
};

struct scrape {
    struct event_base *base;
    scrape_ask *ask;
    void *context;
    char address[ADDRESS_SIZE];
    struct evconnlistener *listener; /* NULL: none */
    struct event *again;             /* listens, or accepts, after a trouble */
    bool complained;
    struct connection connections[SCRAPE_CONNECTIONS];
};

static int parse_address(const char *text, struct sockaddr_storage *ret_address, int *ret_len)
{
    char whole[ADDRESS_SIZE];
    bool port_alone = *text && strspn(text, "0123456789") == strlen(text);
    int len = sizeof *ret_address;

    if (snprintf(whole, sizeof whole, "%s%s", port_alone ? "127.0.0.1:" : "", text) >=
            (int)sizeof whole ||
        !strrchr(whole, ':') || whole[strlen(whole) - 1] == ']' ||
        (whole[0] != '[' && strchr(whole, ':') != strrchr(whole, ':')))
        return -EINVAL;
    memset(ret_address, 0, sizeof *ret_address);
    if (evutil_parse_sockaddr_port(whole, (struct sockaddr *)ret_address, &len) != 0)
        return -EINVAL;
    *ret_len = len;
    return 0;
}

int scrape_check_address(const char *text, char *ret_reason, size_t size)
{
    struct sockaddr_storage address;
    int len;

    if (!*text || parse_address(text, &address, &len) == 0)
        return 0;
    snprintf(ret_reason, size,
             "a port, or an address and a port such as 10.0.0.7:9187 or "
             "[::1]:9187, or nothing");
    return -EINVAL;
}

static void finish(struct connection *c)
{
    if (!c->stream)
        return;
    bufferevent_free(c->stream); /* closes the socket, too */
    c->stream = NULL;
    event_del(c->deadline);
    if (c->owner->listener)
        evconnlistener_enable(c->owner->listener);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    finish(context);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
    (void)stream;
    (void)what;
    finish(context);
}

/* Everything is in the kernel's hands. */
static void on_written(struct bufferevent *stream, void *context)
{
    struct connection *c = context;

    if (c->answered && evbuffer_get_length(bufferevent_get_output(stream)) == 0)
        finish(c);
}

static void release_text(const void *text, size_t len, void *context)
{
    (void)text;
    (void)len;
    free(context);
}

static const char *phrase_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    default:
        return "Service Unavailable";
    }
}

static void respond(struct connection *c, struct scrape_answer *answer, bool head_only)
{
    struct evbuffer *out = bufferevent_get_output(c->stream);
    bool failed = buf_error(&answer->body) < 0;
    int status = failed ? 503 : answer->status;
    size_t len = 0;
    char *text = NULL;

    if (answer->body.len > 0 && !failed)
        text = buf_take(&answer->body, &len);
    evbuffer_add_printf(out,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                        status, phrase_of(status),
                        answer->content_type ? answer->content_type : "text/plain", len);
    if (head_only || !text || evbuffer_add_reference(out, text, len, release_text, text) != 0)
        free(text);
    buf_release(&answer->body);
    c->answered = true;
    bufferevent_disable(c->stream, EV_READ);
}

static void on_readable(struct bufferevent *stream, void *context)
{
    struct connection *c = context;
    struct evbuffer *in = bufferevent_get_input(stream);
    size_t len = evbuffer_get_length(in);
    const char *bytes = (const char *)evbuffer_pullup(in, -1);
    struct httpget_request request = {.head_only = false};
    struct scrape_answer answer = {.status = 404};

    buf_init(&answer.body, SCRAPE_ANSWER_MAX);
    switch (httpget_parse(bytes, len, &request)) {
    case HTTPGET_MORE:
        return;
    case HTTPGET_OK:
        c->owner->ask(c->owner->context, request.path, &answer);
        break;
    case HTTPGET_METHOD:
        answer.status = 405;
        break;
    case HTTPGET_INVALID:
        answer.status = 400;
        break;
    }
    if (answer.body.len == 0 && buf_error(&answer.body) == 0)
        buf_addf(&answer.body, "%s\n", phrase_of(answer.status));
    respond(c, &answer, request.head_only);
}

static struct connection *free_connection(struct scrape *s)
{
    for (size_t i = 0; i < SCRAPE_CONNECTIONS; i++)
        if (!s->connections[i].stream)
            return &s->connections[i];
    return NULL;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int len, void *context)
{
    static const struct timeval deadline = {.tv_sec = SCRAPE_DEADLINE_MS / MS,
                                            .tv_usec = SCRAPE_DEADLINE_MS % MS * 1000L};
    struct scrape *s = context;
    struct connection *c = free_connection(s);

    (void)address;
    (void)len;
    if (c)
        c->stream = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!c || !c->stream) {
        evutil_closesocket(fd);
        return;
    }
    c->answered = false;
    bufferevent_setcb(c->stream, on_readable, on_written, on_event, c);
    bufferevent_setwatermark(c->stream, EV_READ, 0, HTTPGET_MAX);
    if (event_add(c->deadline, &deadline) != 0 ||
        bufferevent_enable(c->stream, EV_READ | EV_WRITE) != 0)
        finish(c);
    else if (!free_connection(s))
        evconnlistener_disable(listener); /* the next one waits until one is finished */
}

static void try_again(struct scrape *s)
{
    static const struct timeval after = {.tv_sec = SCRAPE_AGAIN_S};

    event_add(s->again, &after);
}

/* Out of descriptors, say: the listener would be called again and again. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    evconnlistener_disable(listener);
    try_again(context);
}

static void listen_there(struct scrape *s)
{
    struct sockaddr_storage address;
    int len;

    if (parse_address(s->address, &address, &len) < 0)
        return;
    s->listener = evconnlistener_new_bind(
        s->base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
        SCRAPE_CONNECTIONS, (struct sockaddr *)&address, len);
    if (s->listener) {
        evconnlistener_set_error_cb(s->listener, on_accept_error);
        log_info("metrics", "listen", s->address, NULL);
        s->complained = false;
        return;
    }
    if (!s->complained)
        log_error("no metrics: cannot listen", "listen", s->address, "error", strerror(errno),
                  "does", "tries again and again", NULL);
    s->complained = true;
    try_again(s);
}

static void on_again(evutil_socket_t fd, short what, void *context)
{
    struct scrape *s = context;

    (void)fd;
    (void)what;
    if (!s->listener)
        listen_there(s);
    else if (free_connection(s))
        evconnlistener_enable(s->listener);
}

void scrape_set_address(struct scrape *s, const char *address)
{
    if (strcmp(s->address, address) == 0)
        return;
    if (s->listener)
        evconnlistener_free(s->listener);
    s->listener = NULL;
    event_del(s->again);
    s->complained = false;
    snprintf(s->address, sizeof s->address, "%s", address);
    if (*s->address)
        listen_there(s);
}

int scrape_new(struct event_base *base, scrape_ask *ask, void *context, struct scrape **ret_scrape)
{
    struct scrape *s = calloc(1, sizeof *s);
    bool ok;

    if (!s)
        return -ENOMEM;
    s->base = base;
    s->ask = ask;
    s->context = context;
    s->again = event_new(base, -1, 0, on_again, s);
    ok = s->again;
    for (size_t i = 0; i < SCRAPE_CONNECTIONS; i++) {
        s->connections[i].owner = s;
        s->connections[i].deadline = event_new(base, -1, 0, on_deadline, &s->connections[i]);
        ok = ok && s->connections[i].deadline;
    }
    if (!ok) {
        scrape_free(s);
        return -ENOMEM;
    }
    *ret_scrape = s;
    return 0;
}

void scrape_free(struct scrape *s)
{
    if (!s)
        return;
    if (s->listener)
        evconnlistener_free(s->listener);
    s->listener = NULL;
    for (size_t i = 0; i < SCRAPE_CONNECTIONS; i++) {
        finish(&s->connections[i]);
        if (s->connections[i].deadline)
            event_free(s->connections[i].deadline);
    }
    if (s->again)
        event_free(s->again);
    free(s);
}
