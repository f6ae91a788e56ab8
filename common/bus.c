/* A connection: its life and its heartbeats. */
#include "common/bus_internal.h"
#include "common/timing.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int bus_lose(struct bus *bus, int error, const char *format, ...)
{
    va_list arguments;

    if (bus->lost == 0) {
        va_start(arguments, format);
        vsnprintf(bus->reason, sizeof(bus->reason), format, arguments);
        va_end(arguments);
        bus->lost = error;
        shutdown(bus->fd, SHUT_RDWR);
    }
    return bus->lost;
}

int bus_lose_status(struct bus *bus, const char *step, int status)
{
    int error = -ECONNRESET;

    if (status == AMQP_STATUS_NO_MEMORY) {
        error = -ENOMEM;
    } else if (status == AMQP_STATUS_TIMEOUT || status == AMQP_STATUS_HEARTBEAT_TIMEOUT) {
        error = -ETIMEDOUT;
    } else if (status == AMQP_STATUS_BAD_AMQP_DATA || status == AMQP_STATUS_UNKNOWN_METHOD) {
        error = -EPROTO;
    }
    return bus_lose(bus, error, "%s: %s", step,
                    status == AMQP_STATUS_HEARTBEAT_TIMEOUT ? "the broker sends no heartbeats"
                                                            : amqp_error_string2(status));
}

int bus_refuse(struct bus *bus, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(bus->reason, sizeof(bus->reason), format, arguments);
    va_end(arguments);
    bus->refusal = 0;
    return BUS_REFUSED;
}

int bus_refusal(const struct bus *bus)
{
    return bus->refusal;
}

/* A peer that acknowledges nothing for two heartbeats is dead, but one that stopped reading
 * because of an alarm is not. This also ends librabbitmq's writes, which would wait for ever. */
static void limit_silence(const struct bus *bus)
{
    unsigned limit_ms = bus->heartbeat_ms > 0 ? 2 * (unsigned)bus->heartbeat_ms : 60000;

    if (bus->blocked) {
        limit_ms = 0;
    }
    setsockopt(bus->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms));
}

void bus_blocked_changed(struct bus *bus, bool blocked, const char *reason)
{
    bus->blocked = blocked;
    limit_silence(bus);
    if (bus->handlers.on_blocked != NULL) {
        bus->handlers.on_blocked(bus->handlers.context, blocked, reason);
    }
}

static int adopt(amqp_connection_state_t connection, const struct bus_url *url,
                 const struct bus_handlers *handlers, struct bus **ret_bus)
{
    struct bus *bus = calloc(1, sizeof(*bus));
    bool v6 = strchr(url->host, ':') != NULL;
    int fd = fcntl(amqp_get_sockfd(connection), F_DUPFD_CLOEXEC, 0);

    if (bus == NULL || fd < 0) {
        int rc = bus == NULL ? -ENOMEM : -errno;
        free(bus);
        if (fd >= 0) {
            close(fd);
        }
        return rc;
    }
    bus->connection = connection;
    bus->fd = fd;
    bus->heartbeat_ms = amqp_get_heartbeat(connection) * 1000;
    bus->now_ms = bus->sent_ms = timing_mono_ms();
    bus->max_body = 1024UL * 1024;
    bus_set_handlers(bus, handlers);
    snprintf(bus->peer, sizeof(bus->peer), "%s%s%s:%u/%s", v6 ? "[" : "", url->host, v6 ? "]" : "",
             (unsigned)url->port, strcmp(url->vhost, "/") == 0 ? "" : url->vhost);
    limit_silence(bus);
    *ret_bus = bus;
    return 0;
}

/* Opens one URL; the error tells which. */
static int open_url(const struct bus_options *options, const struct bus_url *url,
                    const struct bus_handlers *handlers, struct bus **ret_bus,
                    struct bus_error *ret_error)
{
    amqp_connection_state_t connection;
    struct bus_error why = {""};
    int rc = bus_connect(options, url, &connection, &why);

    if (rc == 0) {
        rc = adopt(connection, url, handlers, ret_bus);
        if (rc < 0) {
            amqp_destroy_connection(connection);
            snprintf(why.text, sizeof(why.text), "%s", strerror(-rc));
        }
    }
    if (rc < 0) {
        snprintf(ret_error->text, sizeof(ret_error->text), "%s://%.60s@%.80s:%u: %.*s",
                 url->tls ? "amqps" : "amqp", url->user, url->host, (unsigned)url->port,
                 (int)sizeof(ret_error->text) - 170, why.text);
    }
    return rc;
}

int bus_open(const struct bus_options *options, unsigned start, const struct bus_handlers *handlers,
             struct bus **ret_bus, struct bus_error *ret_error)
{
    size_t count = bus_url_count(options->urls);
    int rc = bus_check_urls(options->urls, ret_error);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        struct bus_url url;
        rc = bus_url_parse(options->urls, (start + i) % count, &url, ret_error);
        if (rc == 0) {
            rc = open_url(options, &url, handlers, ret_bus, ret_error);
        }
        explicit_bzero(&url, sizeof(url));
        if (rc == 0) {
            break;
        }
    }
    return rc;
}

void bus_set_handlers(struct bus *bus, const struct bus_handlers *handlers)
{
    bus->handlers = *handlers;
}

static bool writable(const struct bus *bus)
{
    struct pollfd ready = {.fd = bus->fd, .events = POLLOUT};

    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0;
}

void bus_free(struct bus *bus)
{
    if (bus == NULL) {
        return;
    }
    if (bus->lost == 0 && writable(bus)) {
        char text[] = "bye";
        amqp_connection_close_t bye = {.reply_code = AMQP_REPLY_SUCCESS,
                                       .reply_text = bus_bytes(text)};
        amqp_send_method(bus->connection, 0, AMQP_CONNECTION_CLOSE_METHOD, &bye);
    }
    amqp_destroy_connection(bus->connection);
    close(bus->fd);
    for (size_t i = 0; i < bus->n_channels; i++) {
        if (bus->channels[i] != NULL) {
            bus_channel_free(bus->channels[i]);
        }
    }
    free(bus->channels);
    free(bus);
}

void bus_interrupt(struct bus *bus)
{
    shutdown(bus->fd, SHUT_RDWR);
}

int bus_fd(const struct bus *bus)
{
    return bus->fd;
}

const char *bus_peer(const struct bus *bus)
{
    return bus->peer;
}

const char *bus_reason(const struct bus *bus)
{
    return bus->reason;
}

void bus_set_max_body(struct bus *bus, size_t max_body_bytes)
{
    bus->max_body = max_body_bytes;
}

void bus_hold(struct bus *bus, bool hold)
{
    bus->held = hold;
}

void bus_keep_properties(struct bus *bus)
{
    bus->keeps_properties = true;
}

void bus_number_from(struct bus *bus, uint64_t number)
{
    bus->last_number = number;
}

static bool data_waits(const struct bus *bus)
{
    return amqp_frames_enqueued(bus->connection) || amqp_data_in_buffer(bus->connection);
}

bool bus_pending(const struct bus *bus)
{
    return bus->lost == 0 && !bus->held && data_waits(bus);
}

/*
 * Sends a heartbeat after half an interval without sending, so that librabbitmq never sends its
 * own: inside a read, it would wait until the broker takes it.
 */
static int keep_alive(struct bus *bus)
{
    const amqp_frame_t heartbeat = {.frame_type = AMQP_FRAME_HEARTBEAT, .channel = 0};

    bus->now_ms = timing_mono_ms();
    int64_t silent_ms = bus->now_ms - bus->sent_ms;
    if (bus->heartbeat_ms == 0 || silent_ms < bus->heartbeat_ms / 2) {
        return 0;
    }
    if (!writable(bus)) {
        return silent_ms < bus->heartbeat_ms - 200
                   ? 0
                   : bus_lose(bus, -ETIMEDOUT, "heartbeat: the broker does not read");
    }
    int status = amqp_send_frame(bus->connection, &heartbeat);
    if (status != AMQP_STATUS_OK) {
        return bus_lose_status(bus, "heartbeat", status);
    }
    bus->sent_ms = bus->now_ms;
    return 0;
}

int bus_drain(struct bus *bus)
{
    const struct timeval at_once = {0, 0};
    unsigned left = BUS_DRAIN_FRAMES;
    amqp_frame_t frame;

    if (bus->lost != 0) {
        return bus->lost;
    }
    int rc = keep_alive(bus);
    while (rc == 0 && left-- > 0 && !bus->held) {
        int status = amqp_simple_wait_frame_noblock(bus->connection, &frame, &at_once);
        if (status == AMQP_STATUS_TIMEOUT) {
            break;
        }
        if (status != AMQP_STATUS_OK) {
            return bus_lose_status(bus, "read", status);
        }
        rc = bus_take_frame(bus, &frame);
        /* Nothing of the frame is in use any more, and reads end between frames. */
        amqp_maybe_release_buffers_on_channel(bus->connection, frame.channel);
        /* Another read from the socket would cost two calls to learn that it is empty. */
        if (!bus_pending(bus)) {
            break;
        }
    }
    return rc < 0 ? rc : bus->lost;
}

int bus_tick(struct bus *bus)
{
    return bus_drain(bus);
}

int bus_send_method(struct bus *bus, uint16_t channel, amqp_method_number_t method, void *fields)
{
    if (bus->lost != 0) {
        return bus->lost;
    }
    int status = amqp_send_method(bus->connection, channel, method, fields);
    if (status != AMQP_STATUS_OK) {
        return bus_lose_status(bus, "write", status);
    }
    bus->sent_ms = bus->now_ms;
    return 0;
}
