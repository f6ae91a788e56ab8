/* The connection: login, and what the broker or the library said went wrong. */
#include <amqp_tcp_socket.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rabbit.h"

int complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("mih-test-rabbit: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return -1;
}

int link_status(int status, const char *what)
{
    if (status == AMQP_STATUS_OK)
        return 0;
    return complain("%s: %s", what, amqp_error_string2(status));
}

int link_refused(const amqp_method_t *method, const char *what)
{
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = method->decoded;
        return complain("%s: channel closed: %d %.*s", what, m->reply_code, (int)m->reply_text.len,
                        (const char *)m->reply_text.bytes);
    }
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = method->decoded;
        return complain("%s: connection closed: %d %.*s", what, m->reply_code,
                        (int)m->reply_text.len, (const char *)m->reply_text.bytes);
    }
    return complain("%s: unexpected method 0x%08X", what, method->id);
}

static bool is_not_found(const amqp_method_t *method)
{
    const amqp_channel_close_t *m = method->decoded;
    return method->id == AMQP_CHANNEL_CLOSE_METHOD && m->reply_code == AMQP_NOT_FOUND;
}

static int reply_result(const amqp_rpc_reply_t *reply, const char *what)
{
    switch (reply->reply_type) {
    case AMQP_RESPONSE_NORMAL:
        return 0;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
        return complain("%s: %s", what, amqp_error_string2(reply->library_error));
    case AMQP_RESPONSE_SERVER_EXCEPTION:
        if (is_not_found(&reply->reply))
            return AMQP_NOT_FOUND;
        return link_refused(&reply->reply, what);
    case AMQP_RESPONSE_NONE:
    default:
        return complain("%s: no answer", what);
    }
}

int link_result(const struct link *link, const char *what)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->connection);
    return reply_result(&reply, what);
}

int link_channel(struct link *link, amqp_channel_t channel)
{
    amqp_channel_open(link->connection, channel);
    return link_result(link, "channel.open") == 0 ? 0 : -1;
}

static int log_in(struct link *link, const struct amqp_connection_info *info)
{
    amqp_socket_t *socket = amqp_tcp_socket_new(link->connection);
    if (!socket)
        return complain("out of memory");
    struct timeval limit = {.tv_sec = 10};
    if (link_status(amqp_socket_open_noblock(socket, info->host, info->port, &limit), info->host))
        return -1;
    amqp_rpc_reply_t reply =
        amqp_login(link->connection, info->vhost, AMQP_DEFAULT_MAX_CHANNELS,
                   AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, info->user, info->password);
    if (reply_result(&reply, "login"))
        return -1;
    limit.tv_sec = 30;
    if (link_status(amqp_set_rpc_timeout(link->connection, &limit), "rpc timeout"))
        return -1;
    return link_channel(link, 1);
}

int link_open(struct link *link, const char *url)
{
    struct amqp_connection_info info;
    char *copy = strdup(url); /* amqp_parse_url writes into it and points at it */
    int result = -1;
    link->connection = NULL;
    if (!copy)
        return complain("out of memory");
    if (amqp_parse_url(copy, &info) != AMQP_STATUS_OK || info.ssl)
        result = complain("not a URL as amqp://user:password@host:port/vhost");
    else if (!(link->connection = amqp_new_connection()))
        result = complain("out of memory");
    else
        result = log_in(link, &info);
    free(copy);
    return result;
}

void link_close(struct link *link)
{
    if (link->connection)
        amqp_destroy_connection(link->connection);
    link->connection = NULL;
}
