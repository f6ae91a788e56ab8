/*
 * Log lines for journald and for people: logfmt, one write(2) a line, on standard error.
 *
 *   <6>mih=worker level=info pid=812 msg="service bound" service=lms queue=mih.service.3
 *
 * The <N> priority stands in front only when standard error is not a terminal. Values are quoted
 * and escaped when they hold anything but visible ASCII, so nobody can forge a line; they are cut
 * at 512 bytes. Fields that do not fit into 4096 bytes are left out (`cut=yes`). A line that
 * standard error does not take is lost, and the next one says how many were (`lost_lines=3`).
 *
 * Never log a payload, a token or a password. Only worker logs: common and dispatcher report.
 * Any thread may log; log_init() comes before the threads.
 */
#ifndef MIH_COMMON_LOG_H
#define MIH_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* who is the value of the first key. Kept by reference. */
void log_init(const char *who, enum log_level level);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/*
 * Fields come in pairs of key and value and end with NULL:
 *   log_info("delivered", "service", name, "took_ms", log_number(ms), NULL);
 * Keys are the program's own words; a value may be NULL and is then "".
 */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* The number as text, in one of 8 buffers of the calling thread that are used in turn. */
const char *log_number(int64_t value);

/* Keeps noise down: true at most once in every interval_s for this place in the code, whose state
 * starts as 0. now_s is Unix time. A clock that is set back does not silence it. */
bool log_every(int64_t *state, int64_t interval_s, int64_t now_s);

#endif
