// For the tests of the hub: a hub over pools and arena of its own, all empty again at the end.
#pragma once
#include "core/hub/hub.h"
#include "core/hub/payload.h"
#include "tests/unit/core/hub/hub_memory.h"

enum { TEST_CHANNELS_MAX = 20000, TEST_SUBSCRIPTIONS_MAX = 1000000, TEST_MESSAGES_MAX = 50000 };

struct hub_fixture {
    struct hub hub;
    struct test_arena memory;
    struct test_pool channels, subscriptions, messages;
    struct memory buckets;
};

static inline void hub_fixture_init(struct hub_fixture *fixture) {
    static const uint64_t key[2] = {1, 2};
    test_arena_init(&fixture->memory);
    test_pool_init(&fixture->channels, sizeof(struct hub_channel), TEST_CHANNELS_MAX);
    test_pool_init(&fixture->subscriptions, sizeof(struct hub_subscription),
                   TEST_SUBSCRIPTIONS_MAX);
    test_pool_init(&fixture->messages, sizeof(struct hub_message), TEST_MESSAGES_MAX);
    fixture->buckets = memory_reserve(table_book_bytes(TEST_CHANNELS_MAX));
    hub_init(&fixture->hub, &fixture->channels.pool, &fixture->subscriptions.pool,
             &fixture->messages.pool, &fixture->memory.arena, fixture->buckets, key);
}

static inline void hub_fixture_fini(struct hub_fixture *fixture) {
    check(!hub_has_work(&fixture->hub));
    check(fixture->hub.names.count == 0);
    check(fixture->hub.subscription_count == 0);
    check(fixture->hub.name_bytes == 0);
    test_pool_fini(&fixture->channels);
    test_pool_fini(&fixture->subscriptions);
    test_pool_fini(&fixture->messages);
    test_arena_fini(&fixture->memory);
    memory_release(fixture->buckets);
}

// Posts one message whose data is `number` in as many forms as the channel has subscribers for.
// Envelope forms carry it with the top bit set.
static inline bool hub_fixture_post(struct hub_fixture *fixture, uint32_t channel, uint32_t number,
                                    uint64_t except) {
    uint32_t payloads[HUB_FORM_COUNT] = {0};
    for (uint32_t form = 0; form < HUB_FORM_COUNT; form++) {
        if (hub_channel_at(&fixture->hub, channel)->form_count[form] > 0) {
            uint32_t data = form == HUB_ENVELOPE ? number | UINT32_C(1) << 31 : number;
            payloads[form] = payload_frame(&fixture->memory.arena, 2, span_make(&data, 4));
            check(payloads[form] != 0);
        }
    }
    bool is_posted = hub_post(&fixture->hub, channel, payloads, except);
    for (uint32_t form = 0; form < HUB_FORM_COUNT; form++) {
        if (payloads[form] != 0) {
            payload_drop(&fixture->memory.arena, payloads[form]);
        }
    }
    return is_posted;
}

static inline uint32_t hub_fixture_number(const struct hub_fixture *fixture, uint32_t payload) {
    uint32_t number;
    memcpy(&number, payload_data(&fixture->memory.arena, payload).data, 4);
    return number;
}
