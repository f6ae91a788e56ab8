/*
 * The database that the integration programs use, named by MIH_TEST_DB_HOST, _PORT, _SOCKET,
 * _USER, _PASSWORD, _NAME, _PREFIX, _TLS (auto, require, off) and _CA.
 */
#ifndef MIH_TESTS_INTEGRATION_DBENV_H
#define MIH_TESTS_INTEGRATION_DBENV_H

#include <stdlib.h>
#include <string.h>

#include "common/db.h"

static inline const char *dbenv(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value ? value : fallback;
}

static inline struct db_options dbenv_options(void)
{
    const char *tls = dbenv("MIH_TEST_DB_TLS", "auto");
    return (struct db_options){
        .host = dbenv("MIH_TEST_DB_HOST", "127.0.0.1"),
        .port = (int)strtol(dbenv("MIH_TEST_DB_PORT", "3306"), NULL, 10),
        .socket = dbenv("MIH_TEST_DB_SOCKET", ""),
        .user = dbenv("MIH_TEST_DB_USER", "mih"),
        .password = dbenv("MIH_TEST_DB_PASSWORD", ""),
        .name = dbenv("MIH_TEST_DB_NAME", "moodle"),
        .prefix = dbenv("MIH_TEST_DB_PREFIX", "mdl_"),
        .tls = strcmp(tls, "auto") == 0  ? DB_TLS_AUTO
               : strcmp(tls, "off") == 0 ? DB_TLS_OFF
                                         : DB_TLS_REQUIRE,
        .ca_file = dbenv("MIH_TEST_DB_CA", ""),
        .connect_timeout_s = 2,
        .io_timeout_s = 2,
    };
}

#endif
