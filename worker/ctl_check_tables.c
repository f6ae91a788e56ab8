#include <errno.h>
#include <sysexits.h>

#include "worker/ctl_base.h"
#include "worker/ctl_check.h"
#include "worker/ctl_report.h"
#include "worker/enrich_cache.h"
#include "worker/enrich_rows.h"

#define HUB "{local_integrationhub_"
#define NONE " WHERE 1 = 0"
#define NO_ROW " FROM DUAL WHERE 1 = 0"

/* What is done to a table of the hub. That svc and rules can be read whole is seen when they are.
 */
static const struct table {
    const char *name;
    const char *sql[4]; /* up to the first NULL */
} tables[] = {
    {"svc",
     {"SELECT id, name, type, enabled, paused FROM " HUB "svc}" NONE,
      "UPDATE " HUB "svc} SET paused = 0" NONE}},
    {"rules",
     {"SELECT id, serviceid, eventname, endpoint, enabled FROM " HUB "rules}" NONE,
      "UPDATE " HUB "rules} SET enabled = 0, timemodified = 0, timedisabled = 0,"
      " disabledreason = ''" NONE}},
    {"cb",
     {"SELECT serviceid, state, failure_count, last_failure, timemodified, trips, retryat, holder"
      " FROM " HUB "cb}" NONE,
      "INSERT INTO " HUB "cb} (serviceid) SELECT 1" NO_ROW,
      "UPDATE " HUB "cb} SET state = '', failure_count = 0, last_failure = 0, timemodified = 0,"
      " trips = 0, retryat = 0, holder = ''" NONE}},
    {"log",
     {"SELECT id, serviceid, endpoint, http_method, http_status, latency_ms, attempt_count,"
      " success, error_message, timecreated, ruleid, messageid, eventname, outcome"
      " FROM " HUB "log}" NONE,
      "INSERT INTO " HUB "log} (serviceid, endpoint) SELECT 1, ''" NO_ROW,
      "DELETE FROM " HUB "log}" NONE}},
    {"stat",
     {"SELECT serviceid, ruleid, width, timestart, delivered, retried, dead, skipped, held,"
      " latencysum, latencymax, backlog, h0, h18 FROM " HUB "stat}" NONE,
      "INSERT INTO " HUB "stat} (serviceid, width, timestart) SELECT 1, 0, 0" NO_ROW,
      "UPDATE " HUB "stat} SET delivered = 0" NONE, "DELETE FROM " HUB "stat}" NONE}},
    {"batch",
     {"SELECT number, writer, timemodified FROM " HUB "batch}" NONE,
      "INSERT INTO " HUB "batch} (writer) SELECT ''" NO_ROW,
      "UPDATE " HUB "batch} SET number = 0, timemodified = 0" NONE,
      "DELETE FROM " HUB "batch}" NONE}},
    {"backlog",
     {"SELECT serviceid, waiting, dead, timeoldest, timeseen FROM " HUB "backlog}" NONE,
      "INSERT INTO " HUB "backlog} (serviceid) SELECT 1" NO_ROW,
      "UPDATE " HUB "backlog} SET waiting = 0, dead = 0, timeoldest = 0, timeseen = 0" NONE,
      "DELETE FROM " HUB "backlog}" NONE}},
    {"dlq",
     {"SELECT id, serviceid, ruleid, messageid, eventname, error_message, attempts, http_status,"
      " timecreated, payload, endpoint, http_method, response, state, timefirst, timemodified,"
      " replayid FROM " HUB "dlq}" NONE,
      "INSERT INTO " HUB "dlq} (serviceid) SELECT 1" NO_ROW,
      "UPDATE " HUB "dlq} SET state = '', replayid = 0, timemodified = 0, eventname = '',"
      " payload = '', error_message = '', timecreated = 0, endpoint = '', http_method = '',"
      " attempts = 0, http_status = 0, response = '', timefirst = 0" NONE}},
    {"replay",
     {"SELECT id, action, mode, serviceid, ruleid, messageid, eventname, reason, timefrom, timeto,"
      " rate, maxcount, canary, stopafter, dryrun, userid, state, matched, moved, failed, error,"
      " timecreated, timestarted, timeended FROM " HUB "replay}" NONE,
      "INSERT INTO " HUB "replay} (action) SELECT ''" NO_ROW,
      "UPDATE " HUB "replay} SET state = '', matched = 0, moved = 0, failed = 0, error = '',"
      " timestarted = 0, timeended = 0, timemodified = 0" NONE}},
    {"outbox",
     {"SELECT id, messageid, eventname, payload, timecreated FROM " HUB "outbox}" NONE,
      "DELETE FROM " HUB "outbox}" NONE}},
    {"binding",
     {"SELECT serviceid, routingkey, timebound FROM " HUB "binding}" NONE,
      "INSERT INTO " HUB "binding} (serviceid, routingkey) SELECT 1, ''" NO_ROW,
      "UPDATE " HUB "binding} SET timebound = 0" NONE, "DELETE FROM " HUB "binding}" NONE}},
    {"worker",
     {"SELECT instance, host, pid, version, timestarted, timeseen, timeprogress, inflight,"
      " received, delivered, skipped, dead, memory, retried, elected FROM " HUB "worker}" NONE,
      "INSERT INTO " HUB "worker} (instance) SELECT ''" NO_ROW,
      "UPDATE " HUB "worker} SET timeseen = 0, timeprogress = 0, inflight = 0, received = 0,"
      " delivered = 0, skipped = 0, dead = 0, memory = 0" NONE,
      "DELETE FROM " HUB "worker}" NONE}},
};

static const char *help_for(int result)
{
    return result == -EPERM    ? "; deploy/grants.sh grants it"
           : result == -ENOENT ? "; has Moodle's upgrade of the plugin run?"
                               : "";
}

static int check_table(struct ctl *c, struct ctl_report *report, const struct table *t)
{
    char what[64];
    int r = 0;

    snprintf(what, sizeof what, "table local_integrationhub_%s", t->name);
    for (size_t i = 0; r == 0 && i < sizeof t->sql / sizeof *t->sql && t->sql[i]; i++)
        r = db_query(c->db, t->sql[i], NULL, 0, NULL, NULL, NULL);
    if (r < 0)
        ctl_report_add(report, CTL_DOWN, what, "%.400s%s", db_reason(c->db), help_for(r));
    else
        ctl_report_add(report, CTL_OK, what, "columns and rights are there");
    return db_lost(c->db) ? r : 0;
}

/* What is read of Moodle's own tables, for templates and filters, by the workers' own code. */
static int look_up_nobody(struct ctl *c, enum enrichment_kind kind)
{
    const int64_t id = 0;
    struct enrich_entry *list = NULL;
    int r = enrich_read(c->db, kind, &id, 1, &list, c->reason, sizeof c->reason);

    while (list) {
        struct enrich_entry *e = list;

        list = e->next;
        enrich_entry_unref(e);
    }
    return r < 0 ? r : 0;
}

static int read_view(struct ctl *c, const char *sql)
{
    int r = db_query(c->db, sql, NULL, 0, NULL, NULL, NULL);

    if (r < 0)
        snprintf(c->reason, sizeof c->reason, "%.400s%s", db_reason(c->db), help_for(-EPERM));
    return r;
}

/* In a database without Moodle there is none of it, which a user without rights cannot tell from
 * there being no rights. */
static void check_moodle(struct ctl *c, struct ctl_report *report)
{
    static const char *const views[] = {
        "SELECT name, value FROM mih_{settings} WHERE 1 = 0",
        "SELECT modname, id, name FROM mih_{activities} WHERE 1 = 0",
    };
    char first[sizeof c->reason] = "";
    unsigned failed = 0;
    unsigned asked = 0;

    for (; asked < ENRICHMENT_KINDS + 2 && !db_lost(c->db); asked++) {
        int r = asked < ENRICHMENT_KINDS ? look_up_nobody(c, (enum enrichment_kind)asked)
                                         : read_view(c, views[asked - ENRICHMENT_KINDS]);
        if (r < 0 && failed++ == 0)
            snprintf(first, sizeof first, "%s", c->reason);
    }
    if (failed == 0)
        ctl_report_add(report, CTL_OK, "Moodle's tables",
                       "what templates and filters may name can be read");
    else if (failed == asked)
        ctl_report_add(report, CTL_WARN, "Moodle's tables",
                       "none can be read: right without a Moodle in this database, else "
                       "deploy/grants.sh grants it");
    else
        ctl_report_add(report, CTL_DOWN, "Moodle's tables", "%s", first);
}

void ctl_check_tables(struct ctl *c, struct ctl_report *report)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (check_table(c, report, &tables[i]) < 0)
            return;
    check_moodle(c, report);
}
