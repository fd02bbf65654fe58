// For the tests of time in core/conn: an owner at one of three times of the clock, and waits that
// end just before and just after a deadline.
#pragma once
#include "tests/unit/core/conn/conn_owner.h"

enum { TICK = WHEEL_TICK_MS };

// The tests run at three times: soon after the start, and just before the clock's low half wraps or
// turns negative, so that deadlines fall behind it.
static const uint64_t starts_us[] = {1000000, (UINT64_C(1) << 32) * 1000 - 3000000,
                                     (UINT64_C(1) << 31) * 1000 - 3000000};
enum { STARTS = 3 };

static inline struct owner *owner_at(int start) {
    struct owner *owner = calloc(1, sizeof *owner);
    owner->test = calloc(1, sizeof *owner->test);
    cr_assert_not_null(owner->test);
    conn_test_init(owner->test, starts_us[start]);
    conn_test_accept(owner->test);
    return owner;
}

static inline struct owner *open_at(int start, struct conn_settings settings) {
    struct owner *owner = owner_at(start);
    struct conn_settings *mine = &owner->test->settings[1];
    settings.reader = mine->reader;
    settings.bounds = mine->bounds;
    *mine = settings;
    owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    owner->test->sent_bytes = 0;
    return owner;
}

static inline void receive_frame(struct owner *owner, uint8_t first, const void *payload,
                                 uint32_t length) {
    uint8_t frame[1024];
    owner_receive(owner, frame, frame_make(frame, first, payload, length));
}

// Waits until `ms` from now is nearly due, sees that nothing happened, and goes beyond it. A
// deadline is rounded up to a tick, and so is the wait.
static inline void wait_past(struct owner *owner, uint64_t ms, enum conn_state before) {
    conn_test_wait(owner->test, ms - TICK);
    expect_state(owner->test, before);
    conn_test_wait(owner->test, 2 * TICK + 1);
}

#define FOR_ALL_STARTS(start) for (int start = 0; start < STARTS; start++)

static const struct conn_settings keepalive
    __attribute__((unused)) = {.ping_ms = 25000, .pong_ms = 10000};

// Waits for the first ping, which comes after half to a whole interval; returns its eight bytes.
static inline void wait_first_ping(struct owner *owner, uint8_t stamp[8]) {
    uint32_t waited = 0;
    while (owner->test->sent_bytes == 0) {
        conn_test_wait(owner->test, TICK);
        owner_pump(owner);
        waited += TICK;
        expect(waited <= 25000 + 2 * TICK, "no ping came");
    }
    expect(waited >= 12500, "%u ms", waited);
    cr_assert_eq(owner->test->sent_bytes, 10);
    cr_assert_eq(memcmp(owner->test->sent, "\x89\x08", 2), 0);
    memcpy(stamp, owner->test->sent + 2, 8);
    owner->test->sent_bytes = 0;
}
