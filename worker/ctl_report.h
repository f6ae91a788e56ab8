/*
 * What `mihctl check` has found: one line a check, `ok`, `warn` or `FAIL`, and the sum. For people
 * each is printed at once; as JSON one object at the end.
 */
#ifndef MIH_WORKER_CTL_REPORT_H
#define MIH_WORKER_CTL_REPORT_H

#include <stdbool.h>

struct json_object;

enum ctl_level {
    CTL_OK,
    CTL_WARN,
    CTL_DOWN,  /* FAIL: database or broker do not do what is needed */
    CTL_WRONG, /* FAIL: what somebody has configured */
};

struct ctl_report {
    bool json;
    struct json_object *checks; /* a list, owned; NULL: for people, or no memory */
    unsigned count[CTL_WRONG + 1];
};

void ctl_report_init(struct ctl_report *r, bool json);

/* A finding about `what`. */
void ctl_report_add(struct ctl_report *r, enum ctl_level level, const char *what,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Prints the sum, or the object; returns the exit code. The report is released. */
int ctl_report_end(struct ctl_report *r);

#endif
