/*
 * mih-test-supervisor FOLDER: the real supervisor with children that do as they are told, for
 * tests/integration/test_supervisor.py. Settings come from FOLDER/mih.conf and the environment.
 *
 * Each child appends lines "TIME NUMBER PID WORD" to FOLDER/log: start, then the name of each
 * signal, then end. When it starts it reads FOLDER/child-NUMBER, if there is one:
 *   exit CODE   end at once          silent      never report
 *   stuck       report work without any progress
 *   stubborn    ignore SIGTERM       slow        end half a second after SIGTERM
 *   deaf        report once, then never again
 *   misses TSTP stay not quiet after SIGTSTP
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timing.h"
#include "worker/childlink.h"
#include "worker/supervisor.h"

enum { REPORT_MS = 200 };

struct pupil {
    const char *number;
    char order[64];
    int log_fd;
    bool quiet;
    unsigned reports;
};

static void note(const struct pupil *p, const char *word)
{
    dprintf(p->log_fd, "%lld %s %d %s\n", (long long)timing_mono_ms(), p->number, (int)getpid(),
            word);
}

static void read_order(struct pupil *p, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/child-%s", folder, p->number);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    if (fgets(p->order, sizeof p->order, file) != NULL)
        p->order[strcspn(p->order, "\n")] = '\0';
    fclose(file);
}

static int open_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGINT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        signal(numbers[i], SIG_DFL); /* the supervisor left some of them ignored */
        sigaddset(&set, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void report(struct pupil *p)
{
    bool stuck = strcmp(p->order, "stuck") == 0;
    struct child_report r = {.ready = true,
                             .connected = true,
                             .idle = !stuck,
                             .quiet = p->quiet,
                             .in_flight = stuck ? 1 : 0,
                             .progress = 7};
    bool deaf = strcmp(p->order, "deaf") == 0 && p->reports > 0;
    if (strcmp(p->order, "silent") == 0 || deaf)
        return;
    if (childlink_report(CHILDLINK_FD, &r) == -EPIPE)
        note(p, "orphan");
    p->reports++;
}

/* True when the child shall end. */
static bool take_signal(struct pupil *p, int signals)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != (ssize_t)sizeof info)
        err(EX_OSERR, "signalfd");
    note(p, sigabbrev_np((int)info.ssi_signo));
    if (info.ssi_signo == SIGTSTP || info.ssi_signo == SIGCONT)
        p->quiet = info.ssi_signo == SIGTSTP && strcmp(p->order, "misses TSTP") != 0;
    if (info.ssi_signo != SIGTERM || strcmp(p->order, "stubborn") == 0)
        return false;
    if (strcmp(p->order, "slow") == 0)
        poll(NULL, 0, 500);
    return true;
}

static int live(const char *folder, const char *number)
{
    struct pupil p = {.number = number};
    char path[512];
    snprintf(path, sizeof path, "%s/log", folder);
    p.log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (p.log_fd < 0)
        err(EX_CANTCREAT, "%s", path);
    read_order(&p, folder);
    note(&p, "start");
    if (strncmp(p.order, "exit ", 5) == 0)
        return (int)strtol(p.order + 5, NULL, 10);
    struct pollfd wait = {.fd = open_signals(), .events = POLLIN};
    bool ending = false;
    while (!ending) {
        report(&p);
        if (poll(&wait, 1, REPORT_MS) > 0)
            ending = take_signal(&p, wait.fd);
    }
    note(&p, "end");
    return EX_OK;
}

static int supervise(const char *folder)
{
    char path[512];
    struct settings settings = {0};
    struct conf_error error;
    snprintf(path, sizeof path, "%s/mih.conf", folder);
    struct supervisor_options options = {.program = "/proc/self/exe", .config_path = path};
    if (conf_load(&settings_table, &settings, path, &error) != 0)
        errx(EX_CONFIG, "%s", error.text);
    log_init("supervisor", (enum log_level)settings.log_level);
    setenv("SUPERVISED_FOLDER", folder, 1); /* for the children */
    int code = supervisor_run(&options, &settings);
    conf_release(&settings_table, &settings);
    return code;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--child") == 0) {
        const char *folder = getenv("SUPERVISED_FOLDER");
        if (folder == NULL || !childlink_valid(CHILDLINK_FD))
            errx(EX_USAGE, "--child is for the supervisor alone");
        return live(folder, argv[2]);
    }
    if (argc != 2)
        errx(EX_USAGE, "usage: mih-test-supervisor FOLDER");
    return supervise(argv[1]);
}
