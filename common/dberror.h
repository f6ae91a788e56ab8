/*
 * What the numbers of MySQL's and MariaDB's errors mean to us. Pure; only db.c uses it.
 *
 * Server errors are 1000 to 1999 and from 3000 (MySQL 8: also 4031), client errors 2000 to 2999.
 * A number that is not in the table is -EIO and leaves the connection in use when the server
 * said it, and is -ENOTCONN and ends the connection when the client library did.
 */
#ifndef MIH_COMMON_DBERROR_H
#define MIH_COMMON_DBERROR_H

#include <stdbool.h>
#include <stddef.h>

/* A negative errno. ret_lost: the connection is of no use any more. */
int dberror_map(unsigned code, bool *ret_lost);

/* Copies the server's words, with the parts that repeat a value of the statement masked (as in
 * "Duplicate entry '...' for key 'x'"), followed by the number. */
void dberror_words(unsigned code, const char *message, char *ret_text, size_t size);

#endif
