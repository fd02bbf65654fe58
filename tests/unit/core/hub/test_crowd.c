// A channel that is flooded does not take the room of the others.
#include "tests/unit/core/hub/hub_fixture.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct hub_fixture fixture;

static void setup(void) {
    hub_fixture_init(&fixture);
}

static void teardown(void) {
    hub_fixture_fini(&fixture);
}

TestSuite(crowd, .init = setup, .fini = teardown);

Test(crowd, channels_that_are_flooded_leave_room_for_the_others) {
    enum { FLOODED = 20, MESSAGES = 8000 };
    fixture.messages.pool.limit = MESSAGES;
    static uint32_t owners[FLOODED + 1];
    uint32_t channels[FLOODED + 1];
    for (uint32_t i = 0; i <= FLOODED; i++) {
        char name[8];
        snprintf(name, sizeof name, "%u", i);
        hub_join(&fixture.hub, span_text(name), i, HUB_RAW, &owners[i]);
        channels[i] = hub_channel_find(&fixture.hub, span_text(name));
    }
    uint32_t posted = 0;
    for (uint32_t i = 0; i < FLOODED * MESSAGES; i++) {
        posted += hub_fixture_post(&fixture, channels[i % FLOODED], i, 0);
    }
    cr_assert_geq(posted, MESSAGES / 2);
    cr_assert(hub_is_crowded(&fixture.hub, span_text("0")));
    cr_assert_not(hub_is_crowded(&fixture.hub, span_text("20")));
    for (uint32_t i = 0; i < HUB_BURST_MAX; i++) { // a burst of the one that is not
        cr_assert(hub_fixture_post(&fixture, channels[FLOODED], i, 0));
    }
    struct hub_delivery delivery;
    while (hub_fanout_next(&fixture.hub, &delivery)) {
    }
    for (uint32_t i = 0; i < MESSAGES / 4; i++) { // and alone it has plenty
        cr_assert(hub_fixture_post(&fixture, channels[FLOODED], i, 0));
    }
    while (hub_fanout_next(&fixture.hub, &delivery)) {
    }
    for (uint32_t i = 0; i <= FLOODED; i++) {
        uint8_t name[255];
        bool was_last;
        hub_leave_next(&fixture.hub, &owners[i], name, &was_last);
    }
    hub_fanout_next(&fixture.hub, &delivery);
}
