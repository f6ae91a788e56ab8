#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/resttrouble.h"

struct row {
    struct resttrouble trouble;
    enum outcome_kind kind;
    const char *words;
};

static const struct row rows[] = {
    {{.code = CURLE_COULDNT_RESOLVE_HOST, .words = "Could not resolve host: x"},
     OUTCOME_DNS,
     "Could not resolve host: x"},
    {{.code = CURLE_COULDNT_CONNECT, .words = ""}, OUTCOME_CONNECT, "Couldn't connect to server"},
    {{.code = CURLE_COULDNT_CONNECT, .words = "Couldn't connect", .refusal = "policy: refused"},
     OUTCOME_INVALID,
     "policy: refused"},
    {{.code = CURLE_COULDNT_CONNECT, .words = "", .local_errno = EMFILE},
     OUTCOME_LOCAL,
     "cannot open a socket: Too many open files"},
    {{.code = CURLE_OPERATION_TIMEDOUT, .words = "late"}, OUTCOME_TIMEOUT, "late"},
    {{.code = CURLE_OPERATION_TIMEDOUT, .words = "late", .answer_began = true},
     OUTCOME_TIMEOUT,
     "late"},
    {{.code = CURLE_OPERATION_TIMEDOUT, .words = "late", .stood_still = true},
     OUTCOME_LOCAL,
     "this process stood still while the answer was awaited"},
    {{.code = CURLE_RECV_ERROR, .words = "reset", .stood_still = true}, OUTCOME_BROKEN, "reset"},
    {{.code = CURLE_RECV_ERROR, .words = "reset"}, OUTCOME_BROKEN, "reset"},
    {{.code = CURLE_GOT_NOTHING, .words = "empty"}, OUTCOME_BROKEN, "empty"},
    {{.code = CURLE_WRITE_ERROR, .words = "w", .body_too_large = true},
     OUTCOME_BROKEN,
     "the answer's body is too large"},
    {{.code = CURLE_FILESIZE_EXCEEDED, .words = "w"},
     OUTCOME_BROKEN,
     "the answer's body is too large"},
    {{.code = CURLE_WRITE_ERROR, .words = "w", .header_too_large = true},
     OUTCOME_BROKEN,
     "the answer's headers are too large"},
    {{.code = CURLE_OUT_OF_MEMORY, .words = ""}, OUTCOME_LOCAL, "Out of memory"},
    {{.code = CURLE_OUT_OF_MEMORY, .words = "", .answer_began = true},
     OUTCOME_BROKEN,
     "a header line of the answer is too long"},
    {{.code = CURLE_URL_MALFORMAT, .words = "bad URL"}, OUTCOME_INVALID, "bad URL"},
    {{.code = CURLE_UNSUPPORTED_PROTOCOL, .words = "ftp"}, OUTCOME_INVALID, "ftp"},
    {{.code = CURLE_UNSUPPORTED_PROTOCOL, .words = "HTTP/0.9", .answer_began = true},
     OUTCOME_BROKEN,
     "HTTP/0.9"},
    {{.code = CURLE_PEER_FAILED_VERIFICATION, .words = "expired"}, OUTCOME_TLS, "expired"},
    {{.code = CURLE_SSL_CONNECT_ERROR, .words = "alert protocol version"},
     OUTCOME_TLS,
     "alert protocol version"},
    {{.code = CURLE_SSL_CONNECT_ERROR, .words = "OpenSSL SSL_connect: SSL_ERROR_SYSCALL"},
     OUTCOME_BROKEN,
     "the connection was cut in the TLS handshake"},
    {{.code = CURLE_SSL_CACERT_BADFILE, .words = "no CA"}, OUTCOME_LOCAL, "no CA"},
    {{.code = CURLE_HTTP2, .words = "unknown"}, OUTCOME_BROKEN, "unknown"},
};

static void names_kind_and_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct outcome outcome = {.status = 0};
        resttrouble_explain(&rows[i].trouble, &outcome);
        if (outcome.kind != rows[i].kind || strcmp(outcome.text, rows[i].words) != 0)
            fail_msg("row %zu: kind %d \"%s\"", i, (int)outcome.kind, outcome.text);
    }
}

static void shows_a_location_without_its_secrets(void **state)
{
    static const char *const cases[][2] = {
        {"https://a.example/x", "https://a.example/x"},
        {"https://user:pw@a.example/x?token=1#f", "https://a.example/x"},
        {"https://user@pw@a.example/x", "https://a.example/x"},
        {"https://a.example/u@home", "https://a.example/u@home"},
        {"https://a.example?next=https://u:p@b/", "https://a.example"},
        {"/relative?next=http://u:p@b/", "/relative"},
        {"//user:pw@a.example/x", "//a.example/x"},
        {"user@x://y", "user@x://y"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        resttrouble_location(cases[i][0], text, sizeof text);
        assert_string_equal(text, cases[i][1]);
    }
}

static void cuts_a_long_location(void **state)
{
    char location[512] = "https://u:p@a.example/", text[32];
    (void)state;
    memset(location + strlen(location), 'x', 400);
    resttrouble_location(location, text, sizeof text);
    assert_string_equal(text, "https://a.example/xxxxxxxxxxxxx");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_kind_and_words),
        cmocka_unit_test(shows_a_location_without_its_secrets),
        cmocka_unit_test(cuts_a_long_location),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
