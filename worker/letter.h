/*
 * A dead letter while the replayer holds it: what it tells about itself, and everything that is
 * needed to publish it again, as it is or as a replay.
 *
 * Letters of the worker have headers x-mih-*, and no x-death: it publishes them itself. Those that
 * the broker dead-lettered have x-death: their reason is `broker: rejected` or the like, and their
 * time of death the broker's. Their other headers are those of whoever published them. So x-mih-*
 * of them counts only when the latest x-death says that it died in its service's queue and had come
 * there by mih.redeliver, where the hub alone publishes; and the body as last sent, which goes out
 * with the service's credentials, does not count even then, since a publisher may have made up
 * x-death, too. Only x-mih-republished, which can do no more than have the store asked, counts
 * always. Where no death is noted at all, its time is that of the first attempt, or of the event.
 * The id of a message without one is made from its body, as everywhere.
 */
#ifndef MIH_WORKER_LETTER_H
#define MIH_WORKER_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/bus.h"
#include "worker/deadindex.h"
#include "worker/names.h"
#include "worker/replay_filter.h"

enum { LETTER_REASON_SIZE = 1024 };

struct letter {
    TAILQ_ENTRY(letter) links; /* in the pass that holds it */
    uint64_t tag;
    bool republished; /* it may have been moved, or put back, before */
    bool death_noted; /* died_s was noted at the death, not guessed */
    bool by_broker;   /* dead-lettered by the broker, not by the worker */
    bool trusted;     /* its headers x-mih-* are the hub's */
    size_t bytes;     /* of memory */

    char *body; /* owned; NULL: too large to be held */
    size_t body_len;
    char *properties; /* owned; as they came */
    size_t properties_len;
    char *rendered; /* owned; NULL: none, or letter_keep_content() was not called */
    size_t rendered_len;
    char *history; /* owned; likewise */

    int64_t service_id;
    int64_t rule_id; /* 0: none */
    int64_t attempts;
    int64_t status;
    int64_t first_s;
    int64_t died_s; /* 0: not known */
    int64_t replay_id;
    uint64_t timestamp;
    char sent_id[256];   /* the property message_id; "" where there is none */
    char sent_type[256]; /* the property type; likewise */
    char message_id[256];
    char event_name[256];
    char app_id[256];
    char content_type[256];
    char reason[LETTER_REASON_SIZE];

    /* The pass's own. */
    bool selected;
    bool indexed;
    bool refused;
    uint64_t number; /* of its publication under way; 0: none */
    int64_t sent_ms;
    bool moving; /* that publication is the replay, not the tail */
};

TAILQ_HEAD(letter_list, letter);

/* The number of the marker (replay_mark.h) that the delivery is; 0: it is a letter. */
uint64_t letter_marker(const struct bus_message *m);

/* Publishes the marker of that number. As bus_publish(). */
int letter_publish_marker(struct bus *bus, uint16_t channel, const char *exchange, const char *key,
                          uint64_t number, uint64_t *ret_number)
    __attribute__((warn_unused_result));

/* Takes the delivery, whose bus keeps properties, with its body. NULL: out of memory. */
struct letter *letter_new(struct bus *bus, const struct bus_message *m, const struct names *names,
                          int64_t service_id);
void letter_free(struct letter *l);

/* Keeps the body as last sent and the history, too, which letter_row() and letter_publish() need.
 * Only while the delivery is handled. 0 or -ENOMEM. */
int letter_keep_content(struct letter *l, const struct bus_message *m)
    __attribute__((warn_unused_result));

struct replay_subject letter_subject(const struct letter *l);

/* Its row of the index. The texts stay the letter's. */
struct dead_row letter_row(const struct letter *l);

/* Publishes it as it is, to the tail of a queue. As bus_forward(). */
int letter_forward(const struct letter *l, struct bus *bus, uint16_t channel, const char *exchange,
                   const char *key, uint64_t *ret_number) __attribute__((warn_unused_result));

/* How a replay publishes. */
struct letter_replay {
    const char *exchange;
    const char *key;
    int64_t replay_id;
    bool as_sent; /* else rendered anew */
};

/* Publishes it as a message of a replay: headers of DESIGN 4, its death added to its history.
 * As bus_publish(). */
int letter_publish(const struct letter *l, struct bus *bus, uint16_t channel,
                   const struct letter_replay *how, uint64_t *ret_number)
    __attribute__((warn_unused_result));

#endif
