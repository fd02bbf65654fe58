// The hub against a naive model: random joins, leaves, posts and fan-outs with a budget, also in
// the middle of a delivery. Each subscriber sees exactly the messages posted after it joined and
// before it left, in order, once.
#include "core/base/limits.h"
#include "core/base/prng.h"
#include "tests/unit/core/hub/hub_fixture.h"

#include <criterion/criterion.h>

enum { SUBSCRIBERS = 24, CHANNELS = 5, PENDING_MAX = 8192 };

static const char *const names[CHANNELS] = {"a", "room.1", "exactly-thirty-two-bytes-of-name",
                                            "exactly-thirty-three-bytes-of-nam", "%zz"};

struct pending { // what a subscriber is still owed of a channel
    bool is_joined;
    enum hub_form form;
    uint32_t first, last;
    uint32_t numbers[PENDING_MAX];
};

static struct hub_fixture fixture;
static struct pending pendings[SUBSCRIBERS][CHANNELS];
static uint32_t heads[SUBSCRIBERS];
static struct prng prng;
static uint32_t number;
static uint64_t delivered_count, burst_count, refused_count;

static uint32_t joined_count(uint32_t channel) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        count += pendings[i][channel].is_joined;
    }
    return count;
}

static void step_join(void) {
    uint32_t subscriber = prng_below(&prng, SUBSCRIBERS);
    uint32_t channel = prng_below(&prng, CHANNELS);
    struct pending *pending = &pendings[subscriber][channel];
    enum hub_form form = prng_below(&prng, 3) == 0 ? HUB_ENVELOPE : HUB_RAW;
    enum hub_join_result expected = HUB_JOINED;
    if (pending->is_joined) {
        expected = HUB_ALREADY;
    } else if (joined_count(channel) == 0) {
        expected = HUB_JOINED_FIRST;
    }
    cr_assert_eq(
        hub_join(&fixture.hub, span_text(names[channel]), subscriber, form, &heads[subscriber]),
        expected);
    if (!pending->is_joined) {
        pending->is_joined = true;
        pending->form = form;
        pending->first = pending->last = 0;
    }
}

static void step_leave(void) {
    uint32_t subscriber = prng_below(&prng, SUBSCRIBERS);
    uint32_t channel = prng_below(&prng, CHANNELS);
    struct pending *pending = &pendings[subscriber][channel];
    enum hub_leave_result result =
        hub_leave(&fixture.hub, span_text(names[channel]), &heads[subscriber]);
    bool was_joined = pending->is_joined;
    pending->is_joined = false;
    enum hub_leave_result left = joined_count(channel) == 0 ? HUB_LEFT_LAST : HUB_LEFT;
    cr_assert_eq(result, was_joined ? left : HUB_ABSENT);
}

static void step_leave_all(uint32_t subscriber) {
    uint8_t name[255];
    bool was_last;
    uint32_t length;
    while ((length = hub_leave_next(&fixture.hub, &heads[subscriber], name, &was_last)) > 0) {
        uint32_t channel = 0;
        while (!span_is(span_make(name, length), names[channel])) {
            channel++;
        }
        cr_assert(pendings[subscriber][channel].is_joined);
        pendings[subscriber][channel].is_joined = false;
        cr_assert_eq(was_last, joined_count(channel) == 0);
    }
    for (uint32_t channel = 0; channel < CHANNELS; channel++) {
        cr_assert(!pendings[subscriber][channel].is_joined);
    }
}

static void step_post(void) {
    uint32_t channel = prng_below(&prng, CHANNELS);
    uint32_t index = hub_channel_find(&fixture.hub, span_text(names[channel]));
    if (index == 0) {
        cr_assert_eq(joined_count(channel), 0);
        return;
    }
    uint32_t except = prng_below(&prng, 3) == 0 ? 1 + prng_below(&prng, SUBSCRIBERS) : 0;
    number++;
    bool is_posted = hub_fixture_post(&fixture, index, number, except | UINT64_C(7) << 32);
    refused_count += !is_posted;
    for (uint32_t i = 0; is_posted && i < SUBSCRIBERS; i++) {
        struct pending *pending = &pendings[i][channel];
        if (pending->is_joined && except != i + 1) {
            cr_assert_lt(pending->last, PENDING_MAX);
            pending->numbers[pending->last++] = number;
        }
    }
}

static void deliver(const struct hub_delivery *delivery, uint32_t count) {
    struct span name = hub_channel_name(&fixture.hub, delivery->channel);
    uint32_t channel = 0;
    while (!span_is(name, names[channel])) {
        channel++;
    }
    struct pending *pending = &pendings[delivery->subscriber][channel];
    cr_assert(pending->is_joined);
    cr_assert(delivery->count > 0 && delivery->count <= HUB_BURST_MAX);
    cr_assert_leq(delivery->count, pending->last - pending->first);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t mark = pending->form == HUB_ENVELOPE ? UINT32_C(1) << 31 : 0;
        cr_assert_eq(hub_fixture_number(&fixture, delivery->payloads[i]),
                     pending->numbers[pending->first++] | mark);
    }
    if (pending->first == pending->last) {
        pending->first = pending->last = 0;
    }
    delivered_count += count;
    burst_count += count > 1;
    if (count < delivery->count) {
        hub_fanout_put_off(&fixture.hub, delivery, count);
    }
}

static void step_other(void) {
    uint32_t choice = prng_below(&prng, 100);
    if (choice < 25) {
        step_join();
    } else if (choice < 45) {
        step_leave();
    } else if (choice < 47) {
        step_leave_all(prng_below(&prng, SUBSCRIBERS));
    } else {
        step_post();
    }
}

static void step_fanout(uint32_t budget, bool with_others) {
    struct hub_delivery delivery;
    for (uint32_t i = 0; i < budget && hub_fanout_next(&fixture.hub, &delivery); i++) {
        uint32_t peeked = hub_fanout_peek(&fixture.hub);
        cr_assert(peeked == UINT32_MAX || peeked < SUBSCRIBERS);
        if (with_others && prng_below(&prng, 3) == 0) {
            uint32_t copy[HUB_BURST_MAX]; // the payloads stay, whatever happens meanwhile
            memcpy(copy, delivery.payloads, delivery.count * sizeof copy[0]);
            deliver(&delivery, delivery.count);
            for (uint32_t j = prng_below(&prng, 4); j > 0; j--) {
                step_other();
            }
            for (uint32_t j = 0; j < delivery.count; j++) {
                cr_assert_eq(copy[j], delivery.payloads[j]);
                cr_assert_gt(payload_at(&fixture.memory.arena, copy[j])->references, 0);
            }
        } else {
            bool is_put_off = prng_below(&prng, 4) == 0;
            deliver(&delivery, is_put_off ? prng_below(&prng, delivery.count) : delivery.count);
        }
    }
}

Test(hub_model, random_steps) {
    hub_fixture_init(&fixture);
    prng_init(&prng, 3);
    for (uint32_t round = 0; round < 60; round++) {
        fixture.messages.pool.limit = prng_below(&prng, 3) == 0 ? 30 : TEST_MESSAGES_MAX;
        fixture.hub.burst_bytes_max = prng_below(&prng, 3) == 0 ? 20 : FANOUT_BYTES_MAX;
        uint32_t fanout_share = 5 + prng_below(&prng, 40);
        for (uint32_t step = 0; step < 2000; step++) {
            if (prng_below(&prng, 100) < fanout_share) {
                step_fanout(1 + prng_below(&prng, 40), true);
            } else {
                step_other();
            }
        }
        step_fanout(UINT32_MAX, false);
        for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
            for (uint32_t channel = 0; channel < CHANNELS; channel++) {
                struct pending *pending = &pendings[i][channel];
                cr_assert(!pending->is_joined || pending->first == pending->last);
            }
            step_leave_all(i);
        }
        struct hub_delivery delivery;
        cr_assert(!hub_fanout_next(&fixture.hub, &delivery));
        cr_assert(fixture.memory.arena.used_bytes == 0 && fixture.messages.pool.used == 0);
    }
    cr_assert(delivered_count > 100000 && burst_count > 1000 && refused_count > 100);
    hub_fixture_fini(&fixture);
}
