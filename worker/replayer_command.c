/* The command line of mih-replayer: one replay, discard or making of the index, or a list. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/timing.h"
#include "worker/replay_index.h"
#include "worker/replay_print.h"
#include "worker/replay_run.h"
#include "worker/replayer_impl.h"

enum { LOOK_MS = 500, PROGRESS_MS = 1000, LIST_ROWS = 1000 };

struct command {
    struct replayer r; /* first: the tools' context is both */
    struct replay_command *asked;
    int64_t said_ms;
};

static int fail(const char *text, const char *reason, int code)
{
    fprintf(stderr, "mih-replayer: %s%s%s\n", text, *reason ? ": " : "", reason);
    return code;
}

static void say_progress(struct command *c, const struct replay *replay)
{
    int64_t now_ms = timing_mono_ms();

    if (now_ms - c->said_ms < PROGRESS_MS)
        return;
    c->said_ms = now_ms;
    replay_print_progress(stderr, false, replay);
}

static bool stopping(void *context)
{
    struct command *c = context;

    return replayer_stopping(&c->r);
}

/* Replays that were asked for before may be carried out on the way; only the own one is told. */
static void on_progress(void *context, const struct replay *progress)
{
    struct command *c = context;

    if (progress->id == c->asked->replay.id)
        say_progress(c, progress);
}

static void on_selected(void *context, const struct letter *l)
{
    struct command *c = context;
    const struct dead_row row = letter_row(l);

    replay_print_letter(stdout, c->asked->json, &row);
}

static int on_listed(void *context, int64_t id, const struct dead_row *row)
{
    const struct command *c = context;

    (void)id;
    replay_print_letter(stdout, c->asked->json, row);
    return 0;
}

static int list(struct command *c)
{
    const struct replay *replay = &c->asked->replay;
    int64_t limit = replay->max_count > 0 ? replay->max_count : LIST_ROWS;
    int r = replay_index_list(c->r.db, &replay->filter, limit, on_listed, c);

    return r < 0 ? fail("the index cannot be read", db_reason(c->r.db), EX_UNAVAILABLE) : EX_OK;
}

/* Carries out what is next, until the own row has ended. 0: it has not. */
static int work(struct command *c)
{
    struct replay_tools tools = replayer_tools(&c->r);
    struct replay next;
    int r = replay_store_next(c->r.db, &next);

    if (r != 0)
        return r < 0 ? r : 0;
    tools.context = c;
    tools.stopping = stopping;
    tools.on_progress = on_progress;
    if (next.id == c->asked->replay.id && next.dry_run)
        tools.on_selected = on_selected;
    if (c->asked->canary_wait_s > 0 && next.id == c->asked->replay.id)
        tools.canary_wait_ms = c->asked->canary_wait_s * 1000;
    return replay_run(&tools, &next);
}

/* One look: works, or sees how far another replayer is. 1: it has ended; 0; or a negative errno. */
static int look(struct command *c)
{
    struct replay *own = &c->asked->replay;
    int r = replayer_connect(&c->r);

    if (r < 0)
        return r;
    c->r.link.reason[0] = '\0';
    r = r == 0 ? work(c) : replayer_wait(&c->r, LOOK_MS);
    if (r == 0)
        r = replay_store_read(c->r.db, own->id, own);
    if (r < 0 && r != -ECANCELED)
        replayer_note_failure(&c->r);
    if (r != 0)
        return r == 1 ? -ENOENT : r;
    say_progress(c, own);
    return strcmp(own->state, "requested") != 0 && strcmp(own->state, "running") != 0;
}

static int carry_out(struct command *c)
{
    struct replay *own = &c->asked->replay;
    int r = replay_store_add(c->r.db, own, &own->id);

    if (r < 0)
        return fail("the replay cannot be asked for", db_reason(c->r.db), EX_UNAVAILABLE);
    c->said_ms = timing_mono_ms();
    r = 0;
    while (r == 0 && !replayer_stopping(&c->r))
        r = look(c);
    if (r != 1) {
        fprintf(stderr,
                "mih-replayer: %s; replay %" PRId64 " goes on when a replayer works again\n",
                c->r.stopping ? "stopped" : c->r.reason, own->id);
        return EX_TEMPFAIL;
    }
    replay_print_progress(stdout, c->asked->json, own);
    return strcmp(own->state, "done") == 0 ? EX_OK : EX_UNAVAILABLE;
}

static int withdraw(struct command *c)
{
    struct replay *own = &c->asked->replay;
    char number[32];
    int r = replay_store_withdraw(c->r.db, own->id);

    snprintf(number, sizeof number, "%" PRId64, own->id);
    if (r == 0)
        r = replay_store_read(c->r.db, own->id, own);
    if (r < 0)
        return fail("the replay cannot be withdrawn", db_reason(c->r.db), EX_UNAVAILABLE);
    if (r == 1)
        return fail(number, "no replay has this number", EX_DATAERR);
    if (strcmp(own->state, "stopped") != 0)
        return fail(number, "this replay has ended already", EX_DATAERR);
    replay_print_progress(stdout, c->asked->json, own);
    return EX_OK;
}

static int obey(struct command *c)
{
    if (c->asked->verb == VERB_LIST)
        return list(c);
    return c->asked->verb == VERB_WITHDRAW ? withdraw(c) : carry_out(c);
}

static int find_service(struct command *c)
{
    int r;

    if (!c->asked->service)
        return 0;
    r = replay_store_service(c->r.db, c->asked->service, &c->asked->replay.filter.service_id);
    if (r < 0)
        return fail("services cannot be read", db_reason(c->r.db), EX_UNAVAILABLE);
    return r == 1 ? fail(c->asked->service, "no service has this id or name, or several have",
                         EX_DATAERR)
                  : 0;
}

int replayer_command(const struct settings *settings, struct replay_command *command)
{
    struct command c = {.asked = command};
    int code;

    if (replayer_init(&c.r, settings) < 0)
        return fail("cannot start", strerror(errno), EX_OSERR);
    if (replayer_open_db(&c.r) < 0) {
        code = fail(c.r.reason, "", EX_UNAVAILABLE);
    } else {
        code = find_service(&c);
        if (code == 0)
            code = obey(&c);
    }
    replayer_release(&c.r);
    return code;
}
