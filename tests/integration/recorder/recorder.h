/*
 * What a test of the bus needs: a connection whose handlers write down what they are told, and a
 * wait for a condition.
 */
#ifndef MIH_TESTS_RECORDER_H
#define MIH_TESTS_RECORDER_H

#include "common/bus.h"

enum { RECORD_TEXT = 128 };

struct recorder {
    struct bus *bus;
    unsigned deliveries;
    unsigned too_large;
    unsigned redelivered;
    unsigned confirmed, nacked;
    unsigned returned;
    unsigned cancelled;
    unsigned closed;
    unsigned blocked, unblocked;
    bool ack;       /* acks each delivery */
    bool keep_body; /* takes the body of each delivery into `body` */
    bool reopen;    /* opens a closed channel again in the handler */
    uint64_t last_tag;
    uint64_t last_confirmed, last_returned;
    int last_code;
    uint16_t last_channel;
    size_t last_len;
    unsigned long long bytes; /* of all bodies */
    unsigned long sum;        /* of all bytes of all bodies */
    char *body;
    char last_text[RECORD_TEXT];
    char last_consumer[RECORD_TEXT];
    char last_key[RECORD_TEXT];
    void (*on_message)(struct recorder *r, const struct bus_message *m);
    void *argument;
};

/* The broker's URL from MIH_TEST_AMQP_URL; ends the program with 77 (skipped) without it. */
const char *recorder_url(void);

/* Options for that broker. */
struct bus_options recorder_options(const char *urls);

/* Connects, or fails the test. */
void recorder_open(struct recorder *r);
void recorder_close(struct recorder *r);

/* The handlers that fill r. */
struct bus_handlers recorder_handlers(struct recorder *r);

/* Drains until *counter reaches at least `least`; fails the test after ten seconds. */
void recorder_wait(struct recorder *r, const unsigned *counter, unsigned least);

/* Drains for so long. */
void recorder_idle(struct recorder *r, int ms);

/* Drains until the connection is lost, at most so long; what bus_drain() returned then, or 0. */
int recorder_wait_lost(struct recorder *r, int ms);

/* Declares an empty queue of that kind ("classic" or "quorum"), deleting an old one. */
void recorder_queue(struct recorder *r, const char *name, const char *kind);

/* Publishes to the default exchange; returns the number. */
uint64_t recorder_publish(struct recorder *r, uint16_t channel, const char *queue, const void *body,
                          size_t len);

#endif
