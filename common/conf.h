/*
 * Settings from one table: a row per setting. From the table come the defaults, the file, the
 * environment, --dump-config, --check-config and the README's list.
 *
 * Order: default, then the file, then the environment (MIH_<SECTION>_<KEY>); the later wins. The
 * file is INI: `[section]`, `key = value`, comments start with # or ; at the start of a line (a
 * value keeps them). White space around a value is cut, control characters are refused. Unknown
 * sections, unknown keys, keys that stand twice and values out of range are errors that name
 * file, line, key and what is accepted, and never repeat a secret. So is a variable of a known
 * section that names no setting (MIH_WORKER_PROCESES); all others are ignored. Nothing is taken
 * from a file that has an error.
 *
 * Texts are owned by the settings struct (malloc); conf_release() frees them.
 */
#ifndef MIH_COMMON_CONF_H
#define MIH_COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum conf_type {
    CONF_TEXT,     /* char * */
    CONF_SECRET,   /* char *, masked in dumps */
    CONF_URL,      /* as CONF_URL_LIST, but one */
    CONF_URL_LIST, /* char *, passwords masked in dumps; checked by the row's check function */
    CONF_NUMBER,   /* int64_t */
    CONF_BYTES,    /* int64_t; accepts k, M, G (1024) */
    CONF_DURATION, /* int64_t milliseconds; accepts ms, s, m, h, d; a bare number is seconds */
    CONF_BOOL,     /* bool; yes no true false on off 1 0 */
    CONF_CHOICE,   /* int; index into choices */
};

/* The rows of a section stand together in their table. Names of sections hold no "_". */
struct conf_setting {
    const char *section;
    const char *key;
    enum conf_type type;
    size_t offset;              /* of the field in the settings struct */
    const char *fallback;       /* the default, as the user would write it */
    int64_t min, max;           /* for numbers, bytes, durations; both 0: any */
    const char *const *choices; /* CONF_CHOICE: NULL-terminated */
    /* Further check of a text; NULL for none. 0, or -EINVAL with what is accepted written. */
    int (*check)(const char *value, char *ret_reason, size_t size);
    bool reloadable;  /* a running process takes it; the others need a new process */
    const char *help; /* one sentence */
};

struct conf_table {
    const struct conf_setting *settings;
    size_t n;
};

struct conf_error {
    char text[512]; /* "mih.conf:12: worker.processes: 900 is not accepted: 0 to 512" */
};

/* Fills settings (zeroed by the caller) from defaults, the file at path (NULL: none) and the
 * environment. 0, or a negative errno with the first mistake; settings is then released. */
int conf_load(const struct conf_table *table, void *settings, const char *path,
              struct conf_error *ret_error) __attribute__((warn_unused_result));

/* Called for each mistake as it is found; at most some fifty times. */
typedef void conf_tell(void *context, const struct conf_error *error);

/* conf_load() that tells every mistake of file and environment, not the first alone. */
int conf_load_telling(const struct conf_table *table, void *settings, const char *path,
                      conf_tell *tell, void *context) __attribute__((warn_unused_result));

/* Prints a file that conf_load() would read to the same values, but for secrets and passwords in
 * URLs, which are "***". */
void conf_dump(const struct conf_table *table, const void *settings, FILE *out);

/* Prints the table in Markdown, for the README. */
void conf_document(const struct conf_table *table, FILE *out);

/* Whether both have the same values in all settings that are not reloadable. */
bool conf_same_fixed(const struct conf_table *table, const void *a, const void *b);

void conf_release(const struct conf_table *table, void *settings);

#endif
