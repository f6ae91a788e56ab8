/*
 * Services, rules, events and what is looked up for them, read from files, so that mihctl and
 * the shared cases (tests/cases) need no database.
 *
 * Rows are JSON objects with the columns of the tables as keys; a column that is missing has the
 * table's default, or null. Reasons name the file.
 */
#ifndef MIH_WORKER_CTL_FILES_H
#define MIH_WORKER_CTL_FILES_H

#include <stddef.h>
#include <stdint.h>

struct catalog;
struct json_object;
struct secret_keys;

enum { CTL_MAX_FILE = 8 * 1024 * 1024 };

/* A NUL-terminated text to free. 0; a negative errno with the reason (-EFBIG: above the limit). */
int ctl_file_read(const char *path, char **ret_text, size_t *ret_len, char *ret_reason,
                  size_t reason_size) __attribute__((warn_unused_result));

/* An object to put. As ctl_file_read(); -EBADMSG: it is no JSON object. */
int ctl_file_object(const char *path, struct json_object **ret_object, char *ret_reason,
                    size_t reason_size) __attribute__((warn_unused_result));

/* A row's column as text; NULL for null and for what is missing. Borrowed. */
const char *ctl_row_text(struct json_object *row, const char *column);
int64_t ctl_row_number(struct json_object *row, const char *column, int64_t missing);

/* A catalog with this one service and rule, by the same steps as one of the tables. keys may be
 * NULL. 0, with one reference; -EINVAL: the rule is not the service's; -ENOMEM. */
int ctl_rows_catalog(struct json_object *service, struct json_object *rule,
                     const struct secret_keys *keys, struct catalog **ret_catalog)
    __attribute__((warn_unused_result));

#endif
