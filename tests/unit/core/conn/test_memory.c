// Memory that is refused: whatever is asked for last, the connection ends in an orderly way, others
// go on, and nothing is left.
#include "tests/unit/core/conn/conn_life.h"

// A life with a message in three large pieces and a ping in between.
static void large_life_make(struct bytes *life) {
    bytes_add(life, UPGRADE, sizeof UPGRADE - 1);
    char piece[1001];
    memset(piece, 'x', 1000);
    piece[1000] = 0;
    bytes_frame(life, 0x01, piece);
    bytes_frame(life, 0x89, "ping");
    bytes_frame(life, 0x00, piece);
    bytes_frame(life, 0x80, piece);
    bytes_frame(life, 0x88, "\x03\xe8");
}

enum resource { ARENA, INPUTS, ENTRIES };

static struct owner *live_within(const struct bytes *life, enum resource resource, uint32_t limit,
                                 uint32_t piece, bool is_deaf) {
    struct owner *owner = owner_open();
    owner->is_deaf = is_deaf;
    switch (resource) {
    case ARENA:
        owner->test->arena.limit_bytes = (uint64_t)limit * ARENA_UNIT_BYTES;
        break;
    case INPUTS:
        owner->test->conns.inputs.limit = limit;
        break;
    case ENTRIES:
        owner->test->conns.entries.limit = limit;
        break;
    }
    for (uint32_t at = 0; at < life->length; at += piece) {
        uint32_t length = life->length - at < piece ? life->length - at : piece;
        if (!owner_receive(owner, life->data + at, length)) {
            break;
        }
    }
    return owner;
}

// Raises the limit until nothing is refused any more; returns how many steps that took.
static uint32_t raise(const struct bytes *life, enum resource resource, uint32_t piece,
                      bool is_deaf) {
    struct owner *whole = live_within(life, ARENA, UINT32_MAX / ARENA_UNIT_BYTES, piece, is_deaf);
    cr_assert_eq(whole->test->arena.refused_count, 0);
    uint32_t limit = 0;
    for (bool is_whole = false; !is_whole; limit++) {
        expect(limit < 1000, "it never succeeds");
        struct owner *owner = live_within(life, resource, limit, piece, is_deaf);
        struct conn_test *test = owner->test;
        bool is_refused = test->arena.refused_count + test->conns.inputs.refused_count +
                              test->conns.entries.refused_count >
                          0;
        if (is_refused) {
            uint8_t fault = conn_test_conn(test)->fault;
            // Or the peer's Close came first, and only the answer to it was refused.
            bool has_lived = fault == FAULT_closed_by_peer && strcmp(owner->log, whole->log) == 0;
            expect(has_lived || fault == FAULT_out_of_memory || fault == FAULT_memory_pressure,
                   "limit %u: %s", limit, fault_get((enum fault_id)fault)->name);
            expect(conn_test_state(test) >= CONN_CLOSING, "limit %u: %s", limit,
                   conn_state_name(conn_test_state(test)));
        } else {
            expect(strcmp(owner->log, whole->log) == 0, "limit %u: %s", limit, owner->log);
            is_whole = true;
        }
        owner_close(owner);
    }
    owner_close(whole);
    return limit;
}

static void raise_all(const struct bytes *life, uint32_t piece) {
    for (int is_deaf = 0; is_deaf <= 1; is_deaf++) {
        cr_assert_gt(raise(life, ARENA, piece, is_deaf != 0), 1);
        cr_assert_gt(raise(life, ENTRIES, piece, is_deaf != 0), 1);
        raise(life, INPUTS, piece, is_deaf != 0);
    }
}

Test(memory, a_life_in_one_piece_under_every_limit) {
    struct bytes life = {0};
    life_make(&life);
    raise_all(&life, life.length);
}

Test(memory, a_life_in_pieces_under_every_limit) {
    struct bytes life = {0};
    life_make(&life);
    raise_all(&life, 1);
    raise_all(&life, 20);
}

Test(memory, a_large_message_under_every_limit) {
    struct bytes life = {0};
    large_life_make(&life);
    raise_all(&life, 1);
    raise_all(&life, 700);
    raise_all(&life, life.length);
}

Test(memory, one_that_cannot_have_its_message_is_told_1013) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, UPGRADE);
    owner->test->sent_bytes = 0;
    struct bytes bytes = {0};
    bytes_frame(&bytes, 0x01, "a first fragment, which needs a block of its own");
    owner->test->arena.limit_bytes = 64; // enough for the Close
    owner_receive(owner, bytes.data, bytes.length);
    cr_assert_eq(memcmp(owner->test->sent, "\x88\x16\x03\xf5out of buffer memory", 24), 0);
    expect_state(owner->test, CONN_DISCARD);
    owner_close(owner);
}

Test(memory, one_that_cannot_remember_half_a_frame_is_told_1013) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, UPGRADE);
    owner->test->sent_bytes = 0;
    owner->test->conns.inputs.limit = 0;
    owner_receive(owner, "\x81", 1);
    cr_assert_eq(memcmp(owner->test->sent, "\x88\x16\x03\xf5", 4), 0);
    owner_close(owner);
}

Test(memory, whole_messages_need_none) {
    struct owner *owner = owner_open();
    owner->is_silent = true;
    owner_receive_text(owner, UPGRADE);
    owner->test->conns.inputs.limit = 0;
    owner->test->conns.entries.limit = 0;
    owner->test->arena.limit_bytes = 0;
    struct bytes bytes = {0};
    bytes_frame(&bytes, 0x81, "one");
    bytes_frame(&bytes, 0x82, "two");
    owner_receive(owner, bytes.data, bytes.length);
    cr_assert_eq(owner->test->counters.values[COUNTER_messages_in], 2);
    expect_state(owner->test, CONN_OPEN);
    owner_close(owner);
}

Test(memory, a_refused_message_ends_its_reader_even_without_memory_for_the_close) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, UPGRADE);
    struct bytes bytes = {0};
    bytes_frame(&bytes, 0x01, "a first fragment");
    owner->test->arena.limit_bytes = 0;
    owner_receive(owner, bytes.data, bytes.length);
    expect_state(owner->test, CONN_ENDED);
    expect_fault(owner->test, FAULT_out_of_memory);
    cr_assert_eq(owner->test->counters.close_codes_sent[6], 1); // cut: 1006
    owner_close(owner);
}

Test(memory, the_connections_are_bounded_at_n_and_n_plus_1) {
    struct conn_test *test = conn_test_open();
    for (uint32_t i = 1; i < CONN_TEST_CONNS; i++) {
        conn_test_accept(test);
    }
    cr_assert_eq(conn_open(&test->conns), 0);
    conn_test_release(test, test->index);
    conn_test_accept(test);
    conn_test_close(test);
}

Test(memory, a_ping_without_memory_cuts) {
    for (int has_arena = 0; has_arena <= 1; has_arena++) {
        struct conn_test *test = conn_test_open();
        test->settings[1].ping_ms = 1000;
        conn_test_upgrade(test);
        if (has_arena == 0) {
            test->arena.limit_bytes = 0;
        } else {
            test->conns.entries.limit = 0;
        }
        conn_test_wait(test, 1100);
        expect_state(test, CONN_ENDED);
        expect_fault(test, FAULT_out_of_memory);
        conn_test_close(test);
    }
}
