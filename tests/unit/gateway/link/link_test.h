// For the tests of gateway/link: a link over the fake io, with one listener.
#pragma once
#include "tests/unit/gateway/link/fake_io.h"

struct link_test {
    struct io io;
    struct link link;
    struct counters counters;
    struct trace trace;
    struct link_slot slots[FAKE_RINGS * FAKE_SLOTS];
};

static inline struct link_test *link_test_open(void) {
    struct link_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    test->io.ring_count = 1;
    test->io.ring_max = FAKE_RINGS;
    for (uint32_t ring = 0; ring < FAKE_RINGS; ring++) {
        test->io.buffer_count[ring] = FAKE_BUFFERS;
    }
    struct link_options options = {
        .io = &test->io,
        .ring_max = FAKE_RINGS,
        .slots = {.data = (uint8_t *)test->slots, .length = sizeof test->slots},
        .counters = &test->counters,
        .trace = &test->trace};
    link_init(&test->link, &options);
    cr_assert_eq(link_listen(&test->link, &(struct io_listen_options){.backlog = 100}), 0);
    link_turn_end(&test->link);
    return test;
}

static inline struct link_event next_event(struct link_test *test) {
    struct link_event event;
    cr_assert(link_next(&test->link, &event));
    return event;
}

static inline struct link_event expect_event(struct link_test *test, enum link_event_kind kind,
                                             link_id id) {
    struct link_event event;
    expect(link_next(&test->link, &event), "no event");
    expect(event.kind == kind, "kind %d, wanted %d", (int)event.kind, (int)kind);
    expect(event.id == id, "id %x, wanted %x", event.id, id);
    return event;
}

static inline void expect_no_event(struct link_test *test) {
    struct link_event event;
    expect(!link_next(&test->link, &event), "an event of kind %d", (int)event.kind);
}

static inline void expect_prepared(struct link_test *test, const char *lines) {
    expect(strcmp(test->io.log, lines) == 0, "prepared:\n%s\nwanted:\n%s", test->io.log, lines);
    fake_forget(&test->io);
}

// The next accept that is armed brings a connection, which is owned; its poll is forgotten.
static inline link_id link_test_accept(struct link_test *test, uint32_t owner) {
    link_turn_end(&test->link);
    uint32_t index = 0;
    while (index < FAKE_ACCEPTS && !test->io.accepts[index].is_armed) {
        index++;
    }
    cr_assert_lt(index, (uint32_t)FAKE_ACCEPTS, "no accept is armed");
    link_id id = fake_accepted(&test->io, index, 7, 0);
    struct link_event event = expect_event(test, LINK_EVENT_ACCEPTED, id);
    cr_assert_eq(event.address.ip[15], 7);
    link_own(&test->link, id, owner);
    fake_forget(&test->io);
    return id;
}

static inline void receive(struct link_test *test, link_id id) {
    link_receive(&test->link, id, (struct span_mut){.data = NULL, .length = 0});
}

// Completes what is in flight of a slot that is being closed, until it is free.
static inline void link_test_finish(struct link_test *test, link_id id) {
    struct io *io = &test->io;
    struct fake_slot *slot = fake_at(io, id);
    struct link_event event;
    for (uint32_t i = 0; i < 20 && link_slot_at(&test->link, id)->state != LINK_FREE; i++) {
        if (slot->is_receiving) {
            fake_received(io, id, -EAGAIN, false);
        } else if (slot->is_sending) {
            fake_sent(io, id, -ECANCELED);
        } else if (slot->is_connecting) {
            fake_connected(io, id, -ECANCELED);
        } else if (slot->is_setting) {
            fake_option_set(io, id, 0);
        } else if (slot->is_send_cancelling || slot->is_cancelling) {
            fake_cancelled(io, id, 0);
        } else if (slot->is_polling && slot->is_closing) {
            fake_polled(io, id, -ECANCELED, false);
        } else if (slot->is_closing) {
            fake_closed(io, id, 0);
        }
        while (link_next(&test->link, &event)) {
        }
    }
    cr_assert_eq(link_slot_at(&test->link, id)->state, LINK_FREE);
}

// Everything is closed, and nothing is left.
static inline void link_test_close(struct link_test *test) {
    struct io *io = &test->io;
    link_hold_accept(&test->link, true);
    for (uint32_t i = 0; i < FAKE_RINGS * FAKE_SLOTS; i++) {
        link_id id = i / FAKE_SLOTS << LINK_RING_SHIFT | i % FAKE_SLOTS;
        if (link_slot_at(&test->link, id)->state != LINK_FREE) {
            link_close(&test->link, id);
        }
    }
    for (uint32_t round = 0; round < 100 && test->link.used_total > 0; round++) {
        link_turn_end(&test->link); // also serves the starved
        for (uint32_t i = 0; i < FAKE_RINGS * FAKE_SLOTS; i++) {
            link_id id = i / FAKE_SLOTS << LINK_RING_SHIFT | i % FAKE_SLOTS;
            bool is_starved = (link_slot_at(&test->link, id)->flags & LINK_STARVED) != 0;
            if (link_slot_at(&test->link, id)->state != LINK_FREE && !is_starved) {
                link_test_finish(test, id);
            }
        }
    }
    cr_assert_eq(test->link.used_total, 0);
    cr_assert_eq(test->link.starved_count, 0);
    link_turn_end(&test->link);
    for (uint32_t i = 0; i < FAKE_ACCEPTS; i++) {
        if (io->accepts[i].is_armed) {
            fake_accepted(io, i, 0, -ECANCELED);
        }
        if (io->accepts[i].is_cancelling) {
            fake_accept_cancelled(io, i);
        }
    }
    expect_no_event(test);
    cr_assert(link_is_accept_quiet(&test->link));
    link_listeners_close(&test->link);
    cr_assert_eq(io->listeners, 0);
    for (uint32_t ring = 0; ring < FAKE_RINGS; ring++) {
        cr_assert_eq(test->link.used[ring], 0);
        cr_assert_eq(test->link.armed[ring], 0);
        for (uint32_t i = 0; i < 64; i++) {
            expect(!io->is_lent[ring][i], "buffer %u of ring %u is still lent", i, ring);
        }
    }
    free(test);
}
