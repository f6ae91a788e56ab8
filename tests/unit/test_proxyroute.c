/* Which services go past the forward proxy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatcher/proxyroute.h"

static void knows_hosts_and_all_below_them(void **state)
{
    (void)state;
    static const struct {
        const char *list, *url;
        bool direct;
    } rows[] = {
        {"", "http://a.example/", false},
        {"*", "http://a.example/", true},
        {"a.example", "http://a.example/x", true},
        {"a.example", "https://A.EXAMPLE:8443/x", true},
        {"a.example", "http://b.a.example", true},
        {".a.example", "http://b.a.example", true},
        {".a.example", "http://a.example", true},
        {"a.example", "http://ba.example", false},
        {"a.example", "http://a.example.evil", false},
        {"a.example", "http://a.example./", true},
        {"x.example, a.example", "http://a.example", true},
        {"x.example a.example", "http://a.example?q", true},
        {" , ,", "http://a.example", false},
        {".", "http://a.example", false},
        {"127.0.0.1", "http://127.0.0.1:80/", true},
        {"0.0.1", "http://127.0.0.1/", true}, /* a name and an address are told apart nowhere */
        {"::1", "http://[::1]:80/", true},
        {"::1", "http://[::11]/", false},
        {"a.example", "http://evil/a.example", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (proxyroute_is_direct(rows[i].list, rows[i].url) != rows[i].direct) {
            fail_msg("\"%s\" and %s", rows[i].list, rows[i].url);
        }
    }
}

static void accepts_proxies_of_http_and_https(void **state)
{
    (void)state;
    static const struct {
        const char *proxy;
        int result;
    } rows[] = {
        {"", 0},
        {"http://proxy.example:3128", 0},
        {"https://proxy.example", 0},
        {"http://u:p%40ss@proxy.example:3128/", 0},
        {"http://u:p@[::1]:3128", 0},
        {"http://user:geheim/Pass99@proxy.example:3128", -22}, /* curl's host would be "user" */
        {"http://user:80/geheim@proxy.example:3128", -22},
        {"http://u:a?b@proxy.example", -22},
        {"http://u:a#b@proxy.example", -22},
        {"http://u:a@b@proxy.example", -22},
        {"http://u:a b@proxy.example", -22},
        {"http://u:a,b@proxy.example", -22},
        {"proxy.example:3128", -22},
        {"socks5://proxy.example", -22},
        {"http://", -22},
        {"http://proxy.example:99999", -22},
        {"http://proxy.example/path", -22},
        {"http://proxy example", -22},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char reason[200] = "";
        int r = proxyroute_check(rows[i].proxy, reason, sizeof(reason));
        if (r != rows[i].result || (r < 0) != (reason[0] != '\0')) {
            fail_msg("%s: %d %s", rows[i].proxy, r, reason);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_hosts_and_all_below_them),
        cmocka_unit_test(accepts_proxies_of_http_and_https),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
