/*
 * mih-worker: carries Moodle's events from the broker to the services.
 *
 *   mih-worker [--config FILE]                 the supervisor
 *   mih-worker [--config FILE] --check-config  says what is wrong with the configuration
 *   mih-worker [--config FILE] --dump-config   prints the settings in force, secrets masked
 *   mih-worker --version | --help
 *
 * `--child N` is the supervisor's own: a worker process. Exit codes are those of sysexits.h.
 */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret.h"
#include "worker/child.h"
#include "worker/childlink.h"
#include "worker/children.h"
#include "worker/supervisor.h"

#define DEFAULT_CONFIG "/etc/mih/mih.conf"

enum action { RUN, CHILD, CHECK_CONFIG, DUMP_CONFIG, VERSION, HELP };

struct arguments {
    enum action action;
    const char *config_path; /* NULL: defaults and environment alone */
    int child_number;
};

static const char help[] =
    "Usage: mih-worker [--config FILE] [--check-config | --dump-config | --version | --help]\n"
    "\n"
    "Carries Moodle's events from the broker to the services. Without an action it runs until\n"
    "SIGTERM; SIGHUP reads the configuration again, SIGTSTP and SIGCONT pause and resume.\n"
    "\n"
    "  --config FILE   settings; default " DEFAULT_CONFIG ", if there is one. Each can be\n"
    "                  overridden by the environment: MIH_BROKER_URL for [broker] url\n"
    "  --check-config  only check the settings, naming what is wrong and where; it connects to\n"
    "                  nothing: mihctl check looks at database and broker, too\n"
    "  --dump-config   print the settings in force, secrets masked\n"
    "  --version       print the version\n"
    "  --help          print this\n";

static int child_number(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number < 0 || number >= CHILDREN_MAX)
        errx(EX_USAGE, "--child %s: not a child's number", text);
    if (!childlink_valid(CHILDLINK_FD))
        errx(EX_USAGE, "--child is for the supervisor alone");
    return (int)number;
}

static void parse(int argc, char **argv, struct arguments *a)
{
    static const struct option known[] = {{"config", required_argument, NULL, 'f'},
                                          {"child", required_argument, NULL, CHILD},
                                          {"check-config", no_argument, NULL, CHECK_CONFIG},
                                          {"dump-config", no_argument, NULL, DUMP_CONFIG},
                                          {"version", no_argument, NULL, VERSION},
                                          {"help", no_argument, NULL, HELP},
                                          {NULL, 0, NULL, 0}};
    int option;
    a->config_path = access(DEFAULT_CONFIG, F_OK) == 0 ? DEFAULT_CONFIG : NULL;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == '?')
            exit(EX_USAGE); /* getopt_long() has said why */
        if (option == 'f') {
            a->config_path = optarg;
            continue;
        }
        a->action = (enum action)option;
        if (a->action == CHILD)
            a->child_number = child_number(optarg);
    }
    if (optind < argc)
        errx(EX_USAGE, "%s: not an option (see --help)", argv[optind]);
}

static int run(const struct arguments *a, struct settings *settings)
{
    struct supervisor_options options = {.program = "/proc/self/exe",
                                         .config_path = a->config_path};
    secret_protect_process();
    prctl(PR_SET_NAME, "mih-worker"); /* a child began as /proc/self/exe, and would be called exe */
    signal(SIGPIPE, SIG_IGN);         /* curl and librabbitmq write to sockets that may be gone */
    log_init(a->action == CHILD ? "worker" : "supervisor", (enum log_level)settings->log_level);
    if (a->action == RUN)
        return supervisor_run(&options, settings);
    unsetenv("NOTIFY_SOCKET"); /* systemd hears from the supervisor alone */
    return child_run(a->child_number, CHILDLINK_FD, settings, a->config_path);
}

static void tell_mistake(void *context, const struct conf_error *error)
{
    (void)context;
    warnx("%s", error->text);
}

int main(int argc, char **argv)
{
    struct arguments a = {.action = RUN};
    static struct settings settings;
    int code = EX_OK;
    parse(argc, argv, &a);
    if (a.action == HELP || a.action == VERSION) {
        fputs(a.action == HELP ? help : "mih-worker " MIH_VERSION "\n", stdout);
        return EX_OK;
    }
    if (conf_load_telling(&settings_table, &settings, a.config_path, tell_mistake, NULL) != 0)
        return EX_CONFIG;
    if (a.action == DUMP_CONFIG)
        conf_dump(&settings_table, &settings, stdout);
    else if (a.action == CHECK_CONFIG)
        printf("%s: valid\n", a.config_path ? a.config_path
                                            : DEFAULT_CONFIG " does not exist; the defaults and"
                                                             " the environment");
    else
        code = run(&a, &settings);
    if (a.action != CHILD) /* a thread that it left behind in a library may still use them */
        conf_release(&settings_table, &settings);
    return code;
}
