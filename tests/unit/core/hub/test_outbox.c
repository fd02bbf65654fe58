// Outboxes: each policy as documented, sends that end short, and what must never be dropped.
// test_outbox_model.c holds the same against a naive model.
#include "core/base/limits.h"
#include "core/hub/outbox.h"
#include "core/hub/payload.h"
#include "tests/unit/core/hub/hub_memory.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

static struct test_arena memory;
static struct test_pool pool;
static struct outboxes outboxes;
static struct outbox outbox;
static uint32_t dropped;

static void setup(void) {
    test_arena_init(&memory);
    test_pool_init(&pool, sizeof(struct outbox_entry), 100000);
    outboxes = (struct outboxes){.entries = &pool.pool, .arena = &memory.arena};
}

static void teardown(void) {
    outbox_drop_all(&outboxes, &outbox);
    cr_assert_eq(outboxes.held_bytes, 0);
    cr_assert(outbox_is_empty(&outbox) && outbox.last == 0);
    test_pool_fini(&pool);
    test_arena_fini(&memory);
}

TestSuite(hub_outbox, .init = setup, .fini = teardown);

static struct outbox_bounds bounds(uint32_t bytes, enum outbox_policy policy) {
    return (struct outbox_bounds){.queue_bytes_max = bytes, .policy = policy};
}

// A message of eight bytes of data, so ten on the wire, that begins with `name`.
static enum outbox_result message_put(const char *name, uint32_t channel,
                                      struct outbox_bounds limit) {
    char data[9] = "........";
    memcpy(data, name, strlen(name));
    uint32_t payload = payload_frame(&memory.arena, TEXT, span_text(data));
    enum outbox_result result =
        outbox_put_message(&outboxes, &outbox, payload, channel, limit, &dropped);
    payload_drop(&memory.arena, payload);
    return result;
}

static void control_put(uint8_t opcode, const char *data) {
    uint32_t payload = payload_frame(&memory.arena, opcode, span_text(data));
    cr_assert(outbox_put(&outboxes, &outbox, payload));
    payload_drop(&memory.arena, payload);
}

static void bytes_put(const char *data) {
    uint32_t payload = payload_bytes(&memory.arena, span_text(data));
    cr_assert(outbox_put(&outboxes, &outbox, payload));
    payload_drop(&memory.arena, payload);
}

static void run_put(const char *wire) {
    uint32_t length = (uint32_t)strlen(wire);
    uint8_t *room = outbox_run_room(&outboxes, &outbox, length);
    cr_assert_not_null(room);
    memcpy(room, wire, length);
}

// First byte of each entry's data, in order; what is in flight in brackets.
static void expect_queue(const char *expected) {
    char text[512];
    uint32_t length = 0;
    uint32_t position = 0;
    for (uint32_t index = outbox.first; index != 0; position++) {
        const struct outbox_entry *entry = pool_at(&pool.pool, index);
        struct span data = payload_data(&memory.arena, entry->payload);
        char name = data.length == 0 ? '-' : (char)data.data[0];
        length += (uint32_t)snprintf(text + length, sizeof text - length,
                                     position < outbox.flight_count ? "[%c]" : "%c", name);
        index = entry->next;
    }
    text[length] = 0;
    cr_assert_str_eq(text, expected);
}

static uint32_t gather(uint32_t piece_max, uint64_t bytes_max) {
    struct span pieces[SEND_PIECES_MAX];
    return outbox_gather(&outboxes, &outbox, pieces, piece_max, bytes_max);
}

Test(hub_outbox, messages_queue_in_order_and_are_sent) {
    struct outbox_bounds limit = bounds(1000, OUTBOX_CLOSE);
    cr_assert(outbox_is_empty(&outbox) && !outbox_may_send(&outbox));
    cr_assert_eq(message_put("a", 1, limit), OUTBOX_QUEUED);
    cr_assert_eq(message_put("b", 2, limit), OUTBOX_QUEUED);
    control_put(PING, "p");
    cr_assert(outbox.queued_bytes == 23 && outboxes.held_bytes == 23);
    cr_assert(outbox_may_send(&outbox));
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(outbox_gather(&outboxes, &outbox, pieces, 16, 1000), 3);
    cr_assert(span_is(pieces[0], "\x81\x08"
                                 "a......."));
    cr_assert(span_is(pieces[1], "\x81\x08"
                                 "b......."));
    cr_assert(span_is(pieces[2], "\x89\x01p"));
    cr_assert(outbox.queued_bytes == 0 && outboxes.held_bytes == 0);
    cr_assert(!outbox_may_send(&outbox) && !outbox_is_empty(&outbox));
    cr_assert_eq(gather(16, 1000), 0); // one send in flight
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 22), 2);
    cr_assert_eq(outboxes.control_sent, 0);
    cr_assert_eq(gather(16, 1000), 1);
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 1), 0);
    cr_assert_eq(outboxes.control_sent, 1);
    cr_assert(outbox_is_empty(&outbox));
    cr_assert_eq(gather(16, 1000), 0);
}

Test(hub_outbox, gathering_stops_at_pieces_and_bytes) {
    struct outbox_bounds limit = bounds(1000, OUTBOX_CLOSE);
    for (uint32_t i = 0; i < 20; i++) {
        message_put("m", 1, limit);
    }
    cr_assert_eq(gather(16, 1000), 16);
    cr_assert_eq(outbox.queued_bytes, 40);
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 160), 16);
    cr_assert_eq(gather(16, 29), 2);
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 20), 2);
    cr_assert_eq(gather(16, 1), 1); // at least one
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 10), 1);
    cr_assert_eq(gather(16, 10), 1);
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 10), 1);
}

Test(hub_outbox, a_short_send_goes_on_where_it_stopped) {
    struct outbox_bounds limit = bounds(1000, OUTBOX_CLOSE);
    static const char wire[] = "\x81\x08"
                               "a......."
                               "\x81\x08"
                               "b......."
                               "\x81\x08"
                               "c.......";
    for (uint32_t first = 0; first <= 30; first++) {
        for (uint32_t second = 0; second <= 30 - first; second++) {
            message_put("a", 1, limit);
            message_put("b", 1, limit);
            message_put("c", 1, limit);
            uint8_t sent[30];
            uint32_t at = 0;
            uint32_t completed = 0;
            uint32_t steps[3] = {first, second, 30 - first - second};
            for (uint32_t i = 0; i < 3; i++) {
                struct span pieces[SEND_PIECES_MAX];
                uint32_t count = outbox_gather(&outboxes, &outbox, pieces, 16, 1000);
                uint32_t left = steps[i];
                for (uint32_t j = 0; j < count && left > 0; j++) {
                    uint32_t length = left < pieces[j].length ? left : pieces[j].length;
                    memcpy(sent + at, pieces[j].data, length);
                    at += length;
                    left -= length;
                }
                completed += outbox_sent(&outboxes, &outbox, steps[i]);
                cr_assert_eq(outbox.queued_bytes, 30 - at);
                cr_assert_eq(completed, at / 10);
            }
            cr_assert_eq(memcmp(sent, wire, 30), 0);
            cr_assert(outbox_is_empty(&outbox));
        }
    }
}

Test(hub_outbox, close_refuses_above_the_limit) {
    struct outbox_bounds limit = bounds(20, OUTBOX_CLOSE);
    cr_assert_eq(message_put("a", 1, limit), OUTBOX_QUEUED);
    cr_assert_eq(message_put("b", 1, limit), OUTBOX_QUEUED); // exactly at the limit
    cr_assert_eq(message_put("c", 1, limit), OUTBOX_OVER);
    cr_assert_eq(dropped, 0);
    expect_queue("ab");
    limit.queue_bytes_max = 19;
    outbox_drop_all(&outboxes, &outbox);
    cr_assert_eq(message_put("a", 1, limit), OUTBOX_QUEUED);
    cr_assert_eq(message_put("b", 1, limit), OUTBOX_OVER);
}

Test(hub_outbox, one_message_is_always_taken) {
    static const enum outbox_policy policies[] = {OUTBOX_CLOSE, OUTBOX_DROP_OLDEST,
                                                  OUTBOX_DROP_NEWEST, OUTBOX_CONFLATE};
    for (uint32_t i = 0; i < 4; i++) {
        struct outbox_bounds limit = bounds(1, policies[i]);
        cr_assert_eq(message_put("a", 1, limit), OUTBOX_QUEUED);
        outbox_drop_all(&outboxes, &outbox);
        control_put(PING, "p"); // control frames do not take its place
        cr_assert_eq(message_put("a", 1, limit), OUTBOX_QUEUED);
        gather(16, 1000);
        cr_assert_eq(message_put("b", 1, limit), OUTBOX_QUEUED); // nor does what is in flight
        cr_assert_eq(outbox_sent(&outboxes, &outbox, 4), 0); // a short send: ping and begun message
        expect_queue("ab");
        outbox_drop_waiting(&outboxes, &outbox, true);
        expect_queue("a");
        cr_assert_eq(message_put("c", 1, limit), OUTBOX_QUEUED); // nor what has begun
        outbox_drop_all(&outboxes, &outbox);
    }
}

Test(hub_outbox, drop_oldest_makes_room_from_the_front) {
    struct outbox_bounds limit = bounds(30, OUTBOX_DROP_OLDEST);
    message_put("a", 1, limit);
    message_put("b", 1, limit);
    message_put("c", 1, limit);
    cr_assert_eq(message_put("d", 1, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 1);
    expect_queue("bcd");
    gather(1, 1000);
    message_put("e", 1, limit);
    cr_assert_eq(dropped, 0);
    cr_assert_eq(message_put("f", 1, limit), OUTBOX_DROPPED);
    expect_queue("[b]def"); // what is in flight stays
    limit.queue_bytes_max = 10;
    cr_assert_eq(message_put("g", 1, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 3);
    expect_queue("[b]g");
    limit.queue_bytes_max = 5; // larger than the limit by itself: alone it is taken
    cr_assert_eq(message_put("h", 1, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 1);
    expect_queue("[b]h");
    cr_assert_eq(outbox.queued_bytes, 10);
}

Test(hub_outbox, drop_oldest_spares_control_frames_and_bytes) {
    struct outbox_bounds limit = bounds(30, OUTBOX_DROP_OLDEST);
    bytes_put("HTTP");
    message_put("a", 1, limit);
    control_put(PING, "p");
    message_put("b", 1, limit);
    cr_assert_eq(message_put("c", 1, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 1);
    expect_queue("Hpbc");
    cr_assert_eq(message_put("d", 1, limit), OUTBOX_DROPPED);
    expect_queue("Hpcd");
    cr_assert_eq(outbox.queued_bytes, 27);
}

Test(hub_outbox, drop_newest_leaves_the_new_one_out) {
    struct outbox_bounds limit = bounds(20, OUTBOX_DROP_NEWEST);
    message_put("a", 1, limit);
    message_put("b", 1, limit);
    uint64_t used = memory.arena.used_bytes;
    cr_assert_eq(message_put("c", 1, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 1);
    cr_assert_eq(memory.arena.used_bytes, used); // its payload went with it
    expect_queue("ab");
}

Test(hub_outbox, conflate_replaces_in_place) {
    struct outbox_bounds limit = bounds(1000, OUTBOX_CONFLATE);
    message_put("a", 1, limit);
    message_put("b", 2, limit);
    message_put("c", 3, limit);
    cr_assert_eq(message_put("d", 2, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 1);
    expect_queue("adc");
    gather(2, 1000);
    cr_assert_eq(message_put("e", 2, limit), OUTBOX_QUEUED); // its predecessor is in flight
    expect_queue("[a][d]ce");
    cr_assert_eq(message_put("f", 0, limit), OUTBOX_QUEUED); // of no channel: never replaced
    cr_assert_eq(message_put("g", 0, limit), OUTBOX_QUEUED);
    expect_queue("[a][d]cefg");
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 13), 1); // the second has begun
    cr_assert_eq(message_put("h", 2, limit), OUTBOX_DROPPED);
    expect_queue("dchfg");
    cr_assert_eq(outbox.queued_bytes, 47);
}

Test(hub_outbox, conflate_leaves_one_of_several_that_wait) {
    struct outbox_bounds all = bounds(1000, OUTBOX_CLOSE);
    static const uint32_t channels[] = {3, 2, 2, 1, 2, 0, 2};
    for (uint32_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        message_put((char[]){(char)('a' + i), 0}, channels[i], all);
    }
    struct outbox_bounds limit = bounds(1000, OUTBOX_CONFLATE);
    cr_assert_eq(message_put("z", 2, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 4);
    expect_queue("azdf");
    cr_assert_eq(outbox.queued_bytes, 40);
    message_put("y", 1, all); // the last entry is still the last
    cr_assert_eq(message_put("x", 1, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 2);
    expect_queue("azxf");
    message_put("w", 0, all);
    expect_queue("azxfw");
}

Test(hub_outbox, conflate_above_the_limit_drops_the_oldest) {
    struct outbox_bounds limit = bounds(30, OUTBOX_CONFLATE);
    message_put("a", 1, limit);
    message_put("b", 2, limit);
    message_put("c", 3, limit);
    cr_assert_eq(message_put("d", 4, limit), OUTBOX_DROPPED);
    cr_assert_eq(dropped, 1);
    expect_queue("bcd");
    char large[26]; // 27 bytes on the wire in the place of 10
    memset(large, 'L', sizeof large);
    uint32_t payload = payload_frame(&memory.arena, TEXT, span_make(large, 25));
    cr_assert_eq(outbox_put_message(&outboxes, &outbox, payload, 3, limit, &dropped),
                 OUTBOX_DROPPED);
    cr_assert_eq(dropped, 3); // its predecessor, and two to make room
    payload_drop(&memory.arena, payload);
    expect_queue("L");
    cr_assert_eq(outbox.queued_bytes, 27);
}

Test(hub_outbox, an_empty_pool_refuses_and_changes_nothing) {
    struct outbox_bounds limit = bounds(1000, OUTBOX_CLOSE);
    message_put("a", 1, limit);
    pool.pool.limit = 1;
    uint64_t used = memory.arena.used_bytes;
    cr_assert_eq(message_put("b", 1, limit), OUTBOX_REFUSED);
    uint32_t payload = payload_frame(&memory.arena, PING, span_empty());
    cr_assert(!outbox_put(&outboxes, &outbox, payload));
    payload_drop(&memory.arena, payload);
    cr_assert_eq(memory.arena.used_bytes, used);
    cr_assert_eq(outbox.queued_bytes, 10);
    expect_queue("a");
    limit = bounds(10, OUTBOX_DROP_OLDEST); // what is dropped makes room in the pool, too
    cr_assert_eq(message_put("c", 1, limit), OUTBOX_DROPPED);
    expect_queue("c");
}

Test(hub_outbox, dropping_what_waits) {
    struct outbox_bounds limit = bounds(1000, OUTBOX_CLOSE);
    message_put("a", 1, limit);
    message_put("b", 1, limit);
    gather(1, 1000);
    control_put(CLOSE, "c");
    message_put("d", 1, limit);
    cr_assert_eq(outbox_drop_waiting(&outboxes, &outbox, true), 2);
    expect_queue("[a]c");
    cr_assert_eq(outbox_drop_waiting(&outboxes, &outbox, false), 0);
    expect_queue("[a]");
    cr_assert_eq(outbox.queued_bytes, 0);
    message_put("e", 1, limit);
    expect_queue("[a]e");
    cr_assert_eq(outbox_drop_all(&outboxes, &outbox), 2);
    cr_assert_eq(outbox.flight_count, 0);
}

Test(hub_outbox, a_begun_frame_is_ended_before_a_close) {
    struct outbox_bounds limit = bounds(1000, OUTBOX_CLOSE);
    message_put("a", 1, limit);
    message_put("b", 1, limit);
    gather(16, 1000);
    outbox_sent(&outboxes, &outbox, 5);
    cr_assert_eq(outbox_drop_waiting(&outboxes, &outbox, true), 1);
    control_put(CLOSE, "c");
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(outbox_gather(&outboxes, &outbox, pieces, 16, 1000), 2);
    cr_assert(span_is(pieces[0], "....."));
    cr_assert(span_is(pieces[1], "\x88\x01"
                                 "c"));
}

Test(hub_outbox, pongs_are_answered_by_the_newest) {
    struct outbox_bounds limit = bounds(1 << 20, OUTBOX_CLOSE);
    cr_assert(!outbox_drop_pong(&outboxes, &outbox, 1));
    message_put("a", 1, limit);
    control_put(PING, "i");
    control_put(PONG, "1");
    cr_assert(outbox_drop_pong(&outboxes, &outbox, 1));
    control_put(PONG, "2");
    expect_queue("ai2");
    gather(16, 1000);
    cr_assert(!outbox_drop_pong(&outboxes, &outbox, 1)); // in flight
    control_put(PONG, "3");
    expect_queue("[a][i][2]3");
    outbox_sent(&outboxes, &outbox, 14); // one byte of the first pong is out
    cr_assert(outbox_drop_pong(&outboxes, &outbox, 1));
    cr_assert(!outbox_drop_pong(&outboxes, &outbox, 1)); // begun
    expect_queue("2");
}

Test(hub_outbox, a_ping_flood_behind_a_long_queue_leaves_one_pong) {
    struct outbox_bounds limit = bounds(1 << 20, OUTBOX_CLOSE);
    for (uint32_t i = 0; i < 80; i++) {
        bytes_put("h"); // HTTP bytes before the upgrade are never overtaken
    }
    for (uint32_t i = 0; i < 5000; i++) {
        message_put("m", 1, limit);
    }
    uint32_t dropped_pongs = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        dropped_pongs += outbox_drop_pong(&outboxes, &outbox, 1);
        control_put(PONG, "p");
        if (i % 100 == 50) { // sends that end short put their entries back in front
            gather(16, 100000);
            outbox_sent(&outboxes, &outbox, i % 16 / 4);
        }
    }
    cr_assert_eq(dropped_pongs, 999);
    uint32_t position = 0;
    uint32_t pongs = 0;
    uint32_t at = 0;
    uint32_t bytes_count = 0;
    for (uint32_t index = outbox.first; index != 0; position++) {
        const struct outbox_entry *entry = pool_at(&pool.pool, index);
        const struct payload *payload = payload_at(&memory.arena, entry->payload);
        bytes_count += payload->kind == PAYLOAD_BYTES;
        if (payload->opcode == PONG) {
            pongs++;
            at = position;
        }
        index = entry->next;
    }
    cr_assert_eq(pongs, 1);
    cr_assert(at >= bytes_count && at <= bytes_count + 32 + SEND_PIECES_MAX);
}

Test(hub_outbox, more_sent_than_was_in_flight_is_our_bug, .signal = SIGABRT) {
    message_put("a", 1, bounds(1000, OUTBOX_CLOSE));
    gather(16, 1000);
    outbox_sent(&outboxes, &outbox, 11);
}

// --- runs

static uint32_t gather_into(struct span *pieces) {
    return outbox_gather(&outboxes, &outbox, pieces, SEND_PIECES_MAX, GATHER_BYTES_MAX);
}

Test(hub_outbox, a_run_grows_while_it_waits_last) {
    struct span pieces[SEND_PIECES_MAX];
    run_put("aa");
    run_put("bbb");
    cr_assert_eq(outbox.queued_bytes, 5);
    cr_assert_eq(gather_into(pieces), 1);
    cr_assert(span_is(pieces[0], "aabbb"));
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 5), 2, "each message counts");
}

Test(hub_outbox, a_run_in_flight_does_not_grow) {
    struct span pieces[SEND_PIECES_MAX];
    run_put("aa");
    cr_assert_eq(gather_into(pieces), 1);
    run_put("bb");
    cr_assert(span_is(pieces[0], "aa"));
    cr_assert_eq(outbox.queued_bytes, 2);
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 1), 0); // short: it waits again, in front
    run_put("cc");
    cr_assert_eq(gather_into(pieces), 2);
    cr_assert(span_is(pieces[0], "a") && span_is(pieces[1], "bbcc"));
    cr_assert_eq(outbox_sent(&outboxes, &outbox, 5), 3);
}

Test(hub_outbox, nothing_but_a_run_grows_and_it_ends_with_its_block) {
    struct span pieces[SEND_PIECES_MAX];
    message_put("m", 0, bounds(UINT32_MAX, OUTBOX_CLOSE));
    run_put("aa");
    control_put(PING, "p");
    run_put("bb");
    bytes_put("raw");
    run_put("cc");
    cr_assert_eq(gather_into(pieces), 6);
    outbox_sent(&outboxes, &outbox, 10 + 2 + 3 + 2 + 3 + 2);
    static char large[3000];
    memset(large, 'x', sizeof large - 1);
    uint32_t wire_bytes = 0;
    for (uint32_t i = 0; i < 8; i++) {
        run_put(large + i * 100);
        wire_bytes += (uint32_t)strlen(large + i * 100);
    }
    cr_assert_eq(outbox.queued_bytes, wire_bytes);
    uint32_t count = gather_into(pieces);
    cr_assert(count > 1 && count <= 8);
    uint32_t gathered = 0;
    for (uint32_t i = 0; i < count; i++) {
        gathered += pieces[i].length;
    }
    cr_assert_eq(gathered, wire_bytes);
    cr_assert_eq(outbox_sent(&outboxes, &outbox, wire_bytes), 8);
}

Test(hub_outbox, a_dropped_run_counts_its_messages) {
    run_put("aa");
    run_put("bb");
    control_put(PING, "p");
    cr_assert_eq(outbox_drop_waiting(&outboxes, &outbox, true), 2);
    run_put("cc");
    cr_assert_eq(outbox_drop_all(&outboxes, &outbox), 1);
}

Test(hub_outbox, no_memory_and_no_entry_leave_nothing) {
    memory.arena.limit_bytes = memory.arena.used_bytes;
    cr_assert_null(outbox_run_room(&outboxes, &outbox, 10));
    memory.arena.limit_bytes = UINT64_MAX;
    pool.pool.limit = pool.pool.used;
    cr_assert_null(outbox_run_room(&outboxes, &outbox, 10));
    cr_assert(outbox_is_empty(&outbox));
    cr_assert_eq(memory.arena.used_bytes, 0);
}
