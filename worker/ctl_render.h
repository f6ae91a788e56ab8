/*
 * The request that one rule makes of one event, by the very steps of a worker: parse, look up,
 * filter, build. Nothing is sent.
 *
 *   ctl_rendering_init(); ctl_rendering_parse(); set catalog, service and rule;
 *   ctl_lookup_file() or ctl_lookup_db(); ctl_rendering_build(); ctl_rendering_release()
 *
 * Reasons are those of the dead letter.
 */
#ifndef MIH_WORKER_CTL_RENDER_H
#define MIH_WORKER_CTL_RENDER_H

#include <stddef.h>
#include <stdint.h>

#include "common/envelope.h"
#include "dispatcher/catalog.h"
#include "dispatcher/enrichment.h"
#include "dispatcher/path.h"
#include "dispatcher/request.h"

struct db;
struct enrich_entry;
struct json_object;

enum { CTL_SKIPPED = 1, CTL_REASON_SIZE = 600 };

struct ctl_rendering {
    struct catalog *catalog; /* a reference, owned; NULL until it is set */
    const struct service *service;
    const struct rule *rule;
    struct envelope event;
    struct enrich_entry *entries[PATH_ROOTS]; /* what was looked up, owned */
    struct enrichment data;
    struct request request;
    char reason[CTL_REASON_SIZE];
};

void ctl_rendering_init(struct ctl_rendering *r);
void ctl_rendering_release(struct ctl_rendering *r);

/* Parses the event, which is borrowed. 0, or negative with the reason. */
int ctl_rendering_parse(struct ctl_rendering *r, size_t max_bytes, const char *message_id,
                        const char *body, size_t len) __attribute__((warn_unused_result));

/* Looks up what the rule needs, in an object of objects by kind and id (tests/cases/README.md;
 * NULL: nothing is looked up), or in Moodle's tables. 0, or negative with the reason. */
int ctl_lookup_file(struct ctl_rendering *r, struct json_object *kinds)
    __attribute__((warn_unused_result));
int ctl_lookup_db(struct ctl_rendering *r, struct db *db) __attribute__((warn_unused_result));

/* Asks the filter, and builds the request. 0; CTL_SKIPPED: the filter says no; negative with the
 * reason. */
int ctl_rendering_build(struct ctl_rendering *r, int64_t now_s) __attribute__((warn_unused_result));

#endif
