/*
 * Disables rules whose service says that the address is gone for good (410): in the database, for
 * all processes, which hear of it by a hint and within a poll interval at the latest. Exactly the
 * rule that was answered so; its columns timedisabled and disabledreason say when and why. A rule
 * that was saved after the request was made, or whose service got another address, stays enabled.
 *
 * While the database is away the rule stays in a bounded list and is disabled when it is back;
 * until then each of its messages becomes a dead letter for the same reason.
 */
#ifndef MIH_WORKER_RULEOFF_H
#define MIH_WORKER_RULEOFF_H

#include "dispatcher/catalog.h"
#include "worker/context.h"

struct ruleoff;
struct store;

enum { RULEOFF_MAX = 256 };

int ruleoff_new(struct context *ctx, struct store *store, struct ruleoff **ret_ruleoff)
    __attribute__((warn_unused_result));

/* Takes a rule. url: as called; reason: of the verdict; begun_ms: when the request began. Logs it
 * once, however many of its requests are answered so, and again when the rule was enabled anew. */
void ruleoff_add(struct ruleoff *o, const struct rule *rule, const char *url, const char *reason,
                 int64_t begun_ms);

/* Before the store is freed: what is not written yet gets its last chance in the store's grace.
 * NULL is allowed. */
void ruleoff_free(struct ruleoff *o);

#endif
