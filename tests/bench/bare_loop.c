/*
 * The limit: what one process can carry from a RabbitMQ queue to an HTTP service with the
 * fleet's own libraries when it does nothing else. ./run-bench measures the fleet against it.
 *
 * 64 kept-alive connections, prefetch 500, acks in batches, one fixed 300-byte JSON body. No
 * rules, templates, database, retries or breakers, and no safety: the first failure of any kind
 * ends the program. It is meant to be fast, never to be used.
 *
 * Delivery tags of one channel count 1, 2, 3, ... and every body is the same, so the backlog is
 * the gap between two counters and a message is its tag. Requests finish in any order;
 * what is acked is the longest run of finished tags without a gap.
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <curl/curl.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    CHANNEL = 1,
    BODY_SIZE = 300,
    MAX_CONNECTIONS = 256,
    MAX_PREFETCH = 2000,
    TAG_WINDOW = 4096, /* power of two above MAX_PREFETCH */
    ACK_BATCH = 64,
    FD_LIMIT = 1024,
    EVENTS = 128
};

struct options {
    const char *url;
    const char *queue;
    const char *sink;
    int connections;
    int prefetch;
};

struct slot {
    CURL *easy;
    uint64_t tag;
};

struct bare {
    amqp_connection_state_t broker;
    CURLM *multi;
    struct curl_slist *headers;
    int epoll;
    int64_t timer_ms;           /* when curl wants to be called, -1 = never */
    uint32_t watched[FD_LIMIT]; /* epoll mask of each of curl's sockets, 0 = not watched */
    struct slot slots[MAX_CONNECTIONS];
    struct slot *idle[MAX_CONNECTIONS];
    int idle_count;
    int connections;
    bool finished[TAG_WINDOW]; /* by tag modulo the window */
    uint64_t received;         /* last tag that arrived */
    uint64_t started;          /* last tag whose request was started */
    uint64_t settled;          /* every tag up to here is finished */
    uint64_t acked;            /* every tag up to here is acked */
    uint64_t body_left;        /* bytes of the arriving message still to come */
    uint64_t delivered;
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void expect_reply(amqp_rpc_reply_t reply, const char *step)
{
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        errx(EX_UNAVAILABLE, "%s: %s", step, amqp_error_string2(reply.library_error));
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        errx(EX_UNAVAILABLE, "%s: the broker refused", step);
}

static void watch(struct bare *bare, int fd, uint32_t mask)
{
    struct epoll_event event = {.events = mask, .data.fd = fd};
    int operation = bare->watched[fd] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(bare->epoll, operation, fd, &event) != 0)
        err(EX_OSERR, "epoll_ctl");
    bare->watched[fd] = mask;
}

/* A socket that curl lets go of stays watched: it is idle between two requests, and telling
 * the kernel each time costs two system calls a message. curl_closes() forgets it. */
static int curl_watches(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    struct bare *bare = context;
    uint32_t mask = 0;
    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE)
        return 0;
    if (fd >= FD_LIMIT)
        errx(EX_OSERR, "descriptor %d is beyond the table", fd);
    if (what & CURL_POLL_IN)
        mask |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        mask |= EPOLLOUT;
    if (bare->watched[fd] != mask)
        watch(bare, fd, mask);
    return 0;
}

static int curl_closes(void *context, curl_socket_t fd)
{
    struct bare *bare = context;
    bare->watched[fd] = 0;
    return close(fd);
}

static int curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct bare *bare = context;
    (void)multi;
    bare->timer_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    return 0;
}

static size_t discard(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static void check_curl(CURLMcode code)
{
    if (code != CURLM_OK)
        errx(EX_SOFTWARE, "curl: %s", curl_multi_strerror(code));
}

static const char *fixed_body(void)
{
    static char body[BODY_SIZE + 1];
    int used = snprintf(body, sizeof body,
                        "{\"event\":\"\\\\assignsubmission_onlinetext\\\\event\\\\"
                        "submission_created\",\"user\":4,\"filler\":\"");
    memset(body + used, 'x', (size_t)(BODY_SIZE - used - 2));
    memcpy(body + BODY_SIZE - 2, "\"}", 3);
    return body;
}

static void prepare_request(struct bare *bare, struct slot *slot, const char *sink)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        errx(EX_OSERR, "curl_easy_init");
    curl_easy_setopt(easy, CURLOPT_URL, sink);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, fixed_body());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)BODY_SIZE);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, bare->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, curl_closes);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, bare);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    slot->easy = easy;
}

static void open_sink(struct bare *bare, const struct options *options)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    bare->multi = curl_multi_init();
    bare->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (bare->multi == NULL || bare->headers == NULL)
        errx(EX_OSERR, "curl_multi_init");
    curl_multi_setopt(bare->multi, CURLMOPT_SOCKETFUNCTION, curl_watches);
    curl_multi_setopt(bare->multi, CURLMOPT_SOCKETDATA, bare);
    curl_multi_setopt(bare->multi, CURLMOPT_TIMERFUNCTION, curl_timer);
    curl_multi_setopt(bare->multi, CURLMOPT_TIMERDATA, bare);
    curl_multi_setopt(bare->multi, CURLMOPT_MAXCONNECTS, (long)options->connections);
    bare->connections = options->connections;
    for (int i = 0; i < options->connections; i++) {
        prepare_request(bare, &bare->slots[i], options->sink);
        bare->idle[bare->idle_count++] = &bare->slots[i];
    }
}

static void open_broker(struct bare *bare, const struct options *options)
{
    struct amqp_connection_info info;
    char *url = strdup(options->url);
    if (url == NULL || amqp_parse_url(url, &info) != AMQP_STATUS_OK)
        errx(EX_USAGE, "--url is not an AMQP URL");
    bare->broker = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(bare->broker);
    if (socket == NULL || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK)
        errx(EX_UNAVAILABLE, "no broker at %s:%d", info.host, info.port);
    expect_reply(amqp_login(bare->broker, info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                            AMQP_SASL_METHOD_PLAIN, info.user, info.password),
                 "login");
    free(url);
    amqp_channel_open(bare->broker, CHANNEL);
    expect_reply(amqp_get_rpc_reply(bare->broker), "channel.open");
    amqp_basic_qos(bare->broker, CHANNEL, 0, (uint16_t)options->prefetch, 0);
    expect_reply(amqp_get_rpc_reply(bare->broker), "basic.qos");
    amqp_basic_consume(bare->broker, CHANNEL, amqp_cstring_bytes(options->queue), amqp_empty_bytes,
                       0, 0, 0, amqp_empty_table);
    expect_reply(amqp_get_rpc_reply(bare->broker), "basic.consume");
    watch(bare, amqp_get_sockfd(bare->broker), EPOLLIN);
}

/* Counts messages: a delivery is a method frame, a header frame that tells the size, body frames.
 */
static void take_frame(struct bare *bare, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_METHOD) {
        if (frame->payload.method.id != AMQP_BASIC_DELIVER_METHOD)
            errx(EX_UNAVAILABLE, "unexpected method %s",
                 amqp_method_name(frame->payload.method.id));
        const amqp_basic_deliver_t *deliver = frame->payload.method.decoded;
        if (deliver->delivery_tag != bare->received + 1)
            errx(EX_SOFTWARE, "delivery tags are not consecutive");
    } else if (frame->frame_type == AMQP_FRAME_HEADER) {
        bare->body_left = frame->payload.properties.body_size;
        bare->received += bare->body_left == 0;
    } else if (frame->frame_type == AMQP_FRAME_BODY) {
        bare->body_left -= frame->payload.body_fragment.len;
        bare->received += bare->body_left == 0;
    }
}

static void drain_broker(struct bare *bare)
{
    struct timeval none = {0, 0};
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(bare->broker, &frame, &none);
    while (status == AMQP_STATUS_OK) {
        take_frame(bare, &frame);
        status = amqp_simple_wait_frame_noblock(bare->broker, &frame, &none);
    }
    if (status != AMQP_STATUS_TIMEOUT)
        errx(EX_UNAVAILABLE, "broker: %s", amqp_error_string2(status));
    amqp_maybe_release_buffers(bare->broker);
}

static void start_requests(struct bare *bare)
{
    while (bare->idle_count > 0 && bare->started < bare->received) {
        struct slot *slot = bare->idle[--bare->idle_count];
        slot->tag = ++bare->started;
        check_curl(curl_multi_add_handle(bare->multi, slot->easy));
    }
}

static void finish_request(struct bare *bare, const CURLMsg *message)
{
    CURL *easy = message->easy_handle;
    struct slot *slot = NULL;
    long status = 0;
    if (message->data.result != CURLE_OK)
        errx(EX_UNAVAILABLE, "sink: %s", curl_easy_strerror(message->data.result));
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
    if (status != 200)
        errx(EX_UNAVAILABLE, "the sink answered %ld", status);
    check_curl(curl_multi_remove_handle(bare->multi, easy));
    bare->finished[slot->tag % TAG_WINDOW] = true;
    bare->idle[bare->idle_count++] = slot;
    bare->delivered++;
}

static void finish_requests(struct bare *bare)
{
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(bare->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE)
            finish_request(bare, message);
    }
}

static void ack_finished(struct bare *bare)
{
    while (bare->finished[(bare->settled + 1) % TAG_WINDOW]) {
        bare->settled++;
        bare->finished[bare->settled % TAG_WINDOW] = false;
    }
    uint64_t waiting = bare->settled - bare->acked;
    bool all_idle = bare->idle_count == bare->connections;
    if (waiting < ACK_BATCH && !(all_idle && waiting > 0))
        return;
    int status = amqp_basic_ack(bare->broker, CHANNEL, bare->settled, true);
    if (status != AMQP_STATUS_OK)
        errx(EX_UNAVAILABLE, "ack: %s", amqp_error_string2(status));
    bare->acked = bare->settled;
}

static void call_curl(struct bare *bare, int fd, int mask)
{
    int running;
    check_curl(curl_multi_socket_action(bare->multi, fd, mask, &running));
}

static int wait_ms(const struct bare *bare)
{
    if (bare->timer_ms < 0)
        return -1;
    int64_t left = bare->timer_ms - now_ms();
    return left > 0 ? (int)left : 0;
}

static void handle_event(struct bare *bare, const struct epoll_event *event)
{
    int fd = event->data.fd;
    int mask = 0;
    if (fd == amqp_get_sockfd(bare->broker)) {
        drain_broker(bare);
        return;
    }
    if (event->events & EPOLLIN)
        mask |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (event->events & (EPOLLERR | EPOLLHUP))
        mask |= CURL_CSELECT_ERR;
    call_curl(bare, fd, mask);
}

static void run(struct bare *bare)
{
    struct epoll_event events[EVENTS];
    drain_broker(bare); /* the first deliveries may have come with basic.consume-ok */
    while (!stop_asked) {
        finish_requests(bare);
        start_requests(bare);
        ack_finished(bare);
        int count = epoll_wait(bare->epoll, events, EVENTS, wait_ms(bare));
        if (count < 0 && errno != EINTR)
            err(EX_OSERR, "epoll_wait");
        for (int i = 0; i < count; i++)
            handle_event(bare, &events[i]);
        if (bare->timer_ms >= 0 && bare->timer_ms <= now_ms()) {
            bare->timer_ms = -1;
            call_curl(bare, CURL_SOCKET_TIMEOUT, 0);
        }
    }
}

static void close_all(struct bare *bare)
{
    for (int i = 0; i < bare->connections; i++) {
        curl_multi_remove_handle(bare->multi, bare->slots[i].easy);
        curl_easy_cleanup(bare->slots[i].easy);
    }
    curl_multi_cleanup(bare->multi);
    curl_slist_free_all(bare->headers);
    curl_global_cleanup();
    amqp_connection_close(bare->broker, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(bare->broker);
    close(bare->epoll);
}

static int number_within(const char *text, int max)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*end != '\0' || number < 1 || number > max)
        errx(EX_USAGE, "%s: give a number from 1 to %d", text, max);
    return (int)number;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"url", required_argument, NULL, 'u'},      {"queue", required_argument, NULL, 'q'},
        {"sink", required_argument, NULL, 's'},     {"connections", required_argument, NULL, 'c'},
        {"prefetch", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    struct options options = {.connections = 64, .prefetch = 500};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'u')
            options.url = optarg;
        else if (option == 'q')
            options.queue = optarg;
        else if (option == 's')
            options.sink = optarg;
        else if (option == 'c')
            options.connections = number_within(optarg, MAX_CONNECTIONS);
        else if (option == 'p')
            options.prefetch = number_within(optarg, MAX_PREFETCH);
        else
            exit(EX_USAGE);
    }
    if (options.url == NULL || options.queue == NULL || options.sink == NULL)
        errx(EX_USAGE, "usage: mih-bench-bare --url AMQP-URL --queue NAME --sink URL "
                       "[--connections N] [--prefetch N]");
    return options;
}

int main(int argc, char **argv)
{
    static struct bare bare = {.timer_ms = -1};
    struct options options = parse_options(argc, argv);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    bare.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bare.epoll < 0)
        err(EX_OSERR, "epoll_create1");
    open_sink(&bare, &options);
    open_broker(&bare, &options);
    run(&bare);
    close_all(&bare);
    printf("delivered=%llu\n", (unsigned long long)bare.delivered);
    return EX_OK;
}
