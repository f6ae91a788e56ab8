/*
 * mih-test-settings: prints the table of settings in Markdown, as the README has it, or
 * with --mdoc as the manual page mih.conf(5) has it (tests/lint/run --write-readme).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/conf_value.h"
#include "worker/settings.h"

enum { ACCEPTED_MAX = 1 << 12 };

/* One sentence a line, as mdoc(7) wants it. Texts hold no line that begins with a dot. */
static void print_text(const char *text)
{
    for (bool ends = false; *text; text++) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else
            fputc(ends && *text == ' ' ? '\n' : *text, stdout);
        ends = *text == '.';
    }
    fputc('\n', stdout);
}

static void print_setting(const struct conf_setting *s, struct buf *accepted)
{
    buf_reset(accepted);
    conf_value_accepted(s, accepted);
    printf(".It Ic %s\n", s->key);
    print_text(s->help);
    printf("Accepted: %s.\n", buf_text(accepted));
    if (*s->fallback)
        printf("Default:\n.Ql \\&%s .\n", s->fallback);
    if (!s->reloadable)
        puts("A change needs new processes.");
}

static void print_page(const struct conf_table *table)
{
    struct buf accepted;
    buf_init(&accepted, ACCEPTED_MAX);
    for (size_t i = 0; i < table->n; i++) {
        const struct conf_setting *s = &table->settings[i];
        bool first = i == 0 || strcmp(s[-1].section, s->section) != 0;
        if (first)
            printf("%s.Ss [%s]\n.Bl -tag -width Ds\n", i ? ".El\n" : "", s->section);
        print_setting(s, &accepted);
    }
    puts(".El");
    buf_release(&accepted);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--mdoc") == 0)
        print_page(&settings_table);
    else
        conf_document(&settings_table, stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
