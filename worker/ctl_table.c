#include "worker/ctl_table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/utf8.h"

enum { GAP = 2 };

static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0U) != 0x80;
    return n;
}

static void cut(char *text, size_t chars)
{
    for (; *text; text++) {
        if (((unsigned char)*text & 0xc0U) == 0x80)
            continue;
        if (chars-- == 0) {
            *text = '\0';
            return;
        }
    }
}

void ctl_table_init(struct ctl_table *t, const char *titles)
{
    char title[CTL_CELL_SIZE];

    *t = (struct ctl_table){.n_columns = 1};
    for (const char *at = titles; *at; at++)
        t->n_columns += *at == '|';
    assert(t->n_columns <= CTL_COLUMNS);
    while (*titles) {
        snprintf(title, sizeof title, "%.*s", (int)strcspn(titles, "|"), titles);
        ctl_table_text(t, title);
        titles += strcspn(titles, "|");
        titles += *titles == '|';
    }
}

void ctl_table_release(struct ctl_table *t)
{
    free(t->cells);
    *t = (struct ctl_table){0};
}

void ctl_table_text(struct ctl_table *t, const char *text)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        char(*cells)[CTL_CELL_SIZE] = reallocarray(t->cells, cap, sizeof *cells);

        if (!cells)
            return;
        t->cells = cells;
        t->cap = cap;
    }
    utf8_copy_safe(t->cells[t->n], CTL_CELL_SIZE, text, strlen(text));
    cut(t->cells[t->n], CTL_CELL_CHARS);
    t->n++;
}

void ctl_table_number(struct ctl_table *t, int64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, number);
    ctl_table_text(t, text);
}

const char *ctl_span(int64_t seconds, char ret_text[CTL_SPAN_SIZE])
{
    static const struct {
        int64_t s;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    size_t i = 0;

    if (seconds < 0)
        seconds = 0;
    while (i < 3 && seconds < 2 * units[i].s)
        i++;
    snprintf(ret_text, CTL_SPAN_SIZE, "%" PRId64 " %s", seconds / units[i].s, units[i].unit);
    return ret_text;
}

void ctl_table_seconds(struct ctl_table *t, int64_t seconds)
{
    char text[CTL_SPAN_SIZE];

    ctl_table_text(t, ctl_span(seconds, text));
}

static void add_spaces(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_addc(out, ' ');
}

static void add_cell(const struct ctl_table *t, size_t column, const char *text, size_t width,
                     struct buf *out)
{
    bool right = *t->cells[column] == '>';
    bool last = column + 1 == t->n_columns;
    size_t own = width_of(text);

    if (right)
        add_spaces(out, width - own);
    buf_adds(out, text);
    if (last)
        buf_addc(out, '\n');
    else
        add_spaces(out, (right ? 0 : width - own) + GAP);
}

void ctl_table_print(const struct ctl_table *t, struct buf *out)
{
    size_t widths[CTL_COLUMNS] = {0};
    const size_t columns = t->n_columns;
    size_t rows = t->n / columns;

    for (size_t i = 0; i < rows * columns; i++) {
        const char *text = t->cells[i] + (i < columns && *t->cells[i] == '>');
        size_t width = width_of(text);

        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < rows * columns; i++)
        add_cell(t, i % columns, t->cells[i] + (i < columns && *t->cells[i] == '>'),
                 widths[i % columns], out);
}
