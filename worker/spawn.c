#include "worker/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/childlink.h"
#include "worker/statmap.h"

enum { N_KEPT = STATMAP_FD - CHILDLINK_FD + 1 };

/* In the child from here on: nothing but what signal-safety(7) allows. */

static void reset_signals(const sigset_t *mask)
{
    static const int ignored[] = {SIGHUP, SIGTSTP, SIGINT, SIGPIPE};
    static const int ordinary[] = {SIGTERM, SIGCONT, SIGCHLD};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    for (size_t i = 0; i < sizeof ordinary / sizeof *ordinary; i++)
        signal(ordinary[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
}

/* Makes the descriptors number CHILDLINK_FD and up, in this order, and closes all above; -1 leaves
 * its number closed. */
static void keep_descriptors(const int *fds, int n)
{
    const int above = CHILDLINK_FD + n;
    int high[N_KEPT];
    /* By way of higher numbers: each may stand where another belongs, and dup2() onto itself
     * would leave close-on-exec set. */
    for (int i = 0; i < n; i++) {
        high[i] = fds[i] >= 0 ? fcntl(fds[i], F_DUPFD, above) : -1;
        if (fds[i] >= 0 && high[i] < 0)
            _exit(EX_OSERR);
    }
    for (int i = 0; i < n; i++)
        if (high[i] >= 0 ? dup2(high[i], CHILDLINK_FD + i) < 0
                         : close(CHILDLINK_FD + i) < 0 && errno != EBADF)
            _exit(EX_OSERR);
    if (close_range((unsigned)above, UINT_MAX, 0) != 0)
        _exit(EX_OSERR);
}

static void become_child(const struct spawn_options *options, char *const arguments[], int link_fd,
                         pid_t parent, const sigset_t *mask)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        _exit(EX_OSERR);
    if (getppid() != parent) /* it died before the line above */
        _exit(EX_OK);
    keep_descriptors(
        (const int[N_KEPT]){link_fd, options->seen_fd, options->suspects_fd, options->stat_fd},
        N_KEPT);
    reset_signals(mask);
    execv(options->program, arguments);
    _exit(EX_OSERR);
}

int spawn_child(const struct spawn_options *options, unsigned number, int link_fd, pid_t *ret_pid)
{
    static char name[] = "mih-worker", child_option[] = "--child", config_option[] = "--config";
    char digits[16], path[PATH_MAX];
    char *arguments[] = {name, child_option, digits, NULL, NULL, NULL};
    sigset_t all, before;
    pid_t parent = getpid();
    snprintf(digits, sizeof digits, "%u", number);
    if (options->config_path != NULL) {
        if (snprintf(path, sizeof path, "%s", options->config_path) >= (int)sizeof path)
            return -ENAMETOOLONG;
        arguments[3] = config_option;
        arguments[4] = path;
    }
    /* A signal between fork and exec would run our handler in the child, and libevent's handler
     * writes into a pipe that both share. */
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t pid = fork();
    int error = errno;
    if (pid == 0)
        become_child(options, arguments, link_fd, parent, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return -error;
    *ret_pid = pid;
    return 0;
}
