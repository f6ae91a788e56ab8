/*
 * mihctl: what an administrator asks of the hub on the command line. Now: what a rule makes of an
 * event, shown or sent. Exit codes are those of sysexits.h.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/secret.h"
#include "worker/ctl_command.h"
#include "worker/ctl_run.h"
#include "worker/settings.h"

#define DEFAULT_CONFIG "/etc/mih/mih.conf"

static const char help[] =
    "Usage: mihctl render WHICH --event FILE [OPTION...]   print the request, do not send it\n"
    "       mihctl send WHICH --event FILE [OPTION...]     send it once, show the answer\n"
    "       mihctl --version | --help\n"
    "\n"
    "Which rule:\n"
    "  --rule-id N       of the database, whose tables payloads are filled from, too\n"
    "  --service FILE    without a database: JSON, with the tables' column names as keys\n"
    "  --rule FILE       the same of the rule\n"
    "  --data FILE       the objects to fill payloads from, by kind and id, such as\n"
    "                    {\"user\": {\"2\": {\"firstname\": \"Ana\"}}}\n"
    "\n"
    "Options:\n"
    "  --event FILE      the event's JSON, as Moodle publishes it\n"
    "  --message-id ID   webhook-id comes of it; default: of the event's bytes\n"
    "  --now S           webhook-timestamp, Unix seconds; default: now\n"
    "  --json            one JSON object\n"
    "  --config FILE     settings; default " DEFAULT_CONFIG ", if there is one\n"
    "\n"
    "Credentials are shown as ***. A test delivery is not counted, remembered or tried again.\n"
    "\n"
    "Exit codes: 0 rendered, delivered, or not wanted by the rule's filter; 65 rejected, or "
    "cannot\n"
    "be rendered; 75 would be tried again; 64 usage, 66 no such file, 69 no database,\n"
    "78 configuration.\n";

static void tell_mistake(void *context, const struct conf_error *error)
{
    (void)context;
    warnx("%s", error->text);
}

int main(int argc, char **argv)
{
    static struct settings settings;
    struct ctl_command c;
    char reason[256];
    int code;

    if (ctl_command_parse(argc, argv, &c, reason, sizeof reason) < 0)
        errx(EX_USAGE, "%s", reason);
    if (c.verb == CTL_HELP || c.verb == CTL_VERSION) {
        fputs(c.verb == CTL_HELP ? help : "mihctl " MIH_VERSION "\n", stdout);
        return EX_OK;
    }
    if (!c.config_path && access(DEFAULT_CONFIG, F_OK) == 0)
        c.config_path = DEFAULT_CONFIG;
    if (conf_load_telling(&settings_table, &settings, c.config_path, tell_mistake, NULL) != 0)
        return EX_CONFIG;
    secret_protect_process();
    signal(SIGPIPE, SIG_IGN); /* the transports write to sockets that may be gone */
    code = ctl_run(&settings, &c);
    conf_release(&settings_table, &settings);
    if (fflush(stdout) != 0)
        err(EX_IOERR, "standard output");
    return code;
}
