/*
 * Reads the rows of an executed statement. Part of the database module: only db.c uses it.
 *
 * Rows are fetched one by one from the connection and never collected, so memory is one row,
 * whatever the result. Every column arrives as text with its real length: a buffer that is too
 * small grows and the column is fetched again, so nothing is ever cut.
 */
#ifndef MIH_COMMON_DBRESULT_H
#define MIH_COMMON_DBRESULT_H

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/db.h"

/* 0, on_row's own value, or -ENOMEM. ret_failed is set when it was the library that failed: then
 * the statement has its error. ret_started_ms gets the time at which the last fetch began. */
int dbresult_read(MYSQL_STMT *stmt, db_on_row *on_row, void *context, bool *ret_failed,
                  int64_t *ret_started_ms) __attribute__((warn_unused_result));

#endif
