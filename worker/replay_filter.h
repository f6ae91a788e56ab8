/*
 * Which dead letters a replay is about. Pure.
 *
 * Every part that is set must fit. An event name fits when it is equal, or, where the filter's ends
 * in `*`, begins with what stands before it. A reason fits when it contains the filter's text,
 * whatever the case of ASCII letters. Times are those of death, both ends included; a letter whose
 * time of death nobody knows fits no time.
 */
#ifndef MIH_WORKER_REPLAY_FILTER_H
#define MIH_WORKER_REPLAY_FILTER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    REPLAY_ID_SIZE = 128,
    REPLAY_EVENT_SIZE = 256,
    REPLAY_REASON_SIZE = 1024, /* 255 characters */
};

/* 0 and "": any. */
struct replay_filter {
    int64_t service_id;
    int64_t rule_id;
    int64_t from_s, to_s; /* Unix seconds */
    char message_id[REPLAY_ID_SIZE];
    char event_name[REPLAY_EVENT_SIZE];
    char reason[REPLAY_REASON_SIZE];
};

/* What of a letter a filter looks at; texts are never NULL. */
struct replay_subject {
    int64_t service_id;
    int64_t rule_id;
    int64_t died_s;
    const char *message_id;
    const char *event_name;
    const char *reason;
};

bool replay_filter_matches(const struct replay_filter *filter, const struct replay_subject *letter);

/* Whether it lets everything pass. */
bool replay_filter_is_empty(const struct replay_filter *filter);

#endif
