#include "worker/childlink.h"

#include <errno.h>
#include <sys/socket.h>

int childlink_open(int ret_fds[2])
{
    int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fds);
    return r == 0 ? 0 : -errno;
}

bool childlink_valid(int fd)
{
    int type;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int childlink_report(int fd, const struct child_report *report)
{
    ssize_t sent;
    do
        sent = send(fd, report, sizeof *report, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

int childlink_receive(int fd, struct child_report *ret_report)
{
    struct child_report report;
    int result = -EAGAIN;
    for (;;) {
        ssize_t got = recv(fd, &report, sizeof report, MSG_DONTWAIT | MSG_TRUNC);
        if (got == (ssize_t)sizeof report) {
            *ret_report = report;
            result = 0;
        } else if (got == 0) {
            return result == 0 ? 0 : -EPIPE;
        } else if (got > 0) {
            return -EPROTO;
        } else if (errno != EINTR) {
            return errno == EAGAIN || result == 0 ? result : -EPIPE;
        }
    }
}
