/* URLs that are taken apart once: requests go by the parts, which say what the text says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "dispatcher/rest_url.h"

static void the_parts_say_what_the_text_says(void **state)
{
    static const char *const texts[] = {
        "https://h/",
        "http://127.0.0.1:8080/a/b?c=d&e=%20",
        "https://h/x//y/",
        "https://h/a/evil.example/x",
        "https://h/@evil.example/",
        "https://h/https://evil.example/",
        "https://h/:99/x",
        "https://h/a?k=1/x",
        "https://h/a?b=../c",
        "https://h/./a/../b",
        "https://user:p%40ss@h:1/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct Curl_URL *url = rest_url_new(texts[i]);
        char *text = NULL;
        assert_non_null(url);
        assert_int_equal(curl_url_get(url, CURLUPART_URL, &text, 0), CURLUE_OK);
        assert_string_equal(text, texts[i]);
        curl_free(text);
        rest_url_free(url);
    }
}

static void what_curl_shall_judge_itself_stays_text(void **state)
{
    static const char *const texts[] = {
        "", "h", "http://", "https://h:99999/", "https://[fe80::1%25eth0]:8443/x", "https://h/\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_message("%s\n", texts[i]);
        assert_null(rest_url_new(texts[i]));
    }
    rest_url_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_say_what_the_text_says),
        cmocka_unit_test(what_curl_shall_judge_itself_stays_text),
    };
    return cmocka_run_group_tests_name("URLs taken apart", tests, NULL, NULL);
}
