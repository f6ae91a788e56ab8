#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "common/netguard.h"

/* The address as it reaches the guard: out of the resolver, which knows the odd spellings too. */
static void resolve(const char *text, struct sockaddr_storage *ret_address)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int r = getaddrinfo(text, "80", &hints, &found);
    if (r != 0)
        fail_msg("%s: %s", text, gai_strerror(r));
    memcpy(ret_address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
}

static const char *judge(const struct netguard *guard, const char *text)
{
    struct sockaddr_storage address;
    resolve(text, &address);
    return netguard_check(guard, (struct sockaddr *)&address);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct netguard *guard_of(const char *networks)
{
    struct netguard *guard = NULL;
    char error[128] = "";
    if (netguard_new(networks, false, &guard, error, sizeof error) != 0)
        fail_msg("%s: %s", networks, error);
    return guard;
}

struct row {
    const char *address;
    const char *kind;
};

static const struct row rows[] = {
    {"127.0.0.1", "loopback"},
    {"127.255.255.255", "loopback"},
    {"127.1", "loopback"},
    {"127.0.1", "loopback"},
    {"2130706433", "loopback"},
    {"0x7f000001", "loopback"},
    {"0X7F.1", "loopback"},
    {"0177.0.0.1", "loopback"},
    {"017700000001", "loopback"},
    {"0x7f.0.0.0x1", "loopback"},
    {"126.255.255.255", NULL},
    {"128.0.0.0", NULL},
    {"0", "unspecified"},
    {"0.0.0.0", "unspecified"},
    {"0.0.0.1", "this network's"},
    {"0.255.255.255", "this network's"},
    {"1.0.0.0", NULL},
    {"9.255.255.255", NULL},
    {"10.0.0.0", "private"},
    {"10.255.255.255", "private"},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.64.0.0", "shared (carrier-grade NAT)"},
    {"100.100.100.200", "shared (carrier-grade NAT)"}, /* a cloud's metadata service */
    {"100.127.255.255", "shared (carrier-grade NAT)"},
    {"100.128.0.0", NULL},
    {"169.253.255.255", NULL},
    {"169.254.169.254", "link-local"},
    {"0xa9fea9fe", "link-local"},
    {"2852039166", "link-local"},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.16.0.0", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"191.255.255.255", NULL},
    {"192.0.0.192", "reserved"}, /* a cloud's metadata service */
    {"192.0.1.0", NULL},
    {"192.0.2.255", "documentation"},
    {"192.0.3.0", NULL},
    {"192.88.99.1", "6to4 relay"},
    {"192.167.255.255", NULL},
    {"192.168.0.0", "private"},
    {"192.168.255.255", "private"},
    {"192.169.0.0", NULL},
    {"198.17.255.255", NULL},
    {"198.18.0.0", "benchmarking"},
    {"198.19.255.255", "benchmarking"},
    {"198.20.0.0", NULL},
    {"198.51.100.7", "documentation"},
    {"203.0.113.7", "documentation"},
    {"223.255.255.255", NULL},
    {"224.0.0.1", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.0", "reserved"},
    {"255.255.255.254", "reserved"},
    {"255.255.255.255", "broadcast"},
    {"8.8.8.8", NULL},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"0:0:0:0:0:0:0:1", "loopback"},
    {"::2", "this network's"}, /* IPv4-compatible: 0.0.0.2 */
    {"::127.0.0.1", "loopback"},
    {"::10.0.0.1", "private"},
    {"::8.8.8.8", NULL},
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:7f00:1", "loopback"},
    {"0:0:0:0:0:FFFF:169.254.169.254", "link-local"},
    {"::ffff:c0a8:101", "private"},
    {"::ffff:8.8.8.8", NULL},
    {"::ffff:0:7f00:1", "reserved"}, /* IPv4-translated */
    {"::1:0:0:0", "reserved"},
    {"64:ff9b::7f00:1", "NAT64"},
    {"64:ff9b::8.8.8.8", "NAT64"},
    {"64:ff9b:1::1", "NAT64"},
    {"64:ff9b:1:ffff::1", "NAT64"},
    {"100::1", "reserved"},
    {"1fff:ffff::1", "reserved"},
    {"2000::1", NULL},
    {"2001::1", "Teredo"},
    {"2001:0:7f00:1::", "Teredo"},
    {"2001:1::1", "reserved"},
    {"2001:1ff::1", "reserved"},
    {"2001:200::1", NULL},
    {"2001:4860:4860::8888", NULL},
    {"2001:db7:ffff::1", NULL},
    {"2001:db8::1", "documentation"},
    {"2001:db9::1", NULL},
    {"2002:7f00:1::", "6to4"},
    {"2003::1", NULL},
    {"2606:4700::1111", NULL},
    {"3fff::1", "documentation"},
    {"3fff:0fff::1", "documentation"},
    {"3fff:1000::1", NULL},
    {"4000::1", "reserved"},
    {"5f00::1", "reserved"},
    {"fbff::1", "reserved"},
    {"fc00::1", "private"},
    {"fd00:ec2::254", "private"}, /* a cloud's metadata service */
    {"fdff:ffff::1", "private"},
    {"fe00::1", "reserved"},
    {"fe80::1", "link-local"},
    {"febf::1", "link-local"},
    {"fec0::1", "site-local"},
    {"ff02::1", "multicast"},
};

static void refuses_what_is_not_of_the_public_internet(void **state)
{
    struct netguard *guard = guard_of("");
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *kind = judge(guard, rows[i].address);
        if (!same(kind, rows[i].kind) || !same(judge(NULL, rows[i].address), rows[i].kind))
            fail_msg("%s is %s, not %s", rows[i].address, kind != NULL ? kind : "allowed",
                     rows[i].kind != NULL ? rows[i].kind : "allowed");
    }
    netguard_free(guard);
}

static void judges_an_address_as_text_like_the_same_one_in_binary(void **state)
{
    struct netguard *guard = guard_of("10.0.0.0/8 fd00::/8");
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[16];
        bool plain = inet_pton(AF_INET, rows[i].address, bytes) == 1 ||
                     inet_pton(AF_INET6, rows[i].address, bytes) == 1;
        const char *wanted = plain ? judge(guard, rows[i].address) : "unknown";
        if (!same(netguard_check_text(guard, rows[i].address), wanted))
            fail_msg("%s", rows[i].address);
    }
    assert_string_equal(netguard_check_text(guard, ""), "unknown");
    assert_string_equal(netguard_check_text(guard, "10.0.0.1 "), "unknown");
    assert_string_equal(netguard_check_text(guard, "localhost"), "unknown");
    netguard_free(guard);
    /* A zone is not looked at, whatever is allowed: the address alone is what a connection has. */
    guard = guard_of("fe80::/10");
    assert_null(netguard_check_text(guard, "fe80::1"));
    assert_string_equal(netguard_check_text(guard, "fe80::1%eth0"), "unknown");
    netguard_free(guard);
}

static void lets_allowed_networks_win(void **state)
{
    static const struct {
        const char *networks, *address;
        const char *kind;
    } table[] = {
        {"127.0.0.0/8", "127.1", NULL},
        {"127.0.0.0/8", "::ffff:127.0.0.1", NULL},
        {"127.0.0.0/8", "::127.0.0.1", NULL},
        {"127.0.0.0/8", "::1", "loopback"},
        {"::1", "::1", NULL},
        {"::1", "127.0.0.1", "loopback"},
        {"10.1.0.0/16", "10.1.255.255", NULL},
        {"10.1.0.0/16", "10.2.0.0", "private"},
        {"10.1.0.0/17", "10.1.128.0", "private"},
        {"10.1.2.3", "10.1.2.3", NULL},
        {"10.1.2.3", "10.1.2.2", "private"},
        {"10.1.2.2/31", "10.1.2.3", NULL},
        {"10.1.2.2/31", "10.1.2.4", "private"},
        {"::ffff:10.0.0.0/104", "10.9.9.9", NULL},
        {"::ffff:10.0.0.0/104", "11.9.9.9", NULL},
        {"::ffff:10.0.0.0/104", "172.16.0.1", "private"},
        {"0.0.0.0/0", "169.254.169.254", NULL},
        {"0.0.0.0/0", "fe80::1", "link-local"},
        {"::/0", "fe80::1", NULL},
        {"::/0", "169.254.169.254", "link-local"},
        {"::/0", "::ffff:169.254.169.254", "link-local"},
        {"fd00::/8", "fd12::1", NULL},
        {"fd00::/8", "fc12::1", "private"},
        {"2001:db8::/33", "2001:db8:7fff::1", NULL},
        {"2001:db8::/33", "2001:db8:8000::1", "documentation"},
        {"64:ff9b::/96", "64:ff9b::8.8.8.8", NULL},
        {"64:ff9b::/96", "64:ff9b::10.0.0.1", "private"},
        {"64:ff9b::/96,10.0.0.0/8", "64:ff9b::10.0.0.1", NULL},
        {"::/0", "64:ff9b::10.0.0.1", "private"},
        {" 10.0.0.0/8,,fd00::/8\t192.168.0.0/16 , ::1", "192.168.7.7", NULL},
        {" 10.0.0.0/8,,fd00::/8\t192.168.0.0/16 , ::1", "::1", NULL},
        {" , ", "127.0.0.1", "loopback"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct netguard *guard = guard_of(table[i].networks);
        const char *kind = judge(guard, table[i].address);
        if (!same(kind, table[i].kind))
            fail_msg("%s with \"%s\" is %s", table[i].address, table[i].networks,
                     kind != NULL ? kind : "allowed");
        netguard_free(guard);
    }
}

static void names_the_entry_that_is_no_network(void **state)
{
    static const struct {
        const char *networks, *words;
    } table[] = {
        {"10.0.0.0/33", "\"10.0.0.0/33\" is no network: the number behind / is 0 to 32"},
        {"10.0.0.0/8, fd00::/129", "\"fd00::/129\" is no network: the number behind / is 0 to 128"},
        {"10.0.0.0/", "\"10.0.0.0/\" is no network: the number behind / is 0 to 32"},
        {"10.0.0.0/-1", "\"10.0.0.0/-1\" is no network: the number behind / is 0 to 32"},
        {"10.0.0.0/+8", "\"10.0.0.0/+8\" is no network: the number behind / is 0 to 32"},
        {"10.0.0.0/8/8", "\"10.0.0.0/8/8\" is no network: the number behind / is 0 to 32"},
        {"10.0.0.0/0008", "\"10.0.0.0/0008\" is no network: the number behind / is 0 to 32"},
        {"10.0.0.0/255.0.0.0", "is no network: the number behind / is 0 to 32"},
        {"10.0/8", "\"10.0/8\" is no network: such as 10.1.0.0/16, fd00::/8 or one address"},
        {"010.0.0.0/8", "\"010.0.0.0/8\" is no network: such as"},
        {"0x0a000000/8", "\"0x0a000000/8\" is no network: such as"},
        {"localhost", "\"localhost\" is no network: such as"},
        {"*", "\"*\" is no network: such as"},
        {"/8", "\"/8\" is no network: such as"},
        {"fe80::1%lo", "\"fe80::1%lo\" is no network: such as"},
        {"[::1]", "\"[::1]\" is no network: such as"},
        {"10.0.0.0/8;::1", "\"10.0.0.0/8;::1\" is no network: the number behind / is 0 to 32"},
        {"10.1.2.3/8", "\"10.1.2.3/8\" is no network: an address inside of 10.0.0.0/8; write that, "
                       "or /32 for it alone"},
        {"2001:db8::1/32", "an address inside of 2001:db8::/32; write that, or /128 for it alone"},
        {"::ffff:0.0.0.0/95", "\"::ffff:0.0.0.0/95\" is no network: write it as IPv4"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct netguard *guard = NULL;
        char error[256] = "";
        int r = netguard_new(table[i].networks, false, &guard, error, sizeof error);
        if (r != -EINVAL || guard != NULL || strstr(error, table[i].words) == NULL)
            fail_msg("%s: %d, %s", table[i].networks, r, error);
    }
}

static void takes_a_bounded_number_of_networks(void **state)
{
    char networks[257 * 10 + 1] = "";
    char error[128] = "";
    (void)state;
    for (size_t i = 0; i < 256; i++)
        memcpy(networks + i * 10, "10.1.2.3 , ", 10);
    assert_int_equal(netguard_parse(networks, error, sizeof error), 0);
    memcpy(networks + 2560, "10.1.2.3 , ", 10);
    assert_int_equal(netguard_parse(networks, error, sizeof error), -EINVAL);
    assert_string_equal(error, "at most 256 networks");
}

static void takes_other_networks_or_keeps_what_it_has(void **state)
{
    struct netguard *guard = guard_of("10.0.0.0/8");
    char error[128] = "";
    (void)state;
    assert_int_equal(netguard_change(guard, "10.0.0.0/8 x", true, error, sizeof error), -EINVAL);
    assert_null(judge(guard, "10.0.0.1"));
    assert_null(netguard_for_proxy(guard));
    assert_int_equal(netguard_change(guard, "192.168.0.0/16", true, error, sizeof error), 0);
    assert_string_equal(judge(guard, "10.0.0.1"), "private");
    assert_null(judge(guard, "192.168.0.1"));
    netguard_free(guard);
    netguard_free(NULL);
}

static void lets_a_proxy_be_used_only_when_it_guards_itself(void **state)
{
    struct netguard *guard = guard_of("");
    char error[128] = "";
    (void)state;
    assert_null(netguard_for_proxy(NULL));
    assert_null(netguard_for_proxy(guard));
    assert_int_equal(netguard_change(guard, "", true, error, sizeof error), 0);
    const struct netguard *proxied = netguard_for_proxy(guard);
    assert_non_null(proxied);
    assert_null(judge(proxied, "10.0.0.1"));
    assert_null(judge(proxied, "::1"));
    assert_null(judge(proxied, "64:ff9b::10.0.0.1"));
    assert_string_equal(judge(guard, "10.0.0.1"), "private");
    netguard_free(guard);
}

static void refuses_other_families(void **state)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct netguard *guard = guard_of("0.0.0.0/0, ::/0");
    (void)state;
    assert_string_equal(netguard_check(guard, (struct sockaddr *)&path), "unknown");
    netguard_free(guard);
    char text[64];
    netguard_print((struct sockaddr *)&path, text, sizeof text);
    assert_string_equal(text, "(not IP)");
}

static void tells_host_address_and_setting(void **state)
{
    struct sockaddr_storage address;
    char printed[64];
    char host[300];
    char text[256];
    (void)state;
    resolve("0x7f000001", &address);
    netguard_print((struct sockaddr *)&address, printed, sizeof printed);
    netguard_explain("loopback", "erp.example", printed, text, sizeof text);
    assert_string_equal(text, "policy: refused by the network guard: erp.example has the loopback "
                              "address 127.0.0.1; [security] allow_networks in the worker's "
                              "configuration can allow it");
    resolve("fd00:1111:2222:3333:4444:5555:6666:7777", &address);
    memset(host, 'h', sizeof host);
    host[sizeof host - 1] = '\0';
    netguard_print((struct sockaddr *)&address, printed, sizeof printed);
    netguard_explain("shared (carrier-grade NAT)", host, printed, text, sizeof text);
    assert_non_null(strstr(text,
                           " fd00:1111:2222:3333:4444:5555:6666:7777; [security] allow_networks "
                           "in the worker's configuration can allow it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_of_the_public_internet),
        cmocka_unit_test(judges_an_address_as_text_like_the_same_one_in_binary),
        cmocka_unit_test(lets_allowed_networks_win),
        cmocka_unit_test(names_the_entry_that_is_no_network),
        cmocka_unit_test(takes_a_bounded_number_of_networks),
        cmocka_unit_test(takes_other_networks_or_keeps_what_it_has),
        cmocka_unit_test(lets_a_proxy_be_used_only_when_it_guards_itself),
        cmocka_unit_test(refuses_other_families),
        cmocka_unit_test(tells_host_address_and_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
