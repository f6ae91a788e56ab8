/* Opens the database that dbenv.h names and prints the result, a blank, and the cipher ("-" for
 * plain text) or the reason. test_database.py tries all ways of TLS with it. */
#include <stdio.h>

#include "common/db.h"
#include "tests/integration/dbenv.h"

static int on_status(void *context, const struct db_row *row)
{
    (void)context;
    printf("0 %s\n", *db_text(row, 1) ? db_text(row, 1) : "-");
    return 0;
}

int main(void)
{
    const struct db_options options = dbenv_options();
    struct db *db = NULL;
    struct db_error error = {""};
    int r = db_open(&options, &db, &error);
    if (r == 0) {
        r = db_query(db, "SHOW SESSION STATUS LIKE 'Ssl_cipher'", NULL, 0, on_status, NULL, NULL);
        if (r)
            printf("%d %s\n", r, db_reason(db));
    } else {
        printf("%d %s\n", r, error.text);
    }
    db_free(db);
    return 0;
}
