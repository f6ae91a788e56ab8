#include "common/netguard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    MAX_NETWORKS = 256,
    NETWORK_TEXT = INET6_ADDRSTRLEN + 8,
    V4_BITS = 32,
    V6_BITS = 128,
    MAPPED_BITS = 96, /* before the IPv4 address in an IPv6 one */
    HOST_SHOWN = 48,
};

/* The first `bits` bits of an address; of an IPv4 one there are 4 bytes. */
struct network {
    uint8_t bytes[16];
    uint8_t bits;
    bool v4;
};

struct place {
    struct network network;
    const char *kind;
};

struct address {
    uint8_t bytes[16];
    bool v4;
};

struct netguard {
    struct network *allowed;
    size_t n_allowed;
    bool all; /* whatever the address */
    bool proxy_enforces_egress;
};

#define V4(a, b, c, d, n)                                                                          \
    {                                                                                              \
        .bytes = {a, b, c, d}, .bits = (n), .v4 = true                                             \
    }
#define V6(n, ...)                                                                                 \
    {                                                                                              \
        .bytes = {__VA_ARGS__}, .bits = (n)                                                        \
    }

/* IANA's registries of special-purpose addresses, and multicast. The first that holds an address
 * names its kind. */
static const struct place places[] = {
    {V4(127, 0, 0, 0, 8), "loopback"},
    {V4(10, 0, 0, 0, 8), "private"},
    {V4(172, 16, 0, 0, 12), "private"},
    {V4(192, 168, 0, 0, 16), "private"},
    {V4(169, 254, 0, 0, 16), "link-local"},
    {V4(100, 64, 0, 0, 10), "shared (carrier-grade NAT)"},
    {V4(0, 0, 0, 0, 32), "unspecified"},
    {V4(0, 0, 0, 0, 8), "this network's"},
    {V4(192, 0, 0, 0, 24), "reserved"},
    {V4(192, 0, 2, 0, 24), "documentation"},
    {V4(192, 88, 99, 0, 24), "6to4 relay"},
    {V4(198, 18, 0, 0, 15), "benchmarking"},
    {V4(198, 51, 100, 0, 24), "documentation"},
    {V4(203, 0, 113, 0, 24), "documentation"},
    {V4(224, 0, 0, 0, 4), "multicast"},
    {V4(255, 255, 255, 255, 32), "broadcast"},
    {V4(240, 0, 0, 0, 4), "reserved"},
    {V6(128, [15] = 1), "loopback"},
    {V6(128, 0), "unspecified"},
    {V6(7, 0xfc), "private"},
    {V6(10, 0xfe, 0x80), "link-local"},
    {V6(10, 0xfe, 0xc0), "site-local"},
    {V6(8, 0xff), "multicast"},
    {V6(96, 0x00, 0x64, 0xff, 0x9b), "NAT64"},
    {V6(48, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01), "NAT64"},
    {V6(32, 0x20, 0x01, 0x00, 0x00), "Teredo"},
    {V6(23, 0x20, 0x01, 0x00), "reserved"},
    {V6(32, 0x20, 0x01, 0x0d, 0xb8), "documentation"},
    {V6(16, 0x20, 0x02), "6to4"},
    {V6(20, 0x3f, 0xff), "documentation"},
};

static const struct network nat64 = V6(96, 0x00, 0x64, 0xff, 0x9b);
/* Everything else of IPv6 that is in use is inside of this (RFC 4291, 2.4). */
static const struct network global_unicast = V6(3, 0x20);

static const struct netguard open_guard = {.all = true};

static bool same_bits(const uint8_t *a, const uint8_t *b, size_t bits)
{
    size_t whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool holds(const struct network *n, const struct address *a)
{
    return n->v4 == a->v4 && same_bits(n->bytes, a->bytes, n->bits);
}

static bool is_allowed(const struct netguard *guard, const struct address *a)
{
    if (guard == NULL)
        return false;
    for (size_t i = 0; i < guard->n_allowed; i++)
        if (holds(&guard->allowed[i], a))
            return true;
    return guard->all;
}

static struct address v4_of(const uint8_t *bytes)
{
    struct address a = {.v4 = true};
    memcpy(a.bytes, bytes, 4);
    return a;
}

static struct address v6_of(const uint8_t *bytes)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct address a = {.v4 = false};
    if (memcmp(bytes, mapped, sizeof mapped) == 0)
        return v4_of(bytes + sizeof mapped);
    memcpy(a.bytes, bytes, sizeof a.bytes);
    return a;
}

static bool address_of(const struct sockaddr *address, struct address *ret_address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        *ret_address = v4_of((const uint8_t *)&in->sin_addr);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
        *ret_address = v6_of(in->sin6_addr.s6_addr);
        return true;
    }
    return false;
}

static const char *kind_of(const struct address *a)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (holds(&places[i].network, a))
            return places[i].kind;
    return NULL;
}

static const char *judge_v4(const struct netguard *guard, const uint8_t *bytes)
{
    struct address a = v4_of(bytes);
    return is_allowed(guard, &a) ? NULL : kind_of(&a);
}

static const char *judge_v6(const struct netguard *guard, const struct address *a)
{
    static const uint8_t zeros[12];
    const char *kind;
    if (is_allowed(guard, a)) {
        bool translated = holds(&nat64, a) && !guard->all;
        return translated ? judge_v4(guard, a->bytes + sizeof zeros) : NULL;
    }
    kind = kind_of(a);
    if (kind != NULL)
        return kind;
    if (memcmp(a->bytes, zeros, sizeof zeros) == 0) /* RFC 4291, 2.5.5.1 */
        return judge_v4(guard, a->bytes + sizeof zeros);
    return holds(&global_unicast, a) ? NULL : "reserved";
}

static const char *judge(const struct netguard *guard, const struct address *a)
{
    return a->v4 ? judge_v4(guard, a->bytes) : judge_v6(guard, a);
}

const char *netguard_check(const struct netguard *guard, const struct sockaddr *address)
{
    struct address a;
    return address_of(address, &a) ? judge(guard, &a) : "unknown";
}

/* False: the text is no address. */
static bool read_address(const char *text, struct address *ret_address, bool *ret_v4_text)
{
    uint8_t bytes[16];
    *ret_v4_text = inet_pton(AF_INET, text, bytes) == 1;
    if (*ret_v4_text) {
        *ret_address = v4_of(bytes);
        return true;
    }
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return false;
    *ret_address = v6_of(bytes);
    return true;
}

const char *netguard_check_text(const struct netguard *guard, const char *address)
{
    struct address a;
    bool v4_text;
    return read_address(address, &a, &v4_text) ? judge(guard, &a) : "unknown";
}

const struct netguard *netguard_for_proxy(const struct netguard *guard)
{
    return guard != NULL && guard->proxy_enforces_egress ? &open_guard : NULL;
}

/* The number behind the slash: digits alone, at most `max`. -1 when it is none. */
static int read_bits(const char *text, int max)
{
    int bits = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 3 || strspn(text, "0123456789") != len)
        return -1;
    for (; *text != '\0'; text++)
        bits = bits * 10 + (*text - '0');
    return bits <= max ? bits : -1;
}

static void clear_rest(struct network *n)
{
    size_t all = n->v4 ? V4_BITS : V6_BITS;
    for (size_t bit = n->bits; bit < all; bit++)
        n->bytes[bit / 8] &= (uint8_t) ~(0x80U >> (bit % 8));
}

static int refuse_entry(const char *entry, const char *why, char *ret_error, size_t size)
{
    snprintf(ret_error, size, "\"%.60s\" is no network: %s", entry, why);
    return -EINVAL;
}

/* The network that has bits set behind its prefix is a slip of the pen: which one is meant? */
static int refuse_rest(const char *entry, const struct network *n, char *ret_error, size_t size)
{
    char network[INET6_ADDRSTRLEN] = "";
    char why[INET6_ADDRSTRLEN + 80];
    inet_ntop(n->v4 ? AF_INET : AF_INET6, n->bytes, network, sizeof network);
    snprintf(why, sizeof why, "an address inside of %s/%d; write that, or /%d for it alone",
             network, n->bits, n->v4 ? V4_BITS : V6_BITS);
    return refuse_entry(entry, why, ret_error, size);
}

static int read_network(const char *entry, struct network *ret_network, char *ret_error,
                        size_t size)
{
    static const char accepted[] = "such as 10.1.0.0/16, fd00::/8 or one address";
    char text[NETWORK_TEXT];
    struct network n = {.bits = 0};
    struct address a;
    bool v4_text;
    snprintf(text, sizeof text, "%s", entry);
    char *slash = strchr(text, '/');
    if (slash != NULL)
        *slash = '\0';
    if (strlen(entry) >= sizeof text || !read_address(text, &a, &v4_text))
        return refuse_entry(entry, accepted, ret_error, size);
    int max = v4_text ? V4_BITS : V6_BITS;
    int bits = slash != NULL ? read_bits(slash + 1, max) : max;
    if (bits < 0)
        return refuse_entry(
            entry, v4_text ? "the number behind / is 0 to 32" : "the number behind / is 0 to 128",
            ret_error, size);
    if (a.v4 && !v4_text) { /* ::ffff:10.0.0.0/104 */
        if (bits < MAPPED_BITS)
            return refuse_entry(entry, "write it as IPv4", ret_error, size);
        bits -= MAPPED_BITS;
    }
    memcpy(n.bytes, a.bytes, sizeof n.bytes);
    n.v4 = a.v4;
    n.bits = (uint8_t)bits;
    clear_rest(&n);
    if (memcmp(n.bytes, a.bytes, sizeof n.bytes) != 0)
        return refuse_rest(entry, &n, ret_error, size);
    *ret_network = n;
    return 0;
}

/* Takes the list apart, in place. */
static int read_list(char *text, struct network *networks, size_t *ret_n, char *ret_error,
                     size_t size)
{
    char *rest = text;
    size_t n = 0;
    for (char *entry; (entry = strsep(&rest, ", \t")) != NULL;) {
        if (*entry == '\0')
            continue;
        if (n == MAX_NETWORKS) {
            snprintf(ret_error, size, "at most %d networks", MAX_NETWORKS);
            return -EINVAL;
        }
        int r = read_network(entry, &networks[n], ret_error, size);
        if (r < 0)
            return r;
        n++;
    }
    *ret_n = n;
    return 0;
}

static int read_networks(const char *text, struct network **ret_networks, size_t *ret_n,
                         char *ret_error, size_t size)
{
    struct network *networks = calloc(MAX_NETWORKS, sizeof *networks);
    char *copy = strdup(text);
    int r = -ENOMEM;
    if (networks != NULL && copy != NULL)
        r = read_list(copy, networks, ret_n, ret_error, size);
    else
        snprintf(ret_error, size, "out of memory");
    free(copy);
    if (r == 0)
        *ret_networks = networks;
    else
        free(networks);
    return r;
}

int netguard_parse(const char *allow_networks, char *ret_error, size_t size)
{
    struct network *networks = NULL;
    size_t n = 0;
    int r = read_networks(allow_networks, &networks, &n, ret_error, size);
    if (r == 0)
        free(networks);
    return r;
}

int netguard_change(struct netguard *guard, const char *allow_networks, bool proxy_enforces_egress,
                    char *ret_error, size_t size)
{
    struct network *networks = NULL;
    size_t n = 0;
    int r = read_networks(allow_networks, &networks, &n, ret_error, size);
    if (r < 0)
        return r;
    free(guard->allowed);
    guard->allowed = networks;
    guard->n_allowed = n;
    guard->proxy_enforces_egress = proxy_enforces_egress;
    return 0;
}

int netguard_new(const char *allow_networks, bool proxy_enforces_egress,
                 struct netguard **ret_guard, char *ret_error, size_t size)
{
    struct netguard *guard = calloc(1, sizeof *guard);
    if (guard == NULL) {
        snprintf(ret_error, size, "out of memory");
        return -ENOMEM;
    }
    int r = netguard_change(guard, allow_networks, proxy_enforces_egress, ret_error, size);
    if (r < 0)
        free(guard);
    else
        *ret_guard = guard;
    return r;
}

void netguard_free(struct netguard *guard)
{
    if (guard == NULL)
        return;
    free(guard->allowed);
    free(guard);
}

void netguard_print(const struct sockaddr *address, char *ret_text, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "(not IP)";
    const void *bytes = NULL;
    if (address->sa_family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address->sa_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (bytes != NULL)
        inet_ntop(address->sa_family, bytes, text, sizeof text);
    snprintf(ret_text, size, "%s", text);
}

void netguard_explain(const char *kind, const char *host, const char *address, char *ret_text,
                      size_t size)
{
    snprintf(ret_text, size,
             "policy: refused by the network guard: %.*s has the %s address %.45s; "
             "[security] allow_networks in the worker's configuration can allow it",
             HOST_SHOWN, host, kind, address);
}
