// Any order of completions that the contract allows, and an owner that does whatever it may: every
// owned socket is closed with one CLOSED event, the last of its events; nothing is left.
#include "tests/unit/gateway/link/link_test.h"

enum { SEEDS = 300, STEPS = 1500 };

struct owner {
    bool is_open[FAKE_RINGS * FAKE_SLOTS];
    bool is_sending[FAKE_RINGS * FAKE_SLOTS];
    uint32_t opened, closed;
};

static uint32_t at(link_id id) {
    return (id >> LINK_RING_SHIFT) * FAKE_SLOTS + (id & 0xffffff);
}

static uint32_t below(uint64_t *state, uint32_t bound) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % bound;
}

static void on_event(struct link_test *test, struct owner *owner, const struct link_event *event,
                     uint64_t *state) {
    uint32_t index = at(event->id);
    switch (event->kind) {
    case LINK_EVENT_ACCEPTED:
        expect(!owner->is_open[index], "accepted twice");
        if (below(state, 10) == 0) {
            link_close(&test->link, event->id);
            return;
        }
        owner->is_open[index] = true;
        owner->opened++;
        link_own(&test->link, event->id, index);
        return;
    case LINK_EVENT_CLOSED:
        expect(owner->is_open[index] && !owner->is_sending[index], "closed, or its send is lost");
        owner->is_open[index] = false;
        owner->closed++;
        return;
    case LINK_EVENT_BYTES:
        expect(owner->is_open[index] && event->owner == index, "bytes of a closed socket");
        expect(event->data.data[0] == 'a' + event->id % 26, "another's bytes");
        link_bytes_done(&test->link, event);
        break;
    case LINK_EVENT_SENT:
        expect(owner->is_sending[index], "sent twice");
        owner->is_sending[index] = false;
        break;
    case LINK_EVENT_END:
    case LINK_EVENT_ERROR:
        expect(owner->is_open[index], "an end of a closed socket");
        link_close(&test->link, event->id);
        return;
    default:
        break;
    }
    if (below(state, 4) != 0) { // usually it reads on
        receive(test, event->id);
    }
}

static void events_take(struct link_test *test, struct owner *owner, uint64_t *state) {
    struct link_event event;
    uint32_t count = 1 + below(state, 4); // sometimes a turn ends in the middle
    while (count-- > 0 && link_next(&test->link, &event)) {
        on_event(test, owner, &event, state);
    }
}

// One thing that the kernel may do with this slot.
static void kernel_step(struct link_test *test, link_id id, uint64_t *state) {
    struct io *io = &test->io;
    struct fake_slot *slot = fake_at(io, id);
    static const int32_t received[] = {10, 10, 10, 64, 0, -EAGAIN, -ECONNRESET};
    switch (below(state, 6)) {
    case 0:
        if (slot->is_polling && slot->phase == FAKE_OPEN) {
            fake_polled(io, id, IO_POLL_IN, below(state, 8) != 0);
        }
        return;
    case 1:
        if (slot->is_polling && slot->phase == FAKE_ENDING) {
            fake_polled(io, id, -ECANCELED, false);
        }
        return;
    case 2:
        if (slot->is_receiving) {
            fake_received(io, id, received[below(state, 7)], below(state, 2) != 0);
        }
        return;
    case 3:
        if (slot->is_sending) {
            fake_sent(io, id, slot->is_send_cancelling || below(state, 9) == 0 ? -ECANCELED : 3);
        }
        return;
    case 4:
        if (slot->is_cancelling || (slot->is_send_cancelling && !slot->is_sending)) {
            fake_cancelled(io, id, 0);
        }
        return;
    default: // the poll's end comes before the close's, as on Linux
        if (slot->is_closing && !slot->is_cancelling && !slot->is_polling) {
            fake_closed(io, id, 0);
        }
        return;
    }
}

static void owner_step(struct link_test *test, struct owner *owner, link_id id, uint64_t *state) {
    const struct link_slot *slot = link_slot_at(&test->link, id);
    uint32_t index = at(id);
    if (!owner->is_open[index] || slot->state != LINK_OPEN) {
        return;
    }
    struct span piece = span_text("abc");
    switch (below(state, 8)) {
    case 0:
        link_close(&test->link, id);
        return;
    case 1:
    case 2:
        receive(test, id);
        return;
    default:
        if ((slot->flight & LINK_SENDING) == 0 && !owner->is_sending[index]) {
            link_send(&test->link, id, &piece, 1);
            owner->is_sending[index] = true;
        }
        return;
    }
}

static void run(uint64_t seed) {
    struct link_test *test = link_test_open();
    struct owner owner = {0};
    uint64_t state = seed;
    test->io.can_grow = seed % 3 == 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t number = below(&state, FAKE_RINGS * FAKE_SLOTS);
        link_id id = number / FAKE_SLOTS << LINK_RING_SHIFT | number % FAKE_SLOTS;
        uint32_t accept = below(&state, LINK_ACCEPTS);
        if (below(&state, 5) == 0 && test->io.accepts[accept].is_armed) {
            fake_accepted(&test->io, accept, (uint8_t)below(&state, 8),
                          below(&state, 9) == 0 ? -ECONNABORTED : 0);
        }
        kernel_step(test, id, &state);
        owner_step(test, &owner, id, &state);
        if (below(&state, 3) == 0) {
            events_take(test, &owner, &state);
            link_turn_end(&test->link);
        }
    }
    for (uint32_t i = 0; i < 100000 && (owner.opened != owner.closed || test->link.used_total > 0);
         i++) { // everything is closed, in any order
        uint32_t number = below(&state, FAKE_RINGS * FAKE_SLOTS);
        link_id id = number / FAKE_SLOTS << LINK_RING_SHIFT | number % FAKE_SLOTS;
        if (owner.is_open[number] && link_slot_at(&test->link, id)->state == LINK_OPEN) {
            link_close(&test->link, id);
        }
        kernel_step(test, id, &state);
        events_take(test, &owner, &state);
        link_turn_end(&test->link);
    }
    struct link_event event;
    while (link_next(&test->link, &event)) {
        on_event(test, &owner, &event, &state);
    }
    expect(owner.opened == owner.closed && test->link.used_total == 0,
           "seed %lu: %u opened, %u closed, %u used, %u starved", (unsigned long)seed, owner.opened,
           owner.closed, test->link.used_total, test->link.starved_count);
    expect(owner.opened > 10, "seed %lu: %u opened", (unsigned long)seed, owner.opened);
    link_test_close(test);
}

Test(random, every_socket_ends_once_and_nothing_is_left) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed);
    }
}
