// The direct table: what happens when it fills (P9), and when a slot comes back (P5).
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>

enum { SLOTS = 64 };

static struct rig *rig_small(void) {
    struct io_options options = rig_options(1);
    options.slots = SLOTS;
    struct rig *rig = rig_open(&options);
    expect(io_ring_slots(rig->io) == SLOTS, "%u", io_ring_slots(rig->io));
    return rig;
}

// What the header warns of: one client is cut for each accept that meets a full table.
static void a_full_table_cuts_a_client(void) {
    struct rig *rig = rig_small();
    struct client clients[SLOTS + 2];
    io_accept(rig->io, 0, rig->listener, 0);
    for (uint32_t i = 0; i < SLOTS; i++) {
        clients[i] = client_connect(&rig->address);
        expect(rig_get(rig, IO_ACCEPT).result == (int32_t)i, "slot");
    }
    clients[SLOTS] = client_connect(&rig->address);
    struct io_completion ended = rig_get(rig, IO_ACCEPT);
    expect(ended.result == -ENFILE && !ended.more, "%d", ended.result);
    client_expect_end(clients[SLOTS]);
    clients[SLOTS + 1] = client_connect(&rig->address); // waits in the backlog
    client_expect_quiet(clients[SLOTS + 1], 20);
    struct io_handle handle = {.slot = 5};
    io_close(rig->io, handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    io_accept(rig->io, 0, rig->listener, 0);
    struct io_completion accepted = rig_get(rig, IO_ACCEPT);
    expect(accepted.result == 5 && accepted.more, "%d", accepted.result);
    io_accept_cancel(rig->io, 0, rig->listener, 0);
    expect(rig_get(rig, IO_ACCEPT).result == -ECANCELED, "cancel");
    expect(rig_get(rig, IO_ACCEPT_CANCEL).result == 0, "cancel");
    for (uint32_t i = 0; i < SLOTS + 2; i++) {
        client_close(clients[i]);
    }
    rig_shut(rig);
}

// An armed multishot takes all that waits, however many, before the caller sees one completion. So
// no margin protects a table against a backlog that is larger.
static void one_turn_takes_the_whole_backlog(void) {
    struct rig *rig = rig_small();
    struct client clients[SLOTS + 8];
    for (uint32_t i = 0; i < SLOTS + 8; i++) {
        clients[i] = client_connect(&rig->address);
    }
    io_accept(rig->io, 0, rig->listener, 0);
    struct io_completion accepted;
    uint32_t count = 0;
    do {
        accepted = rig_get(rig, IO_ACCEPT);
        count++;
    } while (accepted.more);
    expect(count == SLOTS + 1 && accepted.result == -ENFILE, "%u, %d", count, accepted.result);
    client_expect_end(clients[SLOTS]);
    for (uint32_t i = 0; i < SLOTS + 8; i++) {
        if (i != SLOTS) {
            client_expect_quiet(clients[i], 0); // accepted, or waiting
        }
        client_close(clients[i]);
    }
    rig_shut(rig);
}

// The way to fill a table to the last slot: singles, never more than there are free slots.
static void singles_fill_the_table_and_the_rest_waits(void) {
    enum { CLIENTS = SLOTS + 40 };
    struct rig *rig = rig_small();
    struct client clients[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&rig->address);
    }
    struct io_peer peers[CLIENTS];
    uint32_t accepted = 0;
    uint32_t closed = 0;
    uint32_t armed = 0;
    while (accepted < CLIENTS) {
        while (armed + accepted - closed < SLOTS && armed + accepted < CLIENTS) {
            io_accept_one(rig->io, 0, rig->listener, accepted + armed, &peers[accepted + armed]);
            armed++;
        }
        struct io_completion completion;
        rig_turn(rig, 10);
        while (rig_find(rig, IO_ACCEPT_ONE, &completion)) {
            expect(completion.result >= 0, "%d", completion.result);
            armed--;
            accepted++;
        }
        if (accepted - closed == SLOTS && accepted < CLIENTS) { // full: one goes, one may come
            client_expect_quiet(clients[CLIENTS - 1], 0);
            io_close(rig->io, (struct io_handle){.slot = closed % SLOTS});
            expect(rig_get(rig, IO_CLOSE).result == 0, "close");
            closed++;
        }
    }
    expect(armed == 0 && closed == CLIENTS - SLOTS, "%u %u", armed, closed);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client_close(clients[i]);
    }
    rig_shut(rig);
}

// Takes completions in their order; a slot must not be handed out while it is taken.
static void follow(struct rig *rig, bool *is_taken, uint32_t *accepts, uint32_t *closes) {
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        const struct io_completion *completion = &rig->kept[i];
        uint32_t slot = completion->slot;
        if (completion->operation == IO_CLOSE) {
            expect(is_taken[slot] && completion->result == 0, "close of %u", slot);
            is_taken[slot] = false;
            *closes += 1;
        } else if (completion->result >= 0 && completion->operation != IO_ACCEPT_CANCEL) {
            slot = (uint32_t)completion->result;
            expect(slot < SLOTS && !is_taken[slot], "slot %u is taken", slot);
            is_taken[slot] = true;
            *accepts += 1;
        }
    }
    rig->kept_count = 0;
}

// Closes and accepts in one batch, by singles and by a multishot that is armed behind the closes.
static void a_slot_comes_back_after_its_close(void) {
    enum { ROUNDS = 400, STEP = 7 };
    struct rig *rig = rig_small();
    struct client clients[SLOTS + STEP];
    bool is_taken[SLOTS] = {false};
    uint32_t accepts = 0;
    uint32_t closes = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        clients[i] = client_connect(&rig->address);
    }
    struct io_peer peers[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++) {
        io_accept_one(rig->io, 0, rig->listener, i, &peers[i]);
    }
    for (uint32_t i = 0; i < 100 && accepts < SLOTS; i++) {
        rig_turn(rig, 10);
        follow(rig, is_taken, &accepts, &closes);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct client fresh[STEP];
        for (uint32_t i = 0; i < STEP; i++) {
            fresh[i] = client_connect(&rig->address);
            io_close(rig->io, (struct io_handle){.slot = (round * STEP + i * 9) % SLOTS});
        }
        if (round % 2 == 0) {
            io_accept(rig->io, 0, rig->listener, (uint16_t)round);
            io_accept_cancel(rig->io, 0, rig->listener, (uint16_t)round);
        }
        for (uint32_t i = 0; i < STEP && round % 2 == 1; i++) {
            io_accept_one(rig->io, 0, rig->listener, i, &peers[i]);
        }
        uint32_t wanted = SLOTS + (round + 1) * STEP;
        for (uint32_t i = 0; i < 100 && accepts < wanted; i++) {
            rig_turn(rig, 10);
            follow(rig, is_taken, &accepts, &closes);
        }
        expect(accepts == wanted && closes == wanted - SLOTS, "%u of %u", accepts, wanted);
        for (uint32_t i = 0; i < STEP; i++) {
            client_close(fresh[i]);
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        client_close(clients[i]);
    }
    rig_turn(rig, 20);
    rig->kept_count = 0;
    rig_shut(rig);
}

enum { POLLED = 1, CANCELLED = 2, CLOSED = 4, OVER = POLLED | CANCELLED | CLOSED };

struct polled {
    uint8_t ended[SLOTS]; // what is out of the slot's end
    uint32_t accepts, closes, overs;
};

// The same where polls are armed: a slot is handed out only when all three of its end are out.
// Arms a poll on what was accepted.
static void follow_polled(struct rig *rig, struct polled *polled) {
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        struct io_completion completion = rig->kept[i];
        uint32_t slot = completion.slot;
        uint8_t bit = 0;
        if (completion.operation == IO_ACCEPT_ONE) {
            slot = (uint32_t)completion.result;
            expect(completion.result >= 0 && slot < SLOTS, "%d", completion.result);
            expect(polled->ended[slot] == OVER, "slot %u: %u", slot, polled->ended[slot]);
            polled->ended[slot] = 0;
            io_poll(rig->io, (struct io_handle){.slot = slot});
            polled->accepts++;
        } else if (completion.operation == IO_POLL) {
            bit = completion.more ? 0 : POLLED;
        } else {
            expect(completion.result == 0, "%u: %d", completion.operation, completion.result);
            bit = completion.operation == IO_CLOSE ? CLOSED : CANCELLED;
        }
        expect((polled->ended[slot] & bit) == 0, "%u of slot %u twice", bit, slot);
        polled->ended[slot] |= bit;
        polled->closes += bit == CLOSED;
        polled->overs += bit != 0 && polled->ended[slot] == OVER;
    }
    rig->kept_count = 0;
}

// Polled connections end, and others come into a full table as soon as a close is out.
static void a_polled_slot_comes_back_after_its_polls_end(void) {
    enum { ROUNDS = 400, STEP = 7 };
    struct rig *rig = rig_small();
    struct client clients[SLOTS];
    struct io_peer peers[SLOTS];
    struct polled polled = {.accepts = 0};
    memset(polled.ended, OVER, sizeof polled.ended);
    uint32_t armed = 0;
    uint32_t wanted = SLOTS;
    for (uint32_t i = 0; i < SLOTS; i++) {
        clients[i] = client_connect(&rig->address);
    }
    for (uint32_t round = 0; round <= ROUNDS; round++) {
        for (uint32_t i = 0; i < 100 && (polled.accepts < wanted || polled.overs < wanted - SLOTS);
             i++) {
            for (; armed < SLOTS + polled.closes && armed < wanted; armed++) {
                io_accept_one(rig->io, 0, rig->listener, armed % SLOTS, &peers[armed % SLOTS]);
            }
            rig_turn(rig, 10);
            follow_polled(rig, &polled);
        }
        expect(polled.accepts == wanted && polled.overs == wanted - SLOTS, "%u, %u of %u",
               polled.accepts, polled.overs, wanted);
        for (uint32_t i = 0; i < STEP && round < ROUNDS; i++) {
            io_cancel_then_close(rig->io,
                                 (struct io_handle){.slot = (round * STEP + i * 9) % SLOTS});
            client_close(clients[(round * STEP + i) % SLOTS]);
            clients[(round * STEP + i) % SLOTS] = client_connect(&rig->address);
            wanted++;
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        io_cancel_then_close(rig->io, (struct io_handle){.slot = i});
    }
    for (uint32_t i = 0; i < 100 && polled.overs < wanted; i++) {
        rig_turn(rig, 10);
        follow_polled(rig, &polled);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        client_close(clients[i]);
    }
    rig_shut(rig);
}

// A poll left armed over the close (P6) ends in the slot's next life, and says whose it was.
static void a_late_completion_is_recognised(void) {
    struct rig *rig = rig_small();
    struct pair old;
    rig_pairs(rig, 0, &old, 1);
    old.handle.generation = 65535;
    io_poll(rig->io, old.handle);
    rig_expect_none(rig, IO_POLL, 10);
    rig_close(rig, &old);
    struct pair fresh;
    rig_pairs(rig, 0, &fresh, 1);
    expect(fresh.handle.slot == old.handle.slot, "%u", fresh.handle.slot);
    fresh.handle.generation = 1;
    io_poll(rig->io, fresh.handle);
    client_send(fresh.client, "x", 1);
    struct io_completion polled;
    do { // the old client's end may be told, too
        polled = rig_get(rig, IO_POLL);
    } while (polled.generation != 1);
    expect(polled.result == IO_POLL_IN && polled.more, "%d", polled.result);
    uint8_t byte;
    rig_receive(rig, &fresh, &byte, 1);
    io_cancel_then_close(rig->io, old.handle); // cancels the old poll, closes the new life
    polled = rig_get(rig, IO_POLL);
    while (polled.more) {
        polled = rig_get(rig, IO_POLL);
    }
    expect(polled.generation == 65535 && polled.result == -ECANCELED, "%d", polled.result);
    expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    io_cancel_then_close(rig->io, fresh.handle);
    polled = rig_get(rig, IO_POLL);
    expect(polled.generation == 1 && polled.result == -ECANCELED, "%d", polled.result);
    expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    expect(rig_get(rig, IO_CLOSE).result == -EBADF, "closed twice");
    client_expect_end(fresh.client);
    client_close(fresh.client);
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"a_full_table_cuts_a_client", a_full_table_cuts_a_client},
    {"one_turn_takes_the_whole_backlog", one_turn_takes_the_whole_backlog},
    {"singles_fill_the_table_and_the_rest_waits", singles_fill_the_table_and_the_rest_waits},
    {"a_slot_comes_back_after_its_close", a_slot_comes_back_after_its_close},
    {"a_polled_slot_comes_back_after_its_polls_end", a_polled_slot_comes_back_after_its_polls_end},
    {"a_late_completion_is_recognised", a_late_completion_is_recognised},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
