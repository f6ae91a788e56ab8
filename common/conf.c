#include "common/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_value.h"
#include "common/secret.h"
#include "common/utf8.h"

extern char **environ;

enum { TOLD_MAX = 50, FILE_MAX = 1 << 20, NAMES_MAX = 300, ENV_NAME_SIZE = 128 };

/* Where a value came from: the file and its line, or the environment. */
struct source {
    const char *path;
    unsigned line; /* 0: the environment */
};

/* What is wrong, told as it is found. */
struct teller {
    conf_tell *tell;
    void *context;
    unsigned told;
};

struct reader {
    const struct conf_table *table;
    void *settings;
    unsigned *seen_at; /* per setting: the line of the file it stood in, 0 = not yet */
    struct source at;
    const char *section; /* the table's own text; NULL before the first [section] */
    bool unknown;        /* inside of a section that is none: its keys are not looked at */
    struct teller *teller;
};

static int __attribute__((format(printf, 3, 4)))
fail(struct teller *teller, const struct source *at, const char *format, ...)
{
    struct conf_error error;
    char text[sizeof(error.text)];
    size_t n = 0;
    if (at->line)
        n = (size_t)snprintf(error.text, sizeof(error.text), "%.200s:%u: ", at->path, at->line);
    else if (at->path)
        n = (size_t)snprintf(error.text, sizeof(error.text), "%.200s: ", at->path);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    /* What it quotes goes to a terminal. */
    utf8_copy_safe(error.text + n, sizeof(error.text) - n, text, strlen(text));
    teller->told++;
    if (teller->told <= TOLD_MAX)
        teller->tell(teller->context, &error);
    return -EINVAL;
}

/* The names that would have been right, for an error: sections, or the keys of a section. */
static void list_names(const struct conf_table *t, const char *section, char *ret, size_t size)
{
    struct buf names;
    buf_init(&names, NAMES_MAX);
    for (size_t i = 0; i < t->n; i++) {
        const struct conf_setting *s = &t->settings[i];
        bool repeated = i && strcmp(t->settings[i - 1].section, s->section) == 0;
        if (section ? strcmp(s->section, section) != 0 : repeated)
            continue;
        buf_addf(&names, "%s%s", names.len ? ", " : "", section ? s->key : s->section);
    }
    snprintf(ret, size, "%s", buf_error(&names) ? "see the documentation" : buf_text(&names));
    buf_release(&names);
}

static int set_value(const struct conf_table *table, size_t i, void *settings, const char *value,
                     const struct source *at, struct teller *teller)
{
    const struct conf_setting *s = &table->settings[i];
    for (const char *c = value; *c; c++)
        if (iscntrl((unsigned char)*c))
            return fail(teller, at, "%s.%s: control characters are not accepted", s->section,
                        s->key);
    char accepted[sizeof(((struct conf_error *)NULL)->text) / 2];
    int r = conf_value_set(s, settings, value, accepted, sizeof(accepted));
    if (r == -ENOMEM) {
        fail(teller, at, "%s.%s: out of memory", s->section, s->key);
        return r;
    }
    if (r && (conf_value_is_secret(s) || !*value))
        return fail(teller, at, "%s.%s: %s is not accepted: %s", s->section, s->key,
                    *value ? "the value" : "an empty value", accepted);
    if (r)
        return fail(teller, at, "%s.%s: %.80s is not accepted: %s", s->section, s->key, value,
                    accepted);
    return 0;
}

/* Cuts white space at both ends, in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

static int read_section(struct reader *r, char *line)
{
    char *end = strchr(line, ']');
    if (!end || end[1])
        return fail(r->teller, &r->at, "a section is written [name]");
    *end = '\0';
    const char *name = trim(line + 1);
    for (size_t i = 0; i < r->table->n; i++)
        if (strcmp(r->table->settings[i].section, name) == 0) {
            r->section = r->table->settings[i].section;
            r->unknown = false;
            return 0;
        }
    r->unknown = true;
    char names[NAMES_MAX];
    list_names(r->table, NULL, names, sizeof(names));
    return fail(r->teller, &r->at, "unknown section [%.60s]; known are: %s", name, names);
}

static int read_setting(struct reader *r, char *line)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return fail(r->teller, &r->at, "expected key = value, [section] or a # comment");
    *equals = '\0';
    const char *key = trim(line);
    if (!r->section)
        return fail(r->teller, &r->at, "%.60s stands before the first [section]", key);
    for (size_t i = 0; i < r->table->n; i++) {
        const struct conf_setting *s = &r->table->settings[i];
        if (strcmp(s->section, r->section) != 0 || strcmp(s->key, key) != 0)
            continue;
        if (r->seen_at[i])
            return fail(r->teller, &r->at, "%s.%s stands twice, first in line %u", s->section,
                        s->key, r->seen_at[i]);
        r->seen_at[i] = r->at.line;
        return set_value(r->table, i, r->settings, trim(equals + 1), &r->at, r->teller);
    }
    char names[NAMES_MAX];
    list_names(r->table, r->section, names, sizeof(names));
    return fail(r->teller, &r->at, "unknown key %.60s in [%s]; known are: %s", key, r->section,
                names);
}

static int read_line(struct reader *r, char *line)
{
    line = trim(line);
    if (!*line || *line == '#' || *line == ';')
        return 0;
    if (*line == '[')
        return read_section(r, line);
    return r->unknown ? 0 : read_setting(r, line);
}

/* Goes on after a mistake: the next one may as well be told at once. */
static bool goes_on(const struct teller *teller, int result)
{
    return result == 0 || (result == -EINVAL && teller->told <= TOLD_MAX);
}

/* text is cut into lines in place. */
static int read_text(struct reader *r, char *text, size_t len)
{
    char *end = text + len;
    int result = 0;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* some editors' byte order mark */
        text += 3;
    while (text < end && goes_on(r->teller, result)) {
        char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (!line_end)
            line_end = end;
        r->at.line++;
        bool whole = memchr(text, '\0', (size_t)(line_end - text)) == NULL;
        *line_end = '\0';
        result = whole ? read_line(r, text) : fail(r->teller, &r->at, "the line holds a NUL byte");
        text = line_end + 1;
    }
    return goes_on(r->teller, result) ? 0 : result;
}

/* Reads the whole file; 0 or a negative errno. */
static int slurp(const char *path, struct buf *ret_text)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    char chunk[4096];
    size_t n;
    int result = 0;
    setvbuf(file, NULL, _IONBF, 0); /* no copy of what may be a password */
    do {
        errno = 0;
        n = fread(chunk, 1, sizeof(chunk), file);
        if (ferror(file))
            result = errno ? -errno : -EIO;
        buf_add(ret_text, chunk, n);
        if (!result)
            result = buf_error(ret_text); /* a device would never end */
    } while (n > 0 && !result);
    secret_wipe(chunk, sizeof(chunk));
    fclose(file);
    return result;
}

static int read_file(const struct conf_table *table, void *settings, const char *path,
                     struct teller *teller)
{
    struct reader r = {
        .table = table, .settings = settings, .at = {.path = path}, .teller = teller};
    struct buf text;
    buf_init_secret(&text, FILE_MAX);
    int result = slurp(path, &text);
    if (result)
        fail(teller, &r.at, "cannot be read: %s",
             result == -EMSGSIZE ? "larger than 1M" : strerror(-result));
    else
        r.seen_at = calloc(table->n ? table->n : 1, sizeof(*r.seen_at));
    if (!result && !r.seen_at) {
        fail(teller, &r.at, "out of memory");
        result = -ENOMEM;
    }
    if (!result && text.len)
        result = read_text(&r, text.data, text.len);
    free(r.seen_at);
    buf_release(&text);
    return result;
}

/* MIH_<SECTION>_, or with the key MIH_<SECTION>_<KEY>, in upper case. */
static void environment_name(const struct conf_setting *s, bool with_key, char *ret, size_t size)
{
    snprintf(ret, size, "MIH_%s_%s", s->section, with_key ? s->key : "");
    for (; *ret; ret++)
        *ret = (char)toupper((unsigned char)*ret);
}

static int read_environment(const struct conf_table *table, void *settings, struct teller *teller)
{
    for (size_t i = 0; i < table->n; i++) {
        char name[ENV_NAME_SIZE];
        environment_name(&table->settings[i], true, name, sizeof(name));
        const char *found = getenv(name);
        if (!found)
            continue;
        struct source at = {.path = name};
        char *copy = strdup(found);
        int r = -ENOMEM;
        if (copy)
            r = set_value(table, i, settings, trim(copy), &at, teller);
        else
            fail(teller, &at, "out of memory");
        secret_free(copy);
        if (!goes_on(teller, r))
            return r;
    }
    return 0;
}

/* A variable of a section of ours that names no setting is a slip of the pen; what has another
 * second word (MIH_FUZZ) is none of our business. */
static int check_variable(const struct conf_table *table, const char *variable,
                          struct teller *teller)
{
    const struct conf_setting *section = NULL;
    char name[ENV_NAME_SIZE];
    size_t len = strcspn(variable, "=");
    for (size_t i = 0; i < table->n; i++) {
        environment_name(&table->settings[i], true, name, sizeof(name));
        if (strlen(name) == len && strncmp(name, variable, len) == 0)
            return 0;
        environment_name(&table->settings[i], false, name, sizeof(name));
        if (strncmp(name, variable, strlen(name)) == 0)
            section = &table->settings[i];
    }
    if (!section)
        return 0;
    char names[NAMES_MAX];
    list_names(table, section->section, names, sizeof(names));
    struct source at = {.path = "environment"};
    return fail(teller, &at, "%.*s is no setting; [%s] has: %s", len > 80 ? 80 : (int)len, variable,
                section->section, names);
}

static int check_environment(const struct conf_table *table, struct teller *teller)
{
    for (char **v = environ; v && *v; v++) {
        int r = strncmp(*v, "MIH_", 4) == 0 ? check_variable(table, *v, teller) : 0;
        if (!goes_on(teller, r))
            return r;
    }
    return 0;
}

static int set_defaults(const struct conf_table *table, void *settings, struct teller *teller)
{
    struct source at = {.path = "default"};
    int r = 0;
    for (size_t i = 0; i < table->n && !r; i++)
        r = set_value(table, i, settings, table->settings[i].fallback, &at, teller);
    return r;
}

int conf_load_telling(const struct conf_table *table, void *settings, const char *path,
                      conf_tell *tell, void *context)
{
    struct teller teller = {.tell = tell, .context = context};
    int r = set_defaults(table, settings, &teller);
    if (!r && path)
        r = read_file(table, settings, path, &teller);
    if (goes_on(&teller, r))
        r = read_environment(table, settings, &teller);
    if (goes_on(&teller, r))
        r = check_environment(table, &teller);
    if (teller.told > TOLD_MAX) {
        struct conf_error error;
        snprintf(error.text, sizeof(error.text), "more than %d mistakes: the rest is not looked at",
                 TOLD_MAX);
        tell(context, &error);
    }
    if (!r && teller.told)
        r = -EINVAL;
    if (r)
        conf_release(table, settings);
    return r;
}

static void keep_first(void *context, const struct conf_error *error)
{
    struct conf_error *first = context;
    if (!*first->text)
        *first = *error;
}

int conf_load(const struct conf_table *table, void *settings, const char *path,
              struct conf_error *ret_error)
{
    struct conf_error error = {.text = ""};
    int r = conf_load_telling(table, settings, path, keep_first, &error);
    if (r)
        *ret_error = error;
    return r;
}

static bool same_value(const struct conf_setting *s, const char *a, const char *b)
{
    if (conf_value_is_text(s))
        return strcmp(*(char *const *)(const void *)a, *(char *const *)(const void *)b) == 0;
    return memcmp(a, b,
                  s->type == CONF_BOOL     ? sizeof(bool)
                  : s->type == CONF_CHOICE ? sizeof(int)
                                           : sizeof(int64_t)) == 0;
}

bool conf_same_fixed(const struct conf_table *table, const void *a, const void *b)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct conf_setting *s = &table->settings[i];
        if (!s->reloadable &&
            !same_value(s, (const char *)a + s->offset, (const char *)b + s->offset))
            return false;
    }
    return true;
}

void conf_release(const struct conf_table *table, void *settings)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct conf_setting *s = &table->settings[i];
        if (!conf_value_is_text(s))
            continue;
        char **text = (char **)((char *)settings + s->offset);
        secret_free(*text);
        *text = NULL;
    }
}
