/*
 * mih-replayer: brings dead letters back, discards them, and looks after their number and age.
 * Without a command it is the daemon; see --help. Exit codes are those of sysexits.h.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret.h"
#include "worker/replayer.h"

#define DEFAULT_CONFIG "/etc/mih/mih.conf"

static const char help[] =
    "Usage: mih-replayer [--config FILE]                       carry out what is asked for\n"
    "       mih-replayer replay WHICH... [OPTION...]           send dead letters again\n"
    "       mih-replayer discard WHICH... [OPTION...]          throw them away; the row is kept\n"
    "       mih-replayer reindex [--service S]                 make the table dlq again\n"
    "       mih-replayer list [WHICH...] [--limit N]           what the table dlq has\n"
    "       mih-replayer withdraw N                            stop the replay of this number\n"
    "       mih-replayer --check-config | --dump-config | --version | --help\n"
    "\n"
    "Which; several narrow it down:\n"
    "  --id MESSAGE_ID     one message\n"
    "  --service ID|NAME   of one service\n"
    "  --rule ID           of one rule\n"
    "  --event NAME        of one event; an asterisk at the end stands for anything\n"
    "  --reason TEXT       whose reason contains the text\n"
    "  --from T, --to T    that died then: 2026-11-25T08:30:00Z (UTC without a zone) or Unix "
    "seconds\n"
    "  --all               all of them\n"
    "\n"
    "Options:\n"
    "  --mode sent|render  the body as last sent (default), or rendered by today's rule\n"
    "  --rate N            so many per second; default 100\n"
    "  --limit N           at most so many, the oldest\n"
    "  --dry-run           only count and list them\n"
    "  --canary            one first; the others when it is delivered\n"
    "  --canary-wait S     the same, waiting so long for it; default [replayer] canary_wait\n"
    "  --stop-after N      stop when so many have failed again\n"
    "  --json              one JSON object a line; the last one is the result\n"
    "  --config FILE       settings; default " DEFAULT_CONFIG ", if there is one\n"
    "\n"
    "Done means: handed to the workers. What fails there is a dead letter again, counted as "
    "failed\n"
    "again as far as it is known then, and listed by list a little later.\n"
    "\n"
    "Exit codes: 0 done, 69 stopped or failed, 75 interrupted: it goes on by itself, 64 usage,\n"
    "65 unknown service or replay, or one that has ended, 78 configuration.\n";

static int check_or_dump(const struct replay_command *c, const struct settings *settings)
{
    if (c->verb == VERB_DUMP_CONFIG)
        conf_dump(&settings_table, settings, stdout);
    else
        printf("%s: valid\n", c->config_path ? c->config_path
                                             : DEFAULT_CONFIG " does not exist; the defaults and"
                                                              " the environment");
    return EX_OK;
}

/* On the command line the result is printed; lines of the log tell of trouble alone. */
static enum log_level command_level(int level)
{
    return level == LOG_LEVEL_INFO ? LOG_LEVEL_WARNING : (enum log_level)level;
}

static int run(struct replay_command *c, struct settings *settings)
{
    secret_protect_process();
    signal(SIGPIPE, SIG_IGN); /* librabbitmq writes to sockets that may be gone */
    if (c->verb == VERB_DAEMON) {
        log_init("replayer", (enum log_level)settings->log_level);
        return replayer_serve(settings, c->config_path);
    }
    log_init("replayer", command_level(settings->log_level));
    return replayer_command(settings, c);
}

static void tell_mistake(void *context, const struct conf_error *error)
{
    (void)context;
    warnx("%s", error->text);
}

int main(int argc, char **argv)
{
    static struct settings settings;
    static struct replay_command c;
    char reason[256];
    int code;

    if (replay_command_parse(argc, argv, &c, reason, sizeof reason) < 0)
        errx(EX_USAGE, "%s", reason);
    if (c.verb == VERB_HELP || c.verb == VERB_VERSION) {
        fputs(c.verb == VERB_HELP ? help : "mih-replayer " MIH_VERSION "\n", stdout);
        return EX_OK;
    }
    if (!c.config_path && access(DEFAULT_CONFIG, F_OK) == 0)
        c.config_path = DEFAULT_CONFIG;
    if (conf_load_telling(&settings_table, &settings, c.config_path, tell_mistake, NULL) != 0)
        return EX_CONFIG;
    if (c.verb == VERB_CHECK_CONFIG || c.verb == VERB_DUMP_CONFIG)
        code = check_or_dump(&c, &settings);
    else
        code = run(&c, &settings);
    conf_release(&settings_table, &settings);
    return code;
}
