#include "worker/enrich_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/db.h"
#include "common/jsontext.h"
#include "common/utf8.h"
#include "worker/enrich_cache.h"

enum { MAX_STATEMENT = 8 * 1024, MAX_OBJECT = 1024 * 1024, MODNAME_SIZE = 64 };

/* One object on its way from rows to an entry. */
struct object {
    int64_t id;
    bool found;
    struct buf json; /* of profiles and activities without the closing brace, until all is there */
    int64_t instance;
    char modname[MODNAME_SIZE];
    bool named;
    bool unknown; /* its kind of activity */
};

struct reading {
    struct db *db;
    enum enrichment_kind kind;
    struct object *objects;
    size_t n;
    const char *modname; /* the activities whose names are being read */
    bool modname_known;
    char *reason;
    size_t reason_size;
};

static struct object *object_of(struct reading *r, int64_t id)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->objects[i].id == id)
            return &r->objects[i];
    return NULL;
}

/* As JSON text with its characters as they are, so that a view of it needs no decoding. */
static void add_text(struct buf *out, const char *text, size_t len)
{
    size_t n;

    buf_addc(out, '"');
    for (size_t i = 0; i < len; i += n) {
        unsigned char byte = (unsigned char)text[i];

        n = utf8_decode(text + i, len - i, NULL);
        if (n == 0) {
            utf8_add(out, 0xfffd);
            n = 1;
        } else if (byte < 0x20) {
            buf_addf(out, "\\u%04x", byte);
        } else {
            buf_adds(out, byte == '"' || byte == '\\' ? "\\" : "");
            buf_add(out, text + i, n);
        }
    }
    buf_addc(out, '"');
}

static void add_value(struct buf *out, const struct db_row *row, size_t column, bool is_number)
{
    const char *text = row->text[column];

    if (!text)
        buf_adds(out, "null");
    else if (is_number && jsontext_is_number(text, row->len[column]))
        buf_add(out, text, row->len[column]);
    else
        add_text(out, text, row->len[column]);
}

static void add_key(struct buf *out, const char *name, size_t len)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        buf_addc(out, ',');
    add_text(out, name, len);
    buf_addc(out, ':');
}

/* The fields of a row from a column on, without the closing brace. Those of one group stand
 * together. */
static void add_fields(struct buf *out, struct reading *r, const struct db_row *row, size_t column)
{
    size_t n = 0;
    const struct enrichment_field *fields = enrichment_fields(r->kind, &n);
    bool in_group = false;

    buf_addc(out, '{');
    for (size_t i = 0; i < n; i++) {
        const char *dot = strchr(fields[i].name, '.');
        const char *name = dot ? dot + 1 : fields[i].name;

        if (strcmp(name, "name") == 0 && r->kind == ENRICHMENT_CM)
            continue; /* it stands in the table of its module */
        if (dot && !in_group) {
            add_key(out, fields[i].name, (size_t)(dot - fields[i].name));
            buf_addc(out, '{');
        } else if (!dot && in_group) {
            buf_addc(out, '}');
        }
        in_group = dot != NULL;
        add_key(out, name, strlen(name));
        add_value(out, row, column++, fields[i].is_number);
    }
    if (in_group)
        buf_addc(out, '}');
}

/* The columns of a kind: "t.id, t.city, c.name". */
static void add_columns(struct buf *sql, enum enrichment_kind kind)
{
    size_t n = 0;
    const struct enrichment_field *fields = enrichment_fields(kind, &n);

    for (size_t i = 0; i < n; i++) {
        const char *dot = strchr(fields[i].name, '.');

        if (kind == ENRICHMENT_CM && strcmp(fields[i].name, "name") == 0)
            continue;
        if (kind == ENRICHMENT_CM && strcmp(fields[i].name, "modname") == 0)
            buf_adds(sql, ", m.name");
        else
            buf_addf(sql, ", %s.%s", dot ? "c" : "t", dot ? dot + 1 : fields[i].name);
    }
    if (kind == ENRICHMENT_CM)
        buf_adds(sql, ", t.instance, m.name"); /* for the search of the name */
}

static int query(struct reading *r, const char *table, const char *sql,
                 const struct db_value *values, size_t n, db_on_row *on_row)
{
    int result = db_query(r->db, sql, values, n, on_row, r, NULL);

    if (result < 0 && !db_lost(r->db))
        snprintf(r->reason, r->reason_size, "%s: %.160s%s", table,
                 result == -ENOMEM ? "out of memory" : db_reason(r->db),
                 result == -EPERM || result == -ENOENT ? "; has deploy/grants.sh been run?" : "");
    return result;
}

/* "... IN (?, ?, ...)" for the ids of this reading. */
static int query_ids(struct reading *r, const char *table, struct buf *sql, const char *end,
                     db_on_row *on_row)
{
    struct db_value values[ENRICH_MAX_IDS];

    for (size_t i = 0; i < r->n; i++) {
        values[i] = (struct db_value){.number = r->objects[i].id};
        buf_adds(sql, i ? ", ?" : " IN (?");
    }
    buf_adds(sql, ")");
    buf_adds(sql, end);
    int result = buf_error(sql);
    return result < 0 ? result : query(r, table, buf_text(sql), values, r->n, on_row);
}

static int on_object(void *context, const struct db_row *row)
{
    struct reading *r = context;
    struct object *o = object_of(r, db_number(row, 0, 0));

    if (o && !o->found) {
        o->found = true;
        add_fields(&o->json, r, row, 1);
        if (r->kind == ENRICHMENT_CM) {
            o->instance = db_number(row, row->n - 2, 0);
            snprintf(o->modname, sizeof o->modname, "%s", db_text(row, row->n - 1));
        } else {
            buf_addc(&o->json, '}');
        }
    }
    return 0;
}

static int read_objects(struct reading *r, const char *table, const char *from, const char *where)
{
    struct buf sql;

    buf_init(&sql, MAX_STATEMENT);
    buf_adds(&sql, "SELECT t.id");
    add_columns(&sql, r->kind);
    buf_adds(&sql, from);
    buf_adds(&sql, where);
    int result = query_ids(r, table, &sql, "", on_object);
    buf_release(&sql);
    return result;
}

/* Profile fields: id, user, short name, what the user wrote or else the field's default. */
static int on_profile_field(void *context, const struct db_row *row)
{
    struct reading *r = context;
    struct object *o = object_of(r, db_number(row, 0, 0));

    if (!o)
        return 0;
    if (!o->found)
        buf_addc(&o->json, '{');
    o->found = true;
    add_key(&o->json, db_text(row, 1), strlen(db_text(row, 1)));
    add_value(&o->json, row, 2, false);
    return 0;
}

static int read_profiles(struct reading *r)
{
    struct buf sql;

    buf_init(&sql, MAX_STATEMENT);
    buf_adds(&sql, "SELECT t.id, f.shortname, COALESCE(d.data, f.defaultdata) FROM {user} t"
                   " CROSS JOIN {user_info_field} f LEFT JOIN {user_info_data} d"
                   " ON d.userid = t.id AND d.fieldid = f.id WHERE t.deleted = 0 AND t.id");
    int result = query_ids(r, "user_info_data", &sql, " ORDER BY t.id, f.id", on_profile_field);
    for (size_t i = 0; i < r->n; i++)
        if (r->objects[i].found)
            buf_addc(&r->objects[i].json, '}');
    buf_release(&sql);
    return result;
}

/* The view has a row with id 0 for each kind of activity that it knows. */
static int on_name(void *context, const struct db_row *row)
{
    struct reading *r = context;
    int64_t instance = db_number(row, 0, 0);

    r->modname_known = r->modname_known || instance == 0;
    for (size_t i = 0; instance > 0 && i < r->n; i++) {
        struct object *o = &r->objects[i];

        if (o->found && !o->named && o->instance == instance &&
            strcmp(o->modname, r->modname) == 0) {
            o->named = true;
            add_key(&o->json, "name", 4);
            add_value(&o->json, row, 1, false);
        }
    }
    return 0;
}

/* The names of the activities of one kind. */
static int read_names(struct reading *r, const char *modname)
{
    struct db_value values[ENRICH_MAX_IDS + 2];
    struct buf sql;
    size_t n = 1;

    buf_init(&sql, MAX_STATEMENT);
    buf_adds(&sql, "SELECT id, name FROM mih_{activities} WHERE modname = ? AND id IN (0");
    values[0] = (struct db_value){.text = modname, .len = strlen(modname)};
    for (size_t i = 0; i < r->n; i++) {
        if (r->objects[i].found && strcmp(r->objects[i].modname, modname) == 0) {
            values[n++] = (struct db_value){.number = r->objects[i].instance};
            buf_adds(&sql, ", ?");
        }
    }
    buf_adds(&sql, ")");
    r->modname = modname;
    r->modname_known = false;
    int result = buf_error(&sql);
    if (result == 0)
        result = query(r, "the names of activities", buf_text(&sql), values, n, on_name);
    if (result == 0 && !r->modname_known) {
        snprintf(r->reason, r->reason_size,
                 "activities of the type %s came after deploy/grants.sh was run: run it again",
                 modname);
        for (size_t i = 0; i < r->n; i++)
            r->objects[i].unknown |= strcmp(r->objects[i].modname, modname) == 0;
    }
    buf_release(&sql);
    return result;
}

static bool is_first_of_its_kind(struct reading *r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (r->objects[k].found && strcmp(r->objects[k].modname, r->objects[i].modname) == 0)
            return false;
    return r->objects[i].found;
}

static int read_activities(struct reading *r)
{
    int result =
        read_objects(r, "course_modules",
                     " FROM {course_modules} t JOIN {modules} m ON m.id = t.module", " WHERE t.id");
    for (size_t i = 0; result == 0 && i < r->n; i++)
        if (is_first_of_its_kind(r, i))
            result = read_names(r, r->objects[i].modname);
    for (size_t i = 0; i < r->n; i++)
        if (r->objects[i].found)
            buf_addc(&r->objects[i].json, '}');
    return result;
}

/* The site's names are those of its front page, the course in no category. */
static int on_site(void *context, const struct db_row *row)
{
    struct reading *r = context;

    if (!r->objects->found) {
        r->objects->found = true;
        add_fields(&r->objects->json, r, row, 0);
        buf_addc(&r->objects->json, '}');
    }
    return 0;
}

static int read_kind(struct reading *r)
{
    switch (r->kind) {
    case ENRICHMENT_USER:
        return read_objects(r, "user", " FROM {user} t", " WHERE t.deleted = 0 AND t.id");
    case ENRICHMENT_PROFILE:
        return read_profiles(r);
    case ENRICHMENT_COURSE:
        return read_objects(r, "course",
                            " FROM {course} t LEFT JOIN {course_categories} c ON c.id = t.category",
                            " WHERE t.id");
    case ENRICHMENT_CM:
        return read_activities(r);
    case ENRICHMENT_SITE:
        return query(r, "course",
                     "SELECT fullname, shortname FROM {course} WHERE category = 0 ORDER BY id"
                     " LIMIT 1",
                     NULL, 0, on_site);
    case ENRICHMENT_KINDS:
        break;
    }
    return -EINVAL;
}

/* Entries of all objects, but of those that cannot be had. 0, ENRICH_PARTLY or -ENOMEM. */
static int make_entries(struct reading *r, struct enrich_entry **list)
{
    int result = 0;

    for (size_t i = 0; i < r->n; i++) {
        struct object *o = &r->objects[i];
        bool large = buf_error(&o->json) == -EMSGSIZE;

        if (large || o->unknown) {
            if (large)
                snprintf(r->reason, r->reason_size, "the one with id %lld has more than 1 MiB",
                         (long long)o->id);
            result = ENRICH_PARTLY;
            continue;
        }
        char *text = o->found ? buf_take(&o->json, NULL) : NULL;
        struct enrich_entry *e = o->found && !text ? NULL : enrich_entry_new(r->kind, o->id, text);

        if (!e)
            return -ENOMEM;
        e->next = *list;
        *list = e;
    }
    return result;
}

// NOLINTNEXTLINE(readability-function-size): seven arguments; ids and reason take two each
int enrich_read(struct db *db, enum enrichment_kind kind, const int64_t *ids, size_t n,
                struct enrich_entry **list, char *ret_reason, size_t reason_size)
{
    struct reading r = {
        .db = db, .kind = kind, .n = n, .reason = ret_reason, .reason_size = reason_size};
    int result = -ENOMEM;

    r.objects = calloc(n, sizeof *r.objects);
    if (r.objects) {
        for (size_t i = 0; i < n; i++) {
            r.objects[i].id = ids[i];
            buf_init(&r.objects[i].json, MAX_OBJECT);
        }
        result = read_kind(&r);
    }
    if (result == 0)
        result = make_entries(&r, list);
    if (result == -ENOMEM)
        snprintf(ret_reason, reason_size, "out of memory");
    for (size_t i = 0; r.objects && i < n; i++)
        buf_release(&r.objects[i].json);
    free(r.objects);
    return result;
}
