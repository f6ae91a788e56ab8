#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf.h"

struct sample {
    char *name;
    char *password;
    char *urls;
    int64_t count;
    int64_t free_number;
    int64_t size;
    int64_t delay;
    bool flag;
    int mode;
};

static int check_name(const char *value, char *ret_reason, size_t size)
{
    if (strchr(value, '!') == NULL)
        return 0;
    snprintf(ret_reason, size, "anything without !");
    return -EINVAL;
}

static const char *const modes[] = {"fast", "safe", NULL};

#define FIELD(member) .offset = offsetof(struct sample, member)
static const struct conf_setting rows_of_table[] = {
    {"one", "name", CONF_TEXT, FIELD(name), .fallback = "anna", .check = check_name, .help = "N."},
    {"one", "password", CONF_SECRET, FIELD(password), .fallback = "", .help = "P."},
    {"one", "urls", CONF_URL_LIST, FIELD(urls), .fallback = "amqp://h/", .help = "U."},
    {"two", "count", CONF_NUMBER, FIELD(count), .fallback = "7", .min = -5, .max = 512,
     .reloadable = true, .help = "C|D."},
    {"two", "free", CONF_NUMBER, FIELD(free_number), .fallback = "0", .help = "F."},
    {"two", "size", CONF_BYTES, FIELD(size), .fallback = "64k", .min = 1024, .max = 1 << 20,
     .help = "S."},
    {"two", "delay", CONF_DURATION, FIELD(delay), .fallback = "1500ms", .min = 100, .max = 3600000,
     .help = "D."},
    {"two", "flag", CONF_BOOL, FIELD(flag), .fallback = "yes", .help = "F."},
    {"two", "mode", CONF_CHOICE, FIELD(mode), .fallback = "safe", .choices = modes, .help = "M."},
};
static const struct conf_table table = {rows_of_table,
                                        sizeof(rows_of_table) / sizeof(rows_of_table[0])};

static char path[] = "/tmp/mih-conf-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

/* Loads a file of this content. */
static int load_bytes(const char *content, size_t len, struct sample *ret, struct conf_error *error)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    *ret = (struct sample){.name = NULL};
    return conf_load(&table, ret, path, error);
}

static int load(const char *content, struct sample *ret, struct conf_error *error)
{
    return load_bytes(content, strlen(content), ret, error);
}

static void defaults_hold_without_a_file(void **state)
{
    (void)state;
    struct sample s = {.name = NULL};
    struct conf_error error = {.text = ""};
    assert_int_equal(conf_load(&table, &s, NULL, &error), 0);
    assert_string_equal(s.name, "anna");
    assert_string_equal(s.password, "");
    assert_int_equal(s.count, 7);
    assert_int_equal(s.size, 65536);
    assert_int_equal(s.delay, 1500);
    assert_true(s.flag);
    assert_int_equal(s.mode, 1);
    conf_release(&table, &s);
    assert_null(s.name);
}

static void a_file_may_hold_comments_blank_lines_and_sections_in_any_order(void **state)
{
    (void)state;
    static const char content[] = "\xef\xbb\xbf# first\r\n\n; second\n"
                                  "[two]\n  count = -5\nsize=1M\ndelay = 2m\nflag = OFF\n"
                                  "[one]\nname = a = b # kept ; too\npassword=\n"
                                  "[ two ]\r\nmode = FAST";
    struct sample s;
    struct conf_error error = {.text = ""};
    if (load(content, &s, &error))
        fail_msg("%s", error.text);
    assert_int_equal(s.count, -5);
    assert_int_equal(s.size, 1 << 20);
    assert_int_equal(s.delay, 120000);
    assert_false(s.flag);
    assert_string_equal(s.name, "a = b # kept ; too");
    assert_string_equal(s.password, "");
    assert_int_equal(s.mode, 0);
    conf_release(&table, &s);
}

static void errors_name_the_line_the_key_and_what_is_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        const char *expected; /* after the path */
    } rows[] = {
        {"[two]\n\ncount = 900", ":3: two.count: 900 is not accepted: -5 to 512"},
        {"[two]\ncount = -6", ":2: two.count: -6 is not accepted: -5 to 512"},
        {"[two]\ncount = 1x", ":2: two.count: 1x is not accepted: -5 to 512"},
        {"[two]\ncount = +1", ":2: two.count: +1 is not accepted: -5 to 512"},
        {"[two]\ncount =", ":2: two.count: an empty value is not accepted: -5 to 512"},
        {"[two]\nfree = 99999999999999999999",
         ":2: two.free: 99999999999999999999 is not accepted: a whole number"},
        {"[two]\nsize = 1T", ":2: two.size: 1T is not accepted: 1k to 1M (bytes, or with k, M, G)"},
        {"[two]\nsize = 9999999999G",
         ":2: two.size: 9999999999G is not accepted: 1k to 1M (bytes, or with k, M, G)"},
        {"[two]\ndelay = 99ms", ":2: two.delay: 99ms is not accepted: 100ms to 1h (seconds, or "
                                "with ms, s, m, h, d)"},
        {"[two]\ndelay = 1 m", ":2: two.delay: 1 m is not accepted: 100ms to 1h (seconds, or "
                               "with ms, s, m, h, d)"},
        {"[two]\nflag = maybe", ":2: two.flag: maybe is not accepted: yes, no"},
        {"[two]\nmode = slow", ":2: two.mode: slow is not accepted: fast, safe"},
        {"[one]\nname = a!", ":2: one.name: a! is not accepted: anything without !"},
        {"[one]\nn\x1b[2J\xff = a",
         ":2: unknown key n\\x1b[2J\\xff in [one]; known are: name, password, urls"},
        {"[one]\nname = a\tb", ":2: one.name: control characters are not accepted"},
        {"[two]\ncount = 1\ncount = 1", ":3: two.count stands twice, first in line 2"},
        {"[two]\ncuont = 1",
         ":2: unknown key cuont in [two]; known are: count, free, size, delay, flag, mode"},
        {"[one]\ncount = 1", ":2: unknown key count in [one]; known are: name, password, urls"},
        {"[three]", ":1: unknown section [three]; known are: one, two"},
        {"[two", ":1: a section is written [name]"},
        {"[two] # x", ":1: a section is written [name]"},
        {"count = 1", ":1: count stands before the first [section]"},
        {"[two]\ncount 1", ":2: expected key = value, [section] or a # comment"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sample s;
        struct conf_error error = {.text = ""};
        int r = load(rows[i].content, &s, &error);
        if (r != -EINVAL || strncmp(error.text, path, strlen(path)) != 0 ||
            strcmp(error.text + strlen(path), rows[i].expected) != 0)
            fail_msg("row %zu: %d, %s\nexpected %s", i, r, error.text, rows[i].expected);
        assert_null(s.name); /* nothing is taken from a file with an error */
    }
}

static void an_error_never_repeats_a_secret(void **state)
{
    (void)state;
    struct sample s;
    struct conf_error error = {.text = ""};
    static const char content[] = "[one]\npassword = hunter2\x01";
    assert_int_equal(load(content, &s, &error), -EINVAL);
    assert_null(strstr(error.text, "hunter2"));
    assert_non_null(strstr(error.text, ":2: one.password: control characters"));
}

static void a_nul_byte_is_an_error(void **state)
{
    (void)state;
    struct sample s;
    struct conf_error error = {.text = ""};
    assert_int_equal(load_bytes("[one]\nname = a\0b\n", 17, &s, &error), -EINVAL);
    assert_non_null(strstr(error.text, ":2: the line holds a NUL byte"));
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct sample s = {.name = NULL};
    struct conf_error error = {.text = ""};
    assert_int_equal(conf_load(&table, &s, "/nonexistent/mih.conf", &error), -ENOENT);
    assert_string_equal(error.text,
                        "/nonexistent/mih.conf: cannot be read: No such file or directory");
    assert_int_equal(conf_load(&table, &s, "/tmp", &error), -EISDIR);
    assert_string_equal(error.text, "/tmp: cannot be read: Is a directory");
    assert_int_equal(conf_load(&table, &s, "/dev/zero", &error), -EMSGSIZE);
    assert_string_equal(error.text, "/dev/zero: cannot be read: larger than 1M");
}

static void the_environment_wins_over_the_file(void **state)
{
    (void)state;
    struct sample s;
    struct conf_error error = {.text = ""};
    setenv("MIH_TWO_COUNT", " 12 ", 1);
    setenv("MIH_ONE_NAME", "", 1);
    int r = load("[two]\ncount = 11\n[one]\nname = x", &s, &error);
    unsetenv("MIH_TWO_COUNT");
    unsetenv("MIH_ONE_NAME");
    if (r)
        fail_msg("%s", error.text);
    assert_int_equal(s.count, 12);
    assert_string_equal(s.name, "");
    conf_release(&table, &s);
}

static void wrong_variables_are_named_and_foreign_ones_ignored(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
        const char *expected; /* NULL: no error */
    } rows[] = {
        {"MIH_TWO_COUNT", "900", "MIH_TWO_COUNT: two.count: 900 is not accepted: -5 to 512"},
        {"MIH_TWO_CUONT", "1",
         "environment: MIH_TWO_CUONT is no setting; [two] has: count, free, size, delay, flag, "
         "mode"},
        {"MIH_TWO_", "1",
         "environment: MIH_TWO_ is no setting; [two] has: count, free, size, delay, flag, mode"},
        {"MIH_FUZZ", "1", NULL},
        {"MIH_THREE_COUNT", "1", NULL},
        {"mih_two_count", "900", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sample s = {.name = NULL};
        struct conf_error error = {.text = ""};
        setenv(rows[i].name, rows[i].value, 1);
        int r = conf_load(&table, &s, NULL, &error);
        unsetenv(rows[i].name);
        conf_release(&table, &s);
        const char *expected = rows[i].expected ? rows[i].expected : "";
        if (r != (rows[i].expected ? -EINVAL : 0) || strcmp(error.text, expected) != 0)
            fail_msg("row %zu: %d, %s\nexpected %s", i, r, error.text, expected);
    }
}

struct told {
    unsigned n;
    char texts[64][sizeof(((struct conf_error *)NULL)->text)];
};

static void note(void *context, const struct conf_error *error)
{
    struct told *told = context;
    assert_true(told->n < 64);
    memcpy(told->texts[told->n++], error->text, sizeof(error->text));
}

static int load_telling(const char *content, struct told *ret_told)
{
    struct sample s = {.name = NULL};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
    assert_int_equal(fclose(file), 0);
    ret_told->n = 0;
    int r = conf_load_telling(&table, &s, path, note, ret_told);
    if (!r)
        conf_release(&table, &s);
    assert_null(s.name);
    return r;
}

static void every_mistake_is_told_once(void **state)
{
    (void)state;
    static struct told told;
    static const char *const expected[] = {":2: two.count: 900 is not accepted",
                                           ":3: unknown key x in [two]",
                                           ":4: unknown section [three]",
                                           ":8: expected key = value",
                                           ":9: one.name stands twice",
                                           "MIH_TWO_SIZE: two.size: x is not accepted",
                                           "environment: MIH_TWO_CUONT is no setting"};
    setenv("MIH_TWO_SIZE", "x", 1);
    setenv("MIH_TWO_CUONT", "1", 1);
    int r = load_telling("[two]\ncount = 900\nx = 1\n[three]\ncount = 901\n[one]\nname = a\n?\n"
                         "name = b\n",
                         &told);
    unsetenv("MIH_TWO_SIZE");
    unsetenv("MIH_TWO_CUONT");
    assert_int_equal(r, -EINVAL);
    for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        if (i >= told.n || !strstr(told.texts[i], expected[i]))
            fail_msg("%s: %s", expected[i], told.texts[i]);
    assert_int_equal(told.n, sizeof(expected) / sizeof(expected[0]));
    assert_int_equal(load_telling("[two]\ncount = 9\n", &told), 0);
    assert_int_equal(told.n, 0);
}

static void what_is_no_configuration_at_all_is_given_up(void **state)
{
    (void)state;
    static struct told told;
    char content[400];
    for (size_t i = 0; i < sizeof(content) - 1; i++)
        content[i] = i % 4 == 3 ? '\n' : '?';
    content[sizeof(content) - 1] = '\0';
    assert_int_equal(load_telling(content, &told), -EINVAL);
    assert_int_equal(told.n, 51);
    assert_string_equal(told.texts[50], "more than 50 mistakes: the rest is not looked at");
}

/* What conf_dump() or conf_document() prints. */
static void printed(const struct sample *s, char *ret, size_t size)
{
    FILE *out = fmemopen(ret, size, "w");
    assert_non_null(out);
    if (s)
        conf_dump(&table, s, out);
    else
        conf_document(&table, out);
    fclose(out);
}

static void a_dump_loads_to_the_same_values_and_hides_secrets(void **state)
{
    (void)state;
    static const char content[] = "[one]\nname = b c\npassword = hunter2\n"
                                  "urls = amqp://u:hunter2@a:1/v,amqps://h/\n"
                                  "[two]\ncount = 0\nsize = 1025\ndelay = 3600\nflag = no\n";
    struct sample s;
    struct conf_error error = {.text = ""};
    char dump[2048];
    char again[2048];
    if (load(content, &s, &error))
        fail_msg("%s", error.text);
    printed(&s, dump, sizeof(dump));
    conf_release(&table, &s);
    assert_string_equal(dump, "[one]\nname = b c\npassword = ***\n"
                              "urls = amqp://u:***@a:1/v,amqps://h/\n\n"
                              "[two]\ncount = 0\nfree = 0\nsize = 1025\ndelay = 1h\nflag = no\n"
                              "mode = safe\n");
    if (load(dump, &s, &error))
        fail_msg("%s", error.text);
    printed(&s, again, sizeof(again));
    conf_release(&table, &s);
    assert_string_equal(again, dump);
}

static void the_documentation_is_a_table_with_a_row_per_setting(void **state)
{
    (void)state;
    char text[4096];
    printed(NULL, text, sizeof(text));
    assert_non_null(strstr(text, "| `[two] count` | `7` | -5 to 512 | at once | C\\|D. |\n"));
    assert_non_null(strstr(text, "| `[one] password` |  | text | new processes | P. |\n"));
}

/* The reloadable one is count. */
static void only_settings_that_need_a_new_process_tell_two_configurations_apart(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        bool same;
    } rows[] = {
        {"", true},
        {"[two]\ncount = 3\n", true},
        {"[one]\nname = anna\n", true},
        {"[one]\nname = berta\n", false},
        {"[one]\npassword = x\n", false},
        {"[two]\nsize = 2k\n", false},
        {"[two]\nflag = no\n", false},
        {"[two]\nmode = fast\n", false},
    };
    struct sample plain = {.name = NULL};
    struct conf_error error = {.text = ""};
    assert_int_equal(conf_load(&table, &plain, NULL, &error), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sample s;
        if (load(rows[i].content, &s, &error))
            fail_msg("row %zu: %s", i, error.text);
        if (conf_same_fixed(&table, &plain, &s) != rows[i].same)
            fail_msg("row %zu", i);
        conf_release(&table, &s);
    }
    conf_release(&table, &plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_without_a_file),
        cmocka_unit_test(a_file_may_hold_comments_blank_lines_and_sections_in_any_order),
        cmocka_unit_test(errors_name_the_line_the_key_and_what_is_accepted),
        cmocka_unit_test(an_error_never_repeats_a_secret),
        cmocka_unit_test(a_nul_byte_is_an_error),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(the_environment_wins_over_the_file),
        cmocka_unit_test(wrong_variables_are_named_and_foreign_ones_ignored),
        cmocka_unit_test(every_mistake_is_told_once),
        cmocka_unit_test(what_is_no_configuration_at_all_is_given_up),
        cmocka_unit_test(a_dump_loads_to_the_same_values_and_hides_secrets),
        cmocka_unit_test(the_documentation_is_a_table_with_a_row_per_setting),
        cmocka_unit_test(only_settings_that_need_a_new_process_tell_two_configurations_apart),
    };
    return cmocka_run_group_tests_name("conf", tests, make_file, remove_file);
}
