#include "common/dberror.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct meaning {
    unsigned code;
    int error;
    bool lost;
};

/* Names as in the servers' errmsg files. */
static const struct meaning meanings[] = {
    {1020, -EAGAIN, false},  /* ER_CHECKREAD: changed since the transaction began */
    {1044, -EPERM, false},   /* ER_DBACCESS_DENIED_ERROR */
    {1045, -EPERM, false},   /* ER_ACCESS_DENIED_ERROR */
    {1049, -ENOENT, false},  /* ER_BAD_DB_ERROR */
    {1053, -ENOTCONN, true}, /* ER_SERVER_SHUTDOWN */
    {1054, -ENOENT, false},  /* ER_BAD_FIELD_ERROR */
    {1062, -EEXIST, false},  /* ER_DUP_ENTRY */
    {1079, -ENOTCONN, true}, /* ER_SHUTDOWN_COMPLETE */
    {1109, -ENOENT, false},  /* ER_UNKNOWN_TABLE */
    {1130, -EPERM, false},   /* ER_HOST_NOT_PRIVILEGED */
    {1142, -EPERM, false},   /* ER_TABLEACCESS_DENIED_ERROR */
    {1143, -EPERM, false},   /* ER_COLUMNACCESS_DENIED_ERROR */
    {1146, -ENOENT, false},  /* ER_NO_SUCH_TABLE */
    {1205, -EAGAIN, false},  /* ER_LOCK_WAIT_TIMEOUT */
    {1213, -EAGAIN, false},  /* ER_LOCK_DEADLOCK */
    {1227, -EPERM, false},   /* ER_SPECIFIC_ACCESS_DENIED_ERROR */
    {1370, -EPERM, false},   /* ER_PROCACCESS_DENIED_ERROR */
    {1586, -EEXIST, false},  /* ER_DUP_ENTRY_WITH_KEY_NAME */
    {1698, -EPERM, false},   /* ER_ACCESS_DENIED_NO_PASSWORD_ERROR */
    {1927, -ENOTCONN, true}, /* ER_CONNECTION_KILLED (MariaDB) */
    {2008, -ENOMEM, true},   /* CR_OUT_OF_MEMORY: the stream of packets may be broken */
    {2020, -EMSGSIZE, true}, /* CR_NET_PACKET_TOO_LARGE */
    {2026, -EPROTO, true},   /* CR_SSL_CONNECTION_ERROR */
    {2030, -EIO, false},     /* CR_NO_PREPARE_STMT */
    {2031, -EIO, false},     /* CR_PARAMS_NOT_BOUND */
    {2034, -EIO, false},     /* CR_INVALID_PARAMETER_NO */
    {2036, -EIO, false},     /* CR_UNSUPPORTED_PARAM_TYPE */
    {3118, -EPERM, false},   /* ER_ACCOUNT_HAS_BEEN_LOCKED */
    {4031, -ENOTCONN, true}, /* ER_CLIENT_INTERACTION_TIMEOUT (MySQL 8) */
    {4151, -EPERM, false},   /* ER_ACCOUNT_HAS_BEEN_LOCKED (MariaDB) */
};

int dberror_map(unsigned code, bool *ret_lost)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (meanings[i].code == code) {
            *ret_lost = meanings[i].lost;
            return meanings[i].error;
        }
    }
    *ret_lost = code >= 2000 && code < 3000;
    return *ret_lost ? -ENOTCONN : -EIO;
}

/* What follows the value in the messages that repeat one; "" when it is the message's end. */
static const char *after_value(unsigned code)
{
    switch (code) {
    case 1062:
    case 1586:
        return "' for key ";
    case 1366: /* Incorrect integer value: 'x' for column */
        return "' for column ";
    case 1292: /* Truncated incorrect INTEGER value: 'x' */
    case 1300: /* Invalid utf8mb4 character string: 'x' */
    case 1411: /* Incorrect datetime value: 'x' for function */
    case 1690: /* BIGINT value is out of range in '...' */
    case 4025: /* CONSTRAINT failed */
        return "";
    default:
        return NULL;
    }
}

static const char *last_occurrence(const char *text, const char *what)
{
    const char *found = NULL;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        found = at;
    return found;
}

void dberror_words(unsigned code, const char *message, char *ret_text, size_t size)
{
    const char *marker = after_value(code);
    const char *value = marker ? strchr(message, '\'') : NULL;
    if (!value) {
        snprintf(ret_text, size, "%s (%u)", message, code);
        return;
    }
    /* The value may hold the marker itself: only what follows the last one is the server's. */
    const char *rest = *marker ? last_occurrence(value + 1, marker) : NULL;
    snprintf(ret_text, size, "%.*s'...%s (%u)", (int)(value - message), message, rest ? rest : "'",
             code);
}
