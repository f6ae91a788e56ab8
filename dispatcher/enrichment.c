#include "dispatcher/enrichment.h"

#include <string.h>

#include "common/jsonview.h"

enum { CONTEXT_MODULE = 70, SITE_ID = 1, MAX_DIGITS = 18 };

static const struct enrichment_field user_fields[] = {
    {"address", false},    {"alternatename", false}, {"auth", false},
    {"city", false},       {"country", false},       {"department", false},
    {"email", false},      {"firstname", false},     {"firstnamephonetic", false},
    {"id", true},          {"idnumber", false},      {"institution", false},
    {"lang", false},       {"lastname", false},      {"lastnamephonetic", false},
    {"middlename", false}, {"phone1", false},        {"phone2", false},
    {"suspended", true},   {"timecreated", true},    {"timezone", false},
    {"username", false},
};

static const struct enrichment_field course_fields[] = {
    {"category.id", true},    {"category.idnumber", false},
    {"category.name", false}, {"category.parent", true},
    {"category.path", false}, {"category.visible", true},
    {"enddate", true},        {"format", false},
    {"fullname", false},      {"id", true},
    {"idnumber", false},      {"lang", false},
    {"shortname", false},     {"startdate", true},
    {"timecreated", true},    {"visible", true},
};

static const struct enrichment_field cm_fields[] = {
    {"added", true},    {"course", true},   {"id", true},    {"idnumber", false},
    {"instance", true}, {"modname", false}, {"name", false}, {"visible", true},
};

static const struct enrichment_field site_fields[] = {
    {"fullname", false},
    {"shortname", false},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct enrichment_field *enrichment_fields(enum enrichment_kind kind, size_t *ret_n)
{
    static const struct {
        const struct enrichment_field *fields;
        size_t n;
    } all[ENRICHMENT_KINDS] = {
        [ENRICHMENT_USER] = {user_fields, COUNT(user_fields)},
        [ENRICHMENT_COURSE] = {course_fields, COUNT(course_fields)},
        [ENRICHMENT_CM] = {cm_fields, COUNT(cm_fields)},
        [ENRICHMENT_SITE] = {site_fields, COUNT(site_fields)},
    };
    *ret_n = all[kind].n;
    return all[kind].fields;
}

/* How an event names the object of a root, and how one that tells of its change does. */
static const struct {
    enum enrichment_kind kind;
    const char *id_key;
    const char *table;
} roots[PATH_ROOTS] = {
    [ROOT_USER] = {ENRICHMENT_USER, "userid", "user"},
    [ROOT_USER_PROFILE] = {ENRICHMENT_PROFILE, "userid", "user"},
    [ROOT_RELATED] = {ENRICHMENT_USER, "relateduserid", "user"},
    [ROOT_RELATED_PROFILE] = {ENRICHMENT_PROFILE, "relateduserid", "user"},
    [ROOT_COURSE] = {ENRICHMENT_COURSE, "courseid", "course"},
    [ROOT_CM] = {ENRICHMENT_CM, "contextinstanceid", "course_modules"},
    [ROOT_SITE] = {ENRICHMENT_SITE, NULL, NULL},
};

enum enrichment_kind enrichment_kind_of(enum path_root root)
{
    return roots[root].kind;
}

/* A positive whole number, as such or as a text: Moodle gives ids as both. 0 for all else. */
static int64_t positive(const struct jsonview *event, const char *key)
{
    const struct jsonview_node *node = jsonview_member(event, jsonview_root(event), key);
    int64_t number = 0;
    if (!node || (node->type != JSONVIEW_NUMBER && node->type != JSONVIEW_STRING) ||
        node->len > MAX_DIGITS) {
        return 0;
    }
    const char *digits = jsonview_bytes(event, node);
    for (size_t i = 0; i < node->len; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return 0;
        }
        number = number * 10 + (digits[i] - '0');
    }
    return number;
}

int64_t enrichment_id(const struct jsonview *event, enum path_root root)
{
    if (root == ROOT_SITE) {
        return SITE_ID;
    }
    if (root == ROOT_CM && positive(event, "contextlevel") != CONTEXT_MODULE) {
        return 0;
    }
    return positive(event, roots[root].id_key);
}

bool enrichment_is_changed(const struct jsonview *event, enum path_root root)
{
    const struct jsonview_node *table = jsonview_member(event, jsonview_root(event), "objecttable");
    const char *name = roots[root].table;
    return name && table && table->type == JSONVIEW_STRING && table->len == strlen(name) &&
           memcmp(jsonview_bytes(event, table), name, table->len) == 0 &&
           positive(event, "objectid") == enrichment_id(event, root);
}
