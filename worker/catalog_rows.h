/*
 * The rows of services and rules, from Moodle's tables into a catalog that is being built. For
 * the database's thread.
 */
#ifndef MIH_WORKER_CATALOG_ROWS_H
#define MIH_WORKER_CATALOG_ROWS_H

#include <stddef.h>

#include "common/db.h"

struct catalog_builder;

/* One table that is read as a whole. */
struct catalog_table {
    const char *name;
    const char *sql;
    db_on_row *on_row;
};

/* As db_query(). On failure the reason names the table and says what helps; a lost connection
 * leaves it as it was. */
int catalog_table_read(struct db *db, const struct catalog_table *t, void *context,
                       char *ret_reason, size_t reason_size) __attribute__((warn_unused_result));

/* Adds all services and rules; as catalog_table_read(). */
int catalog_rows_read(struct db *db, struct catalog_builder *b, char *ret_reason,
                      size_t reason_size) __attribute__((warn_unused_result));

#endif
