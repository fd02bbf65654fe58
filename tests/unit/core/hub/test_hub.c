// Channels, subscriptions and fan-out, case by case. test_hub_model.c holds them against a naive
// model.
#include "core/base/limits.h"
#include "tests/unit/core/hub/hub_cases.h"

#include <signal.h>
#include <stdio.h>

TestSuite(hub, .init = setup, .fini = teardown);

Test(hub, join_and_leave_say_who_was_first_and_last) {
    cr_assert_eq(hub_channel_find(hub, span_text("news")), 0);
    cr_assert_eq(join("news", 0), HUB_JOINED_FIRST);
    cr_assert_eq(join("news", 0), HUB_ALREADY);
    cr_assert_eq(join("news", 1), HUB_JOINED);
    cr_assert_eq(join("sport", 1), HUB_JOINED_FIRST);
    cr_assert_eq(hub_subscription_count(hub, heads[0]), 1);
    cr_assert_eq(hub_subscription_count(hub, heads[1]), 2);
    cr_assert_eq(hub_subscription_count(hub, heads[2]), 0);
    uint32_t channel = hub_channel_find(hub, span_text("news"));
    cr_assert(span_is(hub_channel_name(hub, channel), "news"));
    cr_assert_eq(hub_channel_at(hub, channel)->subscriber_count, 2);
    cr_assert_eq(leave("news", 2), HUB_ABSENT);
    cr_assert_eq(leave("none", 1), HUB_ABSENT);
    cr_assert_eq(leave("news", 0), HUB_LEFT);
    cr_assert_eq(leave("news", 0), HUB_ABSENT);
    cr_assert_eq(leave("news", 1), HUB_LEFT_LAST);
    cr_assert_eq(hub_channel_find(hub, span_text("news")), 0);
}

Test(hub, leave_next_empties_the_list) {
    join("a", 0);
    join("b", 0);
    join("b", 1);
    join("c", 0);
    uint8_t name[255];
    bool was_last;
    cr_assert_eq(hub_leave_next(hub, &heads[0], name, &was_last), 1);
    cr_assert(name[0] == 'c' && was_last);
    cr_assert_eq(hub_leave_next(hub, &heads[0], name, &was_last), 1);
    cr_assert(name[0] == 'b' && !was_last);
    cr_assert_eq(hub_leave_next(hub, &heads[0], name, &was_last), 1);
    cr_assert(name[0] == 'a' && was_last);
    cr_assert_eq(hub_leave_next(hub, &heads[0], name, &was_last), 0);
    cr_assert_eq(heads[0], 0);
}

Test(hub, names_of_every_length) {
    char name[256];
    for (uint32_t length = 1; length <= 255; length++) {
        memset(name, 'n', length);
        struct span span = span_make(name, length);
        cr_assert_eq(hub_join(hub, span, 0, HUB_RAW, &heads[0]), HUB_JOINED_FIRST);
        cr_assert(span_equal(hub_channel_name(hub, hub_channel_find(hub, span)), span));
    }
    cr_assert_eq(hub->names.count, 255);
    for (uint32_t length = 1; length <= 255; length++) {
        cr_assert_eq(hub_leave(hub, span_make(name, length), &heads[0]), HUB_LEFT_LAST);
    }
}

Test(hub, what_a_channel_costs) {
    uint64_t before = hub_bytes(hub);
    char name[40];
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "room.%u", i);
        join(name, 0);
    }
    uint64_t each = (hub_bytes(hub) - before) / 10000;
    cr_assert_leq(each, 32 + 96 + strlen("room.0000")); // with its subscription
}

Test(hub, refused_when_a_pool_or_the_arena_is_empty) {
    join("there", 0);
    uint64_t bytes = hub_bytes(hub);
    const char *long_name = "a name of more than thirty-two bytes";
    fixture.channels.pool.limit = 1;
    cr_assert_eq(join("new", 0), HUB_REFUSED);
    fixture.channels.pool.limit = 10;
    fixture.subscriptions.pool.limit = 2; // one for the name, one to subscribe
    cr_assert_eq(join("new", 0), HUB_REFUSED);
    cr_assert_eq(join("there", 1), HUB_REFUSED);
    fixture.subscriptions.pool.limit = 3;
    cr_assert_eq(join("new", 0), HUB_REFUSED);
    fixture.memory.arena.limit_bytes = 0;
    cr_assert_eq(join(long_name, 0), HUB_REFUSED);
    cr_assert_eq(hub_bytes(hub), bytes);
    cr_assert(hub->names.count == 1 && hub_subscription_count(hub, heads[0]) == 1);
    fixture.memory.arena.limit_bytes = TEST_ARENA_BYTES;
    cr_assert_eq(join(long_name, 0), HUB_JOINED_FIRST);
}

Test(hub, everyone_gets_it_once_in_order) {
    join("c", 0);
    join("c", 1);
    join("c", 2);
    post("c", 7);
    cr_assert(hub_has_work(hub));
    cr_assert_str_eq(next(), "0:7");
    cr_assert_str_eq(next(), "1:7");
    cr_assert_str_eq(next(), "2:7");
    cr_assert_str_eq(next(), "");
    cr_assert(!hub_has_work(hub));
}

Test(hub, a_burst_is_one_delivery_and_what_comes_meanwhile_the_next) {
    join("c", 0);
    join("c", 1);
    post("c", 1);
    post("c", 2);
    post("c", 3);
    cr_assert_str_eq(next(), "0:1,2,3");
    post("c", 4);
    cr_assert_str_eq(next(), "1:1,2,3");
    post("c", 5);
    cr_assert_str_eq(next(), "0:4,5");
    cr_assert_str_eq(next(), "1:4,5");
    cr_assert_str_eq(next(), "");
}

Test(hub, a_burst_carries_at_most_its_bound) {
    join("c", 0);
    for (uint32_t i = 0; i < 2 * HUB_BURST_MAX + 1; i++) {
        post("c", i);
    }
    struct hub_delivery delivery;
    uint32_t number = 0;
    static const uint32_t counts[] = {HUB_BURST_MAX, HUB_BURST_MAX, 1};
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(hub_fanout_next(hub, &delivery));
        cr_assert_eq(delivery.count, counts[i]);
        for (uint32_t j = 0; j < delivery.count; j++) {
            cr_assert_eq(hub_fixture_number(&fixture, delivery.payloads[j]), number++);
        }
    }
    cr_assert(!hub_fanout_next(hub, &delivery));
}

Test(hub, who_joins_later_gets_later_messages_only) {
    join("c", 0);
    post("c", 1);
    join("c", 1);
    post("c", 2);
    join("c", 2);
    cr_assert_str_eq(next(), "0:1,2");
    join("c", 3); // in the middle of the fan-out
    cr_assert_str_eq(next(), "1:2");
    cr_assert_str_eq(next(), "");
    post("c", 3);
    cr_assert_str_eq(next(), "0:3");
    cr_assert_str_eq(next(), "1:3");
    cr_assert_str_eq(next(), "2:3");
    cr_assert_str_eq(next(), "3:3");
    cr_assert_str_eq(next(), "");
}

Test(hub, leaving_in_the_middle_of_a_fan_out) {
    for (uint32_t i = 0; i < 4; i++) {
        join("c", i);
    }
    post("c", 1);
    cr_assert_str_eq(next(), "0:1");
    leave("c", 1); // the next one
    leave("c", 0); // the last one
    cr_assert_str_eq(next(), "2:1");
    leave("c", 3); // the next and last
    cr_assert_str_eq(next(), "");
    post("c", 2);
    cr_assert_str_eq(next(), "2:2");
}

Test(hub, leaving_and_joining_again_misses_what_was_missed) {
    join("c", 0);
    join("c", 1);
    post("c", 1);
    cr_assert_str_eq(next(), "0:1");
    leave("c", 1);
    join("c", 1);
    leave("c", 0);
    join("c", 0);
    cr_assert_str_eq(next(), "");
    post("c", 2);
    cr_assert_str_eq(next(), "1:2");
    cr_assert_str_eq(next(), "0:2");
}

Test(hub, payloads_outlive_the_last_subscriber_until_the_next_call) {
    join("c", 0);
    post("c", 1);
    struct hub_delivery delivery;
    cr_assert(hub_fanout_next(hub, &delivery));
    cr_assert_eq(leave("c", 0), HUB_LEFT_LAST);
    cr_assert_eq(hub_fixture_number(&fixture, delivery.payloads[0]), 1);
    cr_assert_neq(hub_channel_find(hub, span_text("c")), 0); // goes with its messages
    cr_assert(!hub_fanout_next(hub, &delivery));
    cr_assert_eq(hub_channel_find(hub, span_text("c")), 0);
}

Test(hub, a_channel_left_by_all_may_be_joined_before_its_messages_are_gone) {
    join("c", 0);
    post("c", 1);
    cr_assert_eq(leave("c", 0), HUB_LEFT_LAST);
    cr_assert_eq(join("c", 1), HUB_JOINED_FIRST);
    post("c", 2);
    cr_assert_str_eq(next(), "1:2");
    cr_assert_str_eq(next(), "");
}

Test(hub, nothing_is_queued_for_nobody) {
    join("c", 0);
    post("c", 1);
    uint32_t channel = hub_channel_find(hub, span_text("c"));
    leave("c", 0);
    cr_assert(hub_fixture_post(&fixture, channel, 2, 0));
    cr_assert_eq(fixture.messages.pool.used, 1);
    cr_assert_str_eq(next(), "");
}

Test(hub, the_publisher_can_be_left_out) {
    for (uint32_t i = 0; i < 3; i++) {
        join("c", i);
    }
    uint32_t channel = hub_channel_find(hub, span_text("c"));
    hub_fixture_post(&fixture, channel, 1, 1 + (UINT64_C(99) << 32)); // not subscriber 0
    hub_fixture_post(&fixture, channel, 2, 0);
    hub_fixture_post(&fixture, channel, 3, 3);
    cr_assert_str_eq(next(), "0:2,3");
    cr_assert_str_eq(next(), "1:1,2,3");
    cr_assert_str_eq(next(), "2:1,2");
    cr_assert_str_eq(next(), "");
    hub_fixture_post(&fixture, channel, 4, 2);
    cr_assert_str_eq(next(), "0:4");
    cr_assert_str_eq(next(), "2:4");
}

Test(hub, a_subscriber_gets_the_form_it_asked_for) {
    join("c", 0);
    hub_join(hub, span_text("c"), 1, HUB_ENVELOPE, &heads[1]);
    post("c", 5);
    cr_assert_str_eq(next(), "0:5");
    cr_assert_str_eq(next(), "1:2147483653");
    uint32_t channel = hub_channel_find(hub, span_text("c"));
    leave("c", 1);
    cr_assert_eq(hub_channel_at(hub, channel)->form_count[HUB_ENVELOPE], 0);
    post("c", 6);
    cr_assert_eq(fixture.memory.arena.used_bytes, 192); // 5 twice until the next call, 6 once
    cr_assert_str_eq(next(), "0:6");
}

Test(hub, a_form_that_is_missing_is_our_bug, .signal = SIGABRT) {
    join("c", 0);
    static const uint32_t payloads[HUB_FORM_COUNT] = {0};
    hub_post(hub, hub_channel_find(hub, span_text("c")), payloads, 0);
}

Test(hub, an_empty_message_pool_refuses_the_post) {
    join("c", 0);
    fixture.messages.pool.limit = 1;
    post("c", 1);
    uint32_t channel = hub_channel_find(hub, span_text("c"));
    cr_assert(!hub_fixture_post(&fixture, channel, 2, 0));
    cr_assert_str_eq(next(), "0:1");
    cr_assert_str_eq(next(), "");
    post("c", 3); // the hole is the caller's to count; what follows is in order
    cr_assert_str_eq(next(), "0:3");
}

Test(hub, channels_take_turns) {
    enum { SUBSCRIBERS = 1000 };
    static uint32_t many[2][SUBSCRIBERS];
    static const char *const names[2] = {"large", "other"};
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
            hub_join(hub, span_text(names[k]), k * SUBSCRIBERS + i, HUB_RAW, &many[k][i]);
        }
    }
    join("small", 0);
    post("large", 1);
    post("other", 2);
    post("small", 3);
    struct hub_delivery delivery;
    uint32_t got[2] = {0};
    for (uint32_t i = 0; i < 2 * SUBSCRIBERS + 1; i++) {
        cr_assert(hub_fanout_next(hub, &delivery));
        if (i == 2 * SENDS_IDLE_MAX) { // behind one turn of each
            cr_assert_eq(hub_fixture_number(&fixture, delivery.payloads[0]), 3);
            continue;
        }
        uint32_t turn = i < 2 * SENDS_IDLE_MAX ? i / SENDS_IDLE_MAX : (i - 1) / SENDS_IDLE_MAX;
        uint32_t k = delivery.subscriber / SUBSCRIBERS;
        cr_assert(k == turn % 2 || turn >= 6);                     // the last turns are shorter
        cr_assert_eq(delivery.subscriber % SUBSCRIBERS, got[k]++); // each once, in order
        cr_assert_eq(hub_fixture_number(&fixture, delivery.payloads[0]), k + 1);
    }
    cr_assert(!hub_fanout_next(hub, &delivery));
    uint8_t name[255];
    bool was_last;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        hub_leave_next(hub, &many[0][i], name, &was_last);
        hub_leave_next(hub, &many[1][i], name, &was_last);
    }
}

Test(hub, what_is_posted_meanwhile_waits_behind_other_channels) {
    join("a", 0);
    join("a", 1);
    join("b", 2);
    post("a", 1);
    post("b", 2);
    cr_assert_str_eq(next(), "0:1");
    post("a", 3);
    cr_assert_str_eq(next(), "1:1");
    cr_assert_str_eq(next(), "2:2");
    cr_assert_str_eq(next(), "0:3");
    cr_assert_str_eq(next(), "1:3");
    cr_assert_str_eq(next(), "");
}

Test(hub, a_fan_out_that_goes_on_carries_what_it_carried) {
    enum { SUBSCRIBERS = SENDS_IDLE_MAX + 10 };
    static uint32_t many[SUBSCRIBERS];
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        hub_join(hub, span_text("large"), i, HUB_RAW, &many[i]);
    }
    join("small", 0);
    post("large", 1);
    post("small", 2);
    uint8_t name[255];
    bool was_last;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        if (i == SENDS_IDLE_MAX) {
            post("large", 3); // while it waits for its second turn, or just before
            cr_assert_str_eq(next(), "0:2");
        }
        char expected[32];
        snprintf(expected, sizeof expected, "%u:1", i);
        cr_assert_str_eq(next(), expected);
    }
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "%u:3", i);
        cr_assert_str_eq(next(), expected);
    }
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        hub_leave_next(hub, &many[i], name, &was_last);
    }
}

Test(hub, peek_names_the_next_subscriber) {
    for (uint32_t i = 0; i < 3; i++) {
        join("c", i);
    }
    cr_assert_eq(hub_fanout_peek(hub), UINT32_MAX);
    post("c", 1);
    cr_assert_eq(hub_fanout_peek(hub), UINT32_MAX);
    cr_assert_str_eq(next(), "0:1");
    cr_assert_eq(hub_fanout_peek(hub), 1);
    cr_assert_str_eq(next(), "1:1");
    leave("c", 2);
    cr_assert_eq(hub_fanout_peek(hub), UINT32_MAX);
    cr_assert_str_eq(next(), "");
}

Test(hub, sequences_wrap) {
    join("c", 0);
    join("c", 1);
    struct hub_channel *channel = hub_channel_at(hub, hub_channel_find(hub, span_text("c")));
    uint32_t number = 0;
    for (uint32_t i = 0; i < 12; i++) {     // three times around
        channel->sequence += (1 << 30) + 5; // as if that many had been posted and delivered
        if (i == 5) {
            leave("c", 1); // an old one stays, a new one comes
            join("c", 1);
        }
        post("c", number + 1);
        post("c", number + 2);
        char expected[2][32];
        snprintf(expected[0], 32, "0:%u,%u", number + 1, number + 2);
        snprintf(expected[1], 32, "1:%u,%u", number + 1, number + 2);
        cr_assert_str_eq(next(), expected[0]);
        cr_assert_str_eq(next(), expected[1]);
        cr_assert_str_eq(next(), "");
        number += 2;
    }
}

Test(hub, a_burst_across_the_wrap) {
    join("c", 0);
    struct hub_channel *channel = hub_channel_at(hub, hub_channel_find(hub, span_text("c")));
    channel->sequence = UINT32_MAX - 1;
    hub_join(hub, span_text("c"), 1, HUB_RAW, &heads[1]);
    leave("c", 0);
    post("c", 1); // sequence UINT32_MAX
    join("c", 2);
    post("c", 2); // 0
    join("c", 3);
    post("c", 3); // 1
    join("c", 0);
    cr_assert_str_eq(next(), "1:1,2,3");
    cr_assert_str_eq(next(), "2:2,3");
    cr_assert_str_eq(next(), "3:3");
    cr_assert_str_eq(next(), "");
}

Test(hub, a_channel_s_key_is_not_its_successor_s) {
    join("a", 0);
    uint32_t index = hub_channel_find(hub, span_text("a"));
    uint32_t key = hub_channel_at(hub, index)->key;
    leave("a", 0);
    join("b", 0);
    cr_assert_eq(hub_channel_find(hub, span_text("b")), index); // the place is used again
    cr_assert_neq(hub_channel_at(hub, index)->key, key);
    leave("b", 0);
    fixture.channels.pool.generation = UINT32_MAX - 3;
    join("c", 0);
    key = hub_channel_at(hub, hub_channel_find(hub, span_text("c")))->key;
    cr_assert(key != 0 && key < UINT32_MAX - 2);
}
