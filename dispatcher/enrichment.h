/*
 * What a worker looks up in Moodle's tables for an event: the roots of paths beside the event's
 * own keys, the fields that may be asked for, and the values once they are there.
 *
 *   user.*               the actor: the user of the event's userid
 *   user.profile.*       the actor's custom profile fields, by their short names
 *   relateduser.*        the user of its relateduserid, and relateduser.profile.*
 *   course.*             the course of its courseid; course.category.* is its category
 *   cm.*                 the activity whose context the event is of (contextlevel 70)
 *   site.*               the Moodle site
 *
 * The fields are an allow-list: there is no way to passwords, secrets or tokens. Who is deleted or
 * was never there is null, and so are all of the fields.
 *
 * Pure: which objects an event names is told here; the looking up is the worker's business.
 */
#ifndef MIH_DISPATCHER_ENRICHMENT_H
#define MIH_DISPATCHER_ENRICHMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jsonview;

enum path_root {
    ROOT_EVENT, /* needs no looking up */
    ROOT_USER,
    ROOT_USER_PROFILE,
    ROOT_RELATED,
    ROOT_RELATED_PROFILE,
    ROOT_COURSE,
    ROOT_CM,
    ROOT_SITE,
    PATH_ROOTS,
};

/* Sets of roots are bit masks. */
#define ROOT_BIT(root) (1U << (root))

/* What is looked up: several roots may be of one kind. */
enum enrichment_kind {
    ENRICHMENT_USER,
    ENRICHMENT_PROFILE,
    ENRICHMENT_COURSE,
    ENRICHMENT_CM,
    ENRICHMENT_SITE,
    ENRICHMENT_KINDS,
};

struct enrichment_field {
    const char *name; /* "category.name" for what is one level deeper */
    bool is_number;   /* a JSON number; else a text */
};

/* The fields of a kind, by name; none of ENRICHMENT_PROFILE, whose names the site gives. */
const struct enrichment_field *enrichment_fields(enum enrichment_kind kind, size_t *ret_n);

/* Only of roots that are looked up. */
enum enrichment_kind enrichment_kind_of(enum path_root root);

/* The id that the event gives for a root; 0: none, and so the root is null. The site has id 1. */
int64_t enrichment_id(const struct jsonview *event, enum path_root root);

/* True when the event tells of a change of that very object (its objecttable and objectid say so),
 * so that what was known of it before the event is of no use. */
bool enrichment_is_changed(const struct jsonview *event, enum path_root root);

/* Values for one event. */
struct enrichment {
    unsigned roots; /* mask of those that were looked up */
    /* One object for each of them; NULL or empty: there is none. Borrowed. */
    const struct jsonview *views[PATH_ROOTS];
};

#endif
