/*
 * mihctl: what an administrator asks of the hub on the command line. Exit codes are those of
 * sysexits.h.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/secret.h"
#include "worker/ctl_base.h"
#include "worker/ctl_check.h"
#include "worker/ctl_command.h"
#include "worker/ctl_dlq.h"
#include "worker/ctl_help.h"
#include "worker/ctl_report.h"
#include "worker/ctl_run.h"
#include "worker/ctl_service.h"
#include "worker/ctl_status.h"
#include "worker/ctl_trace.h"
#include "worker/settings.h"

#define DEFAULT_CONFIG "/etc/mih/mih.conf"

/* A check goes on telling as it has begun. */
struct loading {
    const struct ctl_command *command;
    struct ctl_report report;
};

static void tell_mistake(void *context, const struct conf_error *error)
{
    struct loading *l = context;

    if (l->command->verb == CTL_CHECK)
        ctl_report_add(&l->report, CTL_WRONG, "configuration", "%s", error->text);
    else
        warnx("%s", error->text);
}

static int check(struct ctl *c, struct loading *l)
{
    ctl_report_add(&l->report, CTL_OK, "configuration", "%s",
                   l->command->config_path ? l->command->config_path
                                           : DEFAULT_CONFIG " does not exist; the defaults and "
                                                            "the environment");
    return ctl_check(c, &l->report);
}

static int run(struct ctl *c, struct loading *l)
{
    switch (l->command->verb) {
    case CTL_CHECK:
        return check(c, l);
    case CTL_STATUS:
        return ctl_status(c);
    case CTL_TOP:
        return ctl_top(c);
    case CTL_PAUSE:
    case CTL_RESUME:
        return ctl_service_pause(c);
    case CTL_BREAKER:
        return ctl_service_breaker(c);
    case CTL_TRACE:
        return ctl_trace(c);
    case CTL_DLQ:
        return ctl_dlq(c);
    case CTL_RENDER:
    case CTL_SEND:
    case CTL_VERSION:
    case CTL_HELP:
        break;
    }
    return ctl_run(c->settings, l->command);
}

int main(int argc, char **argv)
{
    static struct settings settings;
    static struct ctl_command command;
    static struct loading loading = {.command = &command};
    static struct ctl ctl;
    char reason[256];
    int code;

    if (ctl_command_parse(argc, argv, &command, reason, sizeof reason) < 0)
        errx(EX_USAGE, "%s", reason);
    if (command.verb == CTL_HELP || command.verb == CTL_VERSION) {
        fputs(command.verb == CTL_HELP ? ctl_help : "mihctl " MIH_VERSION "\n", stdout);
        return EX_OK;
    }
    if (!command.config_path && access(DEFAULT_CONFIG, F_OK) == 0)
        command.config_path = DEFAULT_CONFIG;
    if (command.verb == CTL_CHECK)
        ctl_report_init(&loading.report, command.json);
    if (conf_load_telling(&settings_table, &settings, command.config_path, tell_mistake,
                          &loading) != 0)
        return command.verb == CTL_CHECK ? ctl_report_end(&loading.report) : EX_CONFIG;
    secret_protect_process();
    signal(SIGPIPE, SIG_IGN); /* the transports write to sockets that may be gone */
    ctl_init(&ctl, &settings, &command);
    code = run(&ctl, &loading);
    ctl_release(&ctl);
    conf_release(&settings_table, &settings);
    if (fflush(stdout) != 0)
        err(EX_IOERR, "standard output");
    return code;
}
