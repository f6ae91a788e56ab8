#include <string.h>

#include "common/conf_value.h"

enum { PRINTED_MAX = 1 << 16 };

static bool starts_section(const struct conf_table *t, size_t i)
{
    return i == 0 || strcmp(t->settings[i - 1].section, t->settings[i].section) != 0;
}

void conf_dump(const struct conf_table *table, const void *settings, FILE *out)
{
    struct buf value;
    buf_init(&value, PRINTED_MAX);
    for (size_t i = 0; i < table->n; i++) {
        const struct conf_setting *s = &table->settings[i];
        if (starts_section(table, i))
            fprintf(out, "%s[%s]\n", i ? "\n" : "", s->section);
        buf_reset(&value);
        conf_value_print(s, settings, &value);
        fprintf(out, "%s =%s%s\n", s->key, value.len ? " " : "", buf_text(&value));
    }
    buf_release(&value);
}

/* "|" would end the cell. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void conf_document(const struct conf_table *table, FILE *out)
{
    fputs("| setting | default | accepted | at SIGHUP | what it is |\n|---|---|---|---|---|\n",
          out);
    struct buf accepted;
    buf_init(&accepted, PRINTED_MAX);
    for (size_t i = 0; i < table->n; i++) {
        const struct conf_setting *s = &table->settings[i];
        buf_reset(&accepted);
        conf_value_accepted(s, &accepted);
        fprintf(out, "| `[%s] %s` | ", s->section, s->key);
        if (*s->fallback) {
            fputc('`', out);
            print_cell(out, s->fallback);
            fputc('`', out);
        }
        fputs(" | ", out);
        print_cell(out, buf_text(&accepted));
        fprintf(out, " | %s | ", s->reloadable ? "at once" : "new processes");
        print_cell(out, s->help);
        fputs(" |\n", out);
    }
    buf_release(&accepted);
}
