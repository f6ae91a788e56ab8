/*
 * Text in columns, for people: the widest cell makes the width. Cells are safe for a terminal.
 */
#ifndef MIH_WORKER_CTL_TABLE_H
#define MIH_WORKER_CTL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct buf;

enum { CTL_COLUMNS = 16, CTL_CELL_CHARS = 40, CTL_CELL_SIZE = 4 * CTL_CELL_CHARS + 1 };

struct ctl_table {
    unsigned n_columns;
    char (*cells)[CTL_CELL_SIZE]; /* row after row; the titles first */
    size_t n, cap;
};

/* At most CTL_COLUMNS. A title that begins with ">" heads numbers, which stand at the right. Titles
 * are separated by
 * "|". */
void ctl_table_init(struct ctl_table *t, const char *titles);
void ctl_table_release(struct ctl_table *t);

/* The next cell; longer ones are cut. Without memory what does not fit is left out. */
void ctl_table_text(struct ctl_table *t, const char *text);
void ctl_table_number(struct ctl_table *t, int64_t number);

/* An age or a wait: "7 s", "12 min", "3 h", "5 d". */
void ctl_table_seconds(struct ctl_table *t, int64_t seconds);

void ctl_table_print(const struct ctl_table *t, struct buf *out);

/* As ctl_table_seconds(), in the caller's storage. */
enum { CTL_SPAN_SIZE = 32 };
const char *ctl_span(int64_t seconds, char ret_text[CTL_SPAN_SIZE]);

#endif
