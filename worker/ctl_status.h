/*
 * `mihctl status` and `mihctl top`: one screen of the hub's state, once or again and again.
 */
#ifndef MIH_WORKER_CTL_STATUS_H
#define MIH_WORKER_CTL_STATUS_H

struct buf;
struct ctl;
struct ctl_state;
struct json_object;

/* The exit code: 0, or 69 when database or broker could not be asked; what could be is shown. */
int ctl_status(struct ctl *c);

/* Until q, Ctrl-C or SIGTERM on a terminal; until a signal elsewhere, one state after the other.
 * The exit code is that of the last one. */
int ctl_top(struct ctl *c);

/* The state in lines. */
void ctl_status_print(const struct ctl *c, const struct ctl_state *s, struct buf *out);

/* The state as one object; to put. NULL: no memory. */
struct json_object *ctl_status_object(const struct ctl_state *s);

/* The exit code of a state. */
int ctl_status_code(const struct ctl_state *s);

#endif
