// For the tests of the hub that go case by case: one hub, four subscribers, and short words for
// what is done to it.
#pragma once
#include "tests/unit/core/hub/hub_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { OWNERS = 4 };

static struct hub_fixture fixture;
static struct hub *const hub = &fixture.hub;
static uint32_t heads[OWNERS]; // of the subscribers 0 to 3

static inline void setup(void) {
    hub_fixture_init(&fixture);
}

static inline void teardown(void) {
    uint8_t name[255];
    bool was_last;
    for (uint32_t i = 0; i < OWNERS; i++) {
        while (hub_leave_next(hub, &heads[i], name, &was_last) > 0) {
        }
    }
    struct hub_delivery delivery;
    cr_assert(!hub_fanout_next(hub, &delivery));
    hub_fixture_fini(&fixture);
}

static inline enum hub_join_result join(const char *name, uint32_t owner) {
    return hub_join(hub, span_text(name), owner, HUB_RAW, &heads[owner]);
}

static inline enum hub_leave_result leave(const char *name, uint32_t owner) {
    return hub_leave(hub, span_text(name), &heads[owner]);
}

static inline void post(const char *name, uint32_t number) {
    uint32_t channel = hub_channel_find(hub, span_text(name));
    cr_assert_neq(channel, 0);
    cr_assert(hub_fixture_post(&fixture, channel, number, 0));
}

// The next delivery as "subscriber:number,number", or "" when there is none.
static inline const char *next(void) {
    static char text[1024];
    struct hub_delivery delivery;
    text[0] = 0;
    if (hub_fanout_next(hub, &delivery)) {
        int length = snprintf(text, sizeof text, "%u:", delivery.subscriber);
        for (uint32_t i = 0; i < delivery.count; i++) {
            length += snprintf(text + length, sizeof text - (size_t)length, i == 0 ? "%u" : ",%u",
                               hub_fixture_number(&fixture, delivery.payloads[i]));
        }
    }
    return text;
}
