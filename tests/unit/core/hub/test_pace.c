// How much of a burst goes at once: the bytes that one fan-out carries, and what a subscriber puts
// off.
#include "core/base/limits.h"
#include "tests/unit/core/hub/hub_cases.h"

#include <signal.h>

TestSuite(pace, .init = setup, .fini = teardown);

// Messages of four bytes are six on the wire.
Test(pace, a_burst_carries_at_most_so_many_bytes) {
    static const struct {
        uint32_t bytes_max, count;
    } cases[] = {{17, 2}, {18, 3}, {19, 3}, {5, 1}, {6, 1}, {11, 1}, {12, 2}};
    join("c", 0);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hub->burst_bytes_max = cases[i].bytes_max;
        for (uint32_t j = 0; j < 4; j++) {
            post("c", j);
        }
        struct hub_delivery delivery;
        cr_assert(hub_fanout_next(hub, &delivery));
        cr_assert_eq(delivery.count, cases[i].count);
        uint32_t number = delivery.count;
        while (hub_fanout_next(hub, &delivery)) { // the rest follows, in order
            cr_assert_eq(hub_fixture_number(&fixture, delivery.payloads[0]), number);
            number += delivery.count;
        }
        cr_assert_eq(number, 4);
    }
}

Test(pace, a_burst_counts_the_larger_form) {
    join("c", 0);
    cr_assert_eq(hub_join(hub, span_text("c"), 1, HUB_ENVELOPE, &heads[1]), HUB_JOINED);
    uint32_t channel = hub_channel_find(hub, span_text("c"));
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t payloads[] = {payload_frame(&fixture.memory.arena, 2, span_text("1234")),
                               payload_frame(&fixture.memory.arena, 2, span_text("12345678"))};
        cr_assert(hub_post(hub, channel, payloads, 0));
        payload_drop(&fixture.memory.arena, payloads[HUB_RAW]);
        payload_drop(&fixture.memory.arena, payloads[HUB_ENVELOPE]);
    }
    hub->burst_bytes_max = 19; // two of the envelope form are 20
    struct hub_delivery delivery;
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(hub_fanout_next(hub, &delivery));
        cr_assert(delivery.count == 1 && delivery.subscriber == i % 2);
    }
    cr_assert(!hub_fanout_next(hub, &delivery));
}

// Takes the first `taken` of the next delivery and puts the rest off.
static void put_off(uint32_t taken) {
    struct hub_delivery delivery;
    cr_assert(hub_fanout_next(hub, &delivery));
    hub_fanout_put_off(hub, &delivery, taken);
}

Test(pace, what_is_put_off_comes_next_and_other_channels_before_it) {
    join("c", 0);
    join("c", 1);
    join("d", 2);
    for (uint32_t i = 1; i <= 5; i++) {
        post("c", i);
    }
    post("d", 9);
    put_off(2);
    cr_assert_str_eq(next(), "2:9");
    put_off(0);
    put_off(1);
    cr_assert_str_eq(next(), "0:4,5");
    cr_assert_str_eq(next(), "1:1,2,3,4,5");
    cr_assert_str_eq(next(), "");
}

Test(pace, what_is_put_off_spares_the_sender_its_own) {
    join("c", 0);
    uint32_t channel = hub_channel_find(hub, span_text("c"));
    for (uint32_t i = 1; i <= 6; i++) {
        cr_assert(hub_fixture_post(&fixture, channel, i, i % 2 == 0 ? 1 : 0));
    }
    put_off(1);
    put_off(1);
    cr_assert_str_eq(next(), "0:5");
    cr_assert_str_eq(next(), "");
}

Test(pace, who_leaves_with_something_put_off_leaves_nothing_to_the_next) {
    join("c", 0);
    join("c", 1);
    post("c", 1);
    post("c", 2);
    put_off(1);
    cr_assert_eq(leave("c", 0), HUB_LEFT);
    cr_assert_str_eq(next(), "1:1,2");
    post("c", 3);
    put_off(0);
    cr_assert_eq(leave("c", 1), HUB_LEFT_LAST);
    cr_assert_str_eq(next(), "");
}

Test(pace, all_of_a_delivery_cannot_be_put_off_as_taken, .signal = SIGABRT) {
    join("c", 0);
    post("c", 1);
    put_off(1);
}
