/* Acks: few frames, never one too many. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/ackwindow.h"

enum { MAX_TAGS = 4096 };

/* The broker as the window sees it: which tags it considers acknowledged, and by how many frames.
 */
struct broker {
    uint8_t acked[MAX_TAGS];
    uint8_t settled[MAX_TAGS];
    size_t frames;
    int fail;
};

static int broker_ack(void *context, uint64_t tag, bool multiple)
{
    struct broker *b = context;

    if (b->fail)
        return b->fail;
    b->frames++;
    assert_int_equal(b->acked[tag], 0); /* acking twice closes the channel */
    for (uint64_t t = multiple ? 1 : tag; t <= tag; t++) {
        assert_true(b->settled[t]); /* nothing is acked that was not settled */
        b->acked[t] = 1;
    }
    return 0;
}

static void deliver(struct ackwindow *w, uint64_t from, uint64_t to)
{
    for (uint64_t tag = from; tag <= to; tag++)
        assert_int_equal(ackwindow_delivered(w, tag), 0);
}

static void settle(struct ackwindow *w, struct broker *b, uint64_t tag)
{
    b->settled[tag] = 1;
    ackwindow_settled(w, tag);
}

static void one_frame_acknowledges_an_unbroken_run(void **state)
{
    struct ackwindow w;
    struct broker b = {0};

    (void)state;
    ackwindow_init(&w);
    deliver(&w, 1, 100);
    for (uint64_t tag = 1; tag <= 100; tag++)
        settle(&w, &b, tag);
    assert_int_equal(ackwindow_flush(&w, false, broker_ack, &b), 0);
    assert_int_equal(b.frames, 1);
    assert_true(b.acked[100]);
    ackwindow_release(&w);
}

static void what_lies_behind_a_slow_delivery_is_acknowledged_alone_and_only_when_asked(void **state)
{
    struct ackwindow w;
    struct broker b = {0};

    (void)state;
    ackwindow_init(&w);
    deliver(&w, 1, 5);
    settle(&w, &b, 1);
    settle(&w, &b, 3);
    settle(&w, &b, 5);
    assert_int_equal(ackwindow_flush(&w, false, broker_ack, &b), 0);
    assert_int_equal(b.frames, 1);
    assert_int_equal(b.acked[3], 0);
    assert_int_equal(ackwindow_flush(&w, false, broker_ack, &b), 0);
    assert_int_equal(b.frames, 1);
    assert_int_equal(ackwindow_flush(&w, true, broker_ack, &b), 0);
    assert_int_equal(b.frames, 3);
    assert_true(b.acked[3] && b.acked[5]);
    assert_int_equal(b.acked[2] | b.acked[4], 0);
    settle(&w, &b, 2);
    settle(&w, &b, 4);
    assert_int_equal(ackwindow_flush(&w, false, broker_ack, &b), 0);
    assert_true(b.acked[2] && b.acked[4]);
    ackwindow_release(&w);
}

static void a_rejected_delivery_is_never_acknowledged(void **state)
{
    struct ackwindow w;
    struct broker b = {0};

    (void)state;
    ackwindow_init(&w);
    deliver(&w, 1, 3);
    b.settled[1] = 1; /* rejected: the broker knows; a multiple ack over it is harmless */
    ackwindow_told(&w, 1);
    settle(&w, &b, 2);
    assert_int_equal(ackwindow_flush(&w, false, broker_ack, &b), 0);
    assert_int_equal(b.acked[1], 0);
    assert_true(b.acked[2]);
    assert_int_equal(b.acked[3], 0);
    ackwindow_release(&w);
}

static void a_tag_out_of_turn_is_refused_and_any_first_tag_is_taken(void **state)
{
    struct ackwindow w;

    (void)state;
    ackwindow_init(&w);
    assert_int_equal(ackwindow_delivered(&w, 700), 0);
    assert_true(ackwindow_delivered(&w, 702) < 0);
    ackwindow_restart(&w);
    assert_int_equal(ackwindow_delivered(&w, 1), 0);
    ackwindow_release(&w);
}

static void a_lost_connection_is_reported_by_the_flush(void **state)
{
    struct ackwindow w;
    struct broker b = {.fail = -5};

    (void)state;
    ackwindow_init(&w);
    deliver(&w, 1, 1);
    settle(&w, &b, 1);
    assert_int_equal(ackwindow_flush(&w, false, broker_ack, &b), -5);
    ackwindow_release(&w);
}

static void a_delivery_that_everybody_passes_does_not_take_all_memory(void **state)
{
    struct ackwindow w;
    uint64_t tag = 1;
    int r = 0;

    (void)state;
    ackwindow_init(&w);
    while (r == 0 && tag <= 2 * (uint64_t)ACKWINDOW_SPAN_MAX) {
        r = ackwindow_delivered(&w, tag);
        if (r == 0 && tag > 1)
            ackwindow_told(&w, tag);
        tag++;
    }
    assert_int_equal(r, -EOVERFLOW);
    assert_int_equal(w.cap, ACKWINDOW_SPAN_MAX);
    ackwindow_release(&w);
}

/* Random orders with windows of random size: every settled tag is acked at last. */
static void in_any_order_everything_settled_is_acknowledged_once(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        struct ackwindow w;
        struct broker b = {0};
        uint64_t open[512];
        size_t n_open = 0;
        uint64_t next = 1;

        srandom(seed);
        ackwindow_init(&w);
        while (next < 2000 || n_open > 0) {
            if (next < 2000 && n_open < (size_t)seed * 2 && random() % 2) {
                deliver(&w, next, next);
                open[n_open++] = next++;
            } else if (n_open > 0) {
                size_t i = (size_t)random() % n_open;

                settle(&w, &b, open[i]);
                open[i] = open[--n_open];
            }
            if (random() % 16 == 0)
                assert_int_equal(ackwindow_flush(&w, random() % 4 == 0, broker_ack, &b), 0);
        }
        assert_int_equal(ackwindow_flush(&w, true, broker_ack, &b), 0);
        for (uint64_t tag = 1; tag < next; tag++)
            assert_int_equal(b.acked[tag], 1);
        assert_int_equal(w.settled, 0);
        ackwindow_release(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_frame_acknowledges_an_unbroken_run),
        cmocka_unit_test(
            what_lies_behind_a_slow_delivery_is_acknowledged_alone_and_only_when_asked),
        cmocka_unit_test(a_rejected_delivery_is_never_acknowledged),
        cmocka_unit_test(a_delivery_that_everybody_passes_does_not_take_all_memory),
        cmocka_unit_test(a_tag_out_of_turn_is_refused_and_any_first_tag_is_taken),
        cmocka_unit_test(a_lost_connection_is_reported_by_the_flush),
        cmocka_unit_test(in_any_order_everything_settled_is_acknowledged_once),
    };

    return cmocka_run_group_tests_name("ackwindow", tests, NULL, NULL);
}
