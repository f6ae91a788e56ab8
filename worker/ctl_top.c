/*
 * The state again and again. On a terminal it is drawn on the other screen, which leaves what was
 * there as it was; keys are read one by one, and the signals that end it are taken as events, so
 * that the terminal is always given back as it was.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/timing.h"
#include "worker/ctl_base.h"
#include "worker/ctl_command.h"
#include "worker/ctl_print.h"
#include "worker/ctl_state.h"
#include "worker/ctl_status.h"

enum { MAX_SCREEN = 32 * 1024 * 1024, LINES = 24, COLUMNS = 80 };

#define OTHER_SCREEN "\033[?1049h\033[?25l"
#define FORMER_SCREEN "\033[?25h\033[?1049l"
#define FROM_THE_TOP "\033[H"
#define REST_OF_LINE "\033[K"
#define REST_OF_SCREEN "\033[J"

struct top {
    struct ctl *c;
    int signal_fd;
    bool terminal;        /* both ends are one */
    struct termios modes; /* as they were */
};

static int open_signals(struct top *t)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGWINCH);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    t->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return t->signal_fd < 0 ? -errno : 0;
}

static void take_terminal(struct top *t)
{
    struct termios keys;

    t->terminal = !t->c->command->json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) &&
                  tcgetattr(STDIN_FILENO, &t->modes) == 0;
    if (!t->terminal)
        return;
    keys = t->modes;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    fputs(OTHER_SCREEN, stdout);
}

static void give_terminal_back(const struct top *t)
{
    if (!t->terminal)
        return;
    fputs(FORMER_SCREEN, stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &t->modes);
}

/* Bytes of the line's first characters. */
static size_t clip(const char *line, size_t len, size_t characters)
{
    size_t i = 0;

    for (; i < len; i++)
        if (((unsigned char)line[i] & 0xc0U) != 0x80 && characters-- == 0)
            break;
    return i;
}

/* What fits; the rest of the screen is emptied. */
static void draw(const char *text)
{
    struct winsize size = {.ws_row = LINES, .ws_col = COLUMNS};
    size_t lines;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
        size = (struct winsize){.ws_row = LINES, .ws_col = COLUMNS};
    lines = size.ws_row;
    fputs(FROM_THE_TOP, stdout);
    while (*text && lines-- > 0) {
        size_t len = strcspn(text, "\n");

        fwrite(text, 1, clip(text, len, size.ws_col), stdout);
        fputs(lines > 0 ? REST_OF_LINE "\n" : REST_OF_LINE, stdout);
        text += len + (text[len] == '\n');
    }
    fputs(REST_OF_SCREEN, stdout);
}

static int show(const struct top *t)
{
    struct ctl_state s;
    struct buf out;
    int code;

    ctl_state_read(t->c, &s);
    code = ctl_status_code(&s);
    buf_init(&out, MAX_SCREEN);
    if (t->c->command->json) {
        ctl_print_object(stdout, ctl_status_object(&s));
    } else {
        ctl_status_print(t->c, &s, &out);
        if (t->terminal)
            draw(buf_text(&out));
        else
            printf("%s\n", buf_text(&out));
    }
    buf_release(&out);
    ctl_state_release(&s);
    return fflush(stdout) == 0 ? code : EX_IOERR;
}

/* Whether a key or signal says that it is enough; a new size of the window says redraw. */
static bool ends(const struct top *t, const struct pollfd *fds, bool *redraw)
{
    struct signalfd_siginfo info;
    char key;

    while (read(t->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGWINCH)
            return true;
        *redraw = true;
    }
    if (!(fds[1].revents & (POLLIN | POLLHUP | POLLERR)))
        return false;
    return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q';
}

/* Until the next drawing is due. True: it is enough. */
static bool wait(const struct top *t)
{
    const int64_t until_ms = timing_mono_ms() + t->c->command->interval_s * 1000;
    bool redraw = false;

    for (;;) {
        struct pollfd fds[] = {{.fd = t->signal_fd, .events = POLLIN},
                               {.fd = t->terminal ? STDIN_FILENO : -1, .events = POLLIN}};
        int64_t left = until_ms - timing_mono_ms();

        if (left <= 0 || redraw)
            return false;
        if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
            return true;
        if (ends(t, fds, &redraw))
            return true;
    }
}

int ctl_top(struct ctl *c)
{
    struct top t = {.c = c};
    int code;

    if (open_signals(&t) < 0)
        return ctl_refuse(c, EX_OSERR, "signals cannot be taken: %s", strerror(errno));
    take_terminal(&t);
    do
        code = show(&t);
    while (code != EX_IOERR && !wait(&t));
    give_terminal_back(&t);
    close(t.signal_fd);
    return code;
}
