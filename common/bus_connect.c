/*
 * From a URL to a logged-in connection.
 *
 * A host name's addresses are tried one after the other, each with its share of the time:
 * librabbitmq would stay with the first that does not answer. Certificates are verified by OpenSSL
 * itself during the handshake, before anything is sent: librabbitmq 0.11 compares only DNS names,
 * loads no system CA, and cannot tell what it disliked.
 */
#include "common/bus_internal.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 8, ADDRESS_MIN_MS = 500 };

static const char system_ca_file[] = "/etc/ssl/certs/ca-certificates.crt";

/* What one attempt needs. */
struct attempt {
    const struct bus_options *options;
    const struct bus_url *url;
    const struct addrinfo *address;
    int timeout_ms;
    amqp_connection_state_t connection;
    struct bus_error *error;
};

/* What the TLS callbacks need, by SSL_CTX_get_app_data() while the handshake runs. */
struct tls_check {
    bus_short host;
    bool is_address;
    int verify_error;
};

static int fail(struct bus_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct bus_error *error, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return code;
}

/* Waits until a connect(2) under way has ended; its errno, negative. */
static int finish_connect(int fd, int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof(error);
    int n;

    do {
        n = poll(&ready, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        return -ETIMEDOUT;
    }
    if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        return -errno;
    }
    return -error;
}

/* A connected non-blocking socket, or a negative errno. */
static int tcp_connect(const struct addrinfo *address, int timeout_ms)
{
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = 0;

    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) != 0 ||
        connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        rc = errno == EINPROGRESS ? finish_connect(fd, timeout_ms) : -errno;
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

static int open_tcp(const struct attempt *a)
{
    int fd = tcp_connect(a->address, a->timeout_ms);

    if (fd < 0) {
        return fail(a->error, fd, "connect: %s", strerror(-fd));
    }
    amqp_socket_t *socket = amqp_tcp_socket_new(a->connection);
    if (socket == NULL) {
        close(fd);
        return -ENOMEM;
    }
    amqp_tcp_socket_set_sockfd(socket, fd);
    return 0;
}

static int remember_verify_error(int ok, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_check *check = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (ok == 0 && check != NULL) {
        check->verify_error = X509_STORE_CTX_get_error(store);
    }
    return ok;
}

/* librabbitmq sends the text it connects to as the server name, here a numeric address. This runs
 * before the first message of the handshake is built, and corrects it. */
static void correct_server_name(const SSL *ssl, int where, int result)
{
    struct tls_check *check = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    (void)result;
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && check != NULL) {
        /* The callback's type says const although it may change the connection. */
        // NOLINTNEXTLINE(performance-no-int-to-ptr): how a const is taken off without a warning
        SSL_ctrl((SSL *)(uintptr_t)ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 check->is_address ? NULL : check->host);
    }
}

static int configure_tls(SSL_CTX *context, struct tls_check *check, const struct attempt *a)
{
    const char *ca_file = a->options->ca_file;
    X509_VERIFY_PARAM *names = SSL_CTX_get0_param(context);
    int ok = check->is_address ? X509_VERIFY_PARAM_set1_ip_asc(names, check->host)
                               : X509_VERIFY_PARAM_set1_host(names, check->host, 0);

    if (ok != 1) {
        return fail(a->error, -EINVAL, "TLS: %s is not a valid host name", check->host);
    }
    if (ca_file == NULL || ca_file[0] == '\0') {
        ca_file = system_ca_file;
    }
    if (SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1) {
        ERR_clear_error();
        return fail(a->error, -ENOENT, "TLS: no CA certificates in %s", ca_file);
    }
    X509_VERIFY_PARAM_set_hostflags(names, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, remember_verify_error);
    SSL_CTX_set_info_callback(context, correct_server_name);
    SSL_CTX_set_app_data(context, check);
    return 0;
}

/* Why amqp_socket_open_noblock() failed, as far as can be found out. */
static int tls_failure(const struct attempt *a, const struct tls_check *check, int status)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (check->verify_error != X509_V_OK) {
        return fail(a->error, -EKEYREJECTED, "TLS: certificate refused: %s",
                    X509_verify_cert_error_string(check->verify_error));
    }
    if (status == AMQP_STATUS_TIMEOUT) {
        return fail(a->error, -ETIMEDOUT, "connect: %s", strerror(ETIMEDOUT));
    }
    if (status == AMQP_STATUS_SSL_CONNECTION_FAILED || status == AMQP_STATUS_SSL_ERROR) {
        return fail(a->error, -EPROTO, "TLS: handshake failed%s%s", reason != NULL ? ": " : "",
                    reason != NULL ? reason : "");
    }
    /* librabbitmq drops the errno of connect(2): ask again. */
    int fd = tcp_connect(a->address, a->timeout_ms);
    if (fd < 0) {
        return fail(a->error, fd, "connect: %s", strerror(-fd));
    }
    close(fd);
    return fail(a->error, -ECONNRESET, "connect: %s", amqp_error_string2(status));
}

static int open_tls(const struct attempt *a)
{
    unsigned char binary[sizeof(struct in6_addr)];
    struct tls_check check = {
        .is_address = inet_pton(AF_INET, a->url->host, binary) == 1 ||
                      inet_pton(AF_INET6, a->url->host, binary) == 1,
        .verify_error = X509_V_OK,
    };
    struct timeval timeout = {a->timeout_ms / 1000, (a->timeout_ms % 1000) * 1000L};
    char numeric[NI_MAXHOST];
    amqp_socket_t *socket = amqp_ssl_socket_new(a->connection);

    memcpy(check.host, a->url->host, sizeof(check.host));
    if (socket == NULL) {
        return fail(a->error, -ENOMEM, "TLS: cannot be initialised");
    }
    SSL_CTX *context = amqp_ssl_socket_get_context(socket);
    int rc = configure_tls(context, &check, a);
    if (rc < 0) {
        return rc;
    }
    if (getnameinfo(a->address->ai_addr, a->address->ai_addrlen, numeric, sizeof(numeric), NULL, 0,
                    NI_NUMERICHOST) != 0) {
        return fail(a->error, -EINVAL, "address cannot be written");
    }
    amqp_ssl_socket_set_verify_hostname(socket, 0); /* OpenSSL does, and better */
    int status = amqp_socket_open_noblock(socket, numeric, a->url->port, &timeout);
    SSL_CTX_set_app_data(context, NULL);
    return status == AMQP_STATUS_OK ? 0 : tls_failure(a, &check, status);
}

static int login_failure(struct bus_error *error, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = reply.reply.decoded;
        return fail(error, -EACCES, "login refused: %d %.*s", m->reply_code, (int)m->reply_text.len,
                    (const char *)m->reply_text.bytes);
    }
    if (reply.library_error == AMQP_STATUS_TIMEOUT) {
        return fail(error, -ETIMEDOUT, "login: no answer from the broker");
    }
    return fail(error, -ECONNRESET, "login: %s", amqp_error_string2(reply.library_error));
}

static amqp_table_entry_t yes(const char *key)
{
    amqp_table_entry_t e = {.key = bus_bytes(key)};

    e.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    e.value.value.boolean = 1;
    return e;
}

static amqp_table_entry_t text(const char *key, const char *value)
{
    return bus_entry(&(struct bus_field){.name = key, .text = value});
}

static amqp_table_entry_t table(const char *key, amqp_table_t value)
{
    amqp_table_entry_t e = {.key = bus_bytes(key)};

    e.value.kind = AMQP_FIELD_KIND_TABLE;
    e.value.value.table = value;
    return e;
}

static int login(const struct attempt *a)
{
    amqp_table_entry_t can[] = {yes("publisher_confirms"), yes("basic.nack"),
                                yes("consumer_cancel_notify"), yes("connection.blocked")};
    amqp_table_entry_t property[] = {
        text("connection_name", a->options->connection_name),
        text("product", "Moodle Integration Hub"),
        text("version", MIH_VERSION),
        table("capabilities", (amqp_table_t){sizeof(can) / sizeof(can[0]), can}),
    };
    const amqp_table_t properties = {sizeof(property) / sizeof(property[0]), property};
    const int rpc_ms = a->options->rpc_timeout_ms;
    const struct timeval timeout = {rpc_ms / 1000, (rpc_ms % 1000) * 1000L};

    if (amqp_set_handshake_timeout(a->connection, &timeout) != AMQP_STATUS_OK ||
        amqp_set_rpc_timeout(a->connection, &timeout) != AMQP_STATUS_OK) {
        return fail(a->error, -EINVAL, "the time-out is not valid");
    }
    amqp_rpc_reply_t reply = amqp_login_with_properties(
        a->connection, a->url->vhost, 0, BUS_FRAME_MAX, a->options->heartbeat_s, &properties,
        AMQP_SASL_METHOD_PLAIN, a->url->user, a->url->password);
    return reply.reply_type == AMQP_RESPONSE_NORMAL ? 0 : login_failure(a->error, reply);
}

static int try_address(struct attempt *a)
{
    int rc = -ENOMEM;

    a->connection = amqp_new_connection();
    if (a->connection != NULL) {
        rc = a->url->tls ? open_tls(a) : open_tcp(a);
    }
    if (rc == 0) {
        rc = login(a);
    }
    if (rc < 0 && a->connection != NULL) {
        amqp_destroy_connection(a->connection);
    }
    return rc == -ENOMEM ? fail(a->error, rc, "out of memory") : rc;
}

/* A refusal that another address of the same broker would only repeat. */
static bool is_final(int rc)
{
    return rc == 0 || rc == -EACCES || rc == -ENOENT || rc == -ENOMEM || rc == -EINVAL;
}

/* Whether the caller of bus_open() lets us connect to the address. 0 or negative. */
static int judge(const struct attempt *a, struct bus_error *ret_error)
{
    const struct bus_options *o = a->options;

    return o->judge == NULL
               ? 0
               : o->judge(o->judge_context, a->address->ai_addr, a->address->ai_addrlen, ret_error);
}

/* Tries one address after the other. What went wrong with one of them is a better reason than that
 * others may not be tried. */
static int try_addresses(struct attempt *a, int n)
{
    struct bus_error refusal;
    bool tried = false;
    int rc = -EHOSTUNREACH;

    for (; n > 0; n--, a->address = a->address->ai_next) {
        int refused = judge(a, tried ? &refusal : a->error);
        if (refused == 0) {
            tried = true;
            rc = try_address(a);
        } else if (!tried) {
            rc = refused;
        }
        if (tried && is_final(rc)) {
            break;
        }
    }
    return rc;
}

int bus_connect(const struct bus_options *options, const struct bus_url *url,
                amqp_connection_state_t *ret_connection, struct bus_error *ret_error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    char port[8];
    int n = 0;
    int rc = -EHOSTUNREACH;

    snprintf(port, sizeof(port), "%u", (unsigned)url->port);
    int failure = getaddrinfo(url->host, port, &hints, &addresses);
    if (failure != 0) {
        return fail(ret_error, rc, "name look-up: %s",
                    failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
    }
    for (const struct addrinfo *a = addresses; a != NULL && n < ADDRESSES_MAX; a = a->ai_next) {
        n++;
    }
    if (n == 0) { /* getaddrinfo() promises one */
        return fail(ret_error, rc, "name look-up: no address");
    }
    int share = options->connect_timeout_ms / n;
    struct attempt attempt = {
        .options = options,
        .url = url,
        .address = addresses,
        .timeout_ms = share > ADDRESS_MIN_MS ? share : ADDRESS_MIN_MS,
        .error = ret_error,
    };
    rc = try_addresses(&attempt, n);
    freeaddrinfo(addresses);
    if (rc == 0) {
        *ret_connection = attempt.connection;
    }
    return rc;
}
