// Mail that finds no room, bodies in pieces, and memory that is refused.
#include "core/ws/reader.h"
#include "tests/unit/gateway/bus/bus_test.h"

static uint8_t *body_make(uint32_t length) {
    uint8_t *body = malloc(length + 1);
    cr_assert_not_null(body);
    for (uint32_t i = 0; i < length; i++) {
        body[i] = (uint8_t)(i * 31 + (i >> 12));
    }
    return body;
}

static bool send_body(struct bus_test *test, uint32_t source, uint32_t target, struct span name,
                      struct span body) {
    struct mail mail = {.kind = MAIL_CALL, .opcode = 2, .words = {1, 2, body.length, 4, 5, 6, 7}};
    return bus_send(bus_of(test, source), target, &mail, name, body);
}

static void expect_body(const struct bus_event *event, struct span name, struct span body) {
    expect(span_equal(event->name, name), "name");
    expect(event->body.length == body.length, "%u bytes of %u", event->body.length, body.length);
    expect(span_equal(event->body, body), "body of %u bytes", body.length);
    expect(event->mail.kind == MAIL_CALL && event->mail.opcode == 2 && event->mail.words[6] == 7 &&
               event->mail.words[0] == 1,
           "mail");
}

// Lets the receiver take what is there and the sender go on, until an event comes.
static void next_event(struct bus_test *test, uint32_t source, uint32_t target,
                       struct bus_event *event) {
    for (uint32_t round = 0; round < 1000; round++) {
        if (bus_next(bus_of(test, target), event)) {
            return;
        }
        bus_flush(bus_of(test, source));
        bus_flush(bus_of(test, target)); // its next turn
    }
    cr_assert(false, "no event comes");
}

Test(pieces, bodies_of_every_size_arrive_whole) {
    static const uint32_t lengths[] = {
        0,       1,       MAILBOX_PIECE_BYTES_MAX - 9, MAILBOX_PIECE_BYTES_MAX - 8,
        1 << 20, 4 << 20, MAILBOX_PIECE_BYTES_MAX - 7, MAILBOX_PIECE_BYTES_MAX * 2 - 8,
        9 << 20, 16 << 20};
    struct bus_test *test = bus_test_open();
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t *data = body_make(lengths[i]);
        struct span body = span_make(data, lengths[i]);
        struct span name = span_text("eightchr");
        cr_assert(send_body(test, 0, 1, name, body));
        struct bus_event event;
        next_event(test, 0, 1, &event);
        expect_body(&event, name, body);
        bool is_whole = lengths[i] + 8 <= MAILBOX_PIECE_BYTES_MAX;
        expect((event.block == 0) == is_whole, "%u bytes", lengths[i]);
        if (event.block != 0 && i % 2 == 0) { // the owner may keep it
            bus_block_take(bus_of(test, 1));
            uint32_t block = event.block;
            cr_assert_not(bus_next(bus_of(test, 1), &event));
            cr_assert_eq(memcmp(arena_at(&test->threads[1].arena, block) + WS_MESSAGE_HEADROOM,
                                data, lengths[i]),
                         0);
            arena_give(&test->threads[1].arena, block);
        }
        free(data);
    }
    bus_test_close(test);
}

Test(pieces, of_two_sources_do_not_mix) {
    struct bus_test *test = bus_test_open();
    enum { LENGTH = 1 << 20 };
    uint8_t *first = body_make(LENGTH);
    uint8_t *second = body_make(LENGTH);
    second[0] = 77;
    second[LENGTH - 1] = 78;
    struct span bodies[2] = {span_make(first, LENGTH), span_make(second, LENGTH)};
    cr_assert(send_body(test, 0, 2, span_text("a"), bodies[0]));
    cr_assert(send_body(test, 1, 2, span_text("b"), bodies[1]));
    cr_assert(send_body(test, 0, 2, span_text("c"), span_text("small")));
    bool seen[2] = {false};
    struct bus_event event;
    for (uint32_t i = 0; i < 2; i++) {
        next_event(test, 0, 2, &event);
        expect_body(&event, span_text(event.source == 0 ? "a" : "b"), bodies[event.source]);
        seen[event.source] = true;
    }
    cr_assert(seen[0] && seen[1]);
    next_event(test, 0, 2, &event);
    expect_body(&event, span_text("c"), span_text("small"));
    free(first);
    free(second);
    bus_test_close(test);
}

Test(backlog, keeps_the_order_when_a_mailbox_is_full) {
    struct bus_test *test = bus_test_open();
    enum { COUNT = 3 * MAILBOX_ENTRIES };
    for (uint32_t i = 0; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        cr_assert(send_body(test, 0, 1, span_empty(), span_text(text)));
        expect(bus_is_backed_up(bus_of(test, 0), 1) == (i >= MAILBOX_ENTRIES), "%u", i);
    }
    cr_assert(bus_has_backlog(bus_of(test, 0)));
    cr_assert_not(bus_is_backed_up(bus_of(test, 0), 2));
    cr_assert_eq(test->threads[0].counters.values[COUNTER_mailbox_full], COUNT - MAILBOX_ENTRIES);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct bus_event event;
        next_event(test, 0, 1, &event);
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        expect(span_is(event.body, text), "%u: %.*s", i, (int)event.body.length,
               (const char *)event.body.data);
    }
    bus_test_close(test);
}

Test(backlog, a_sleeper_is_rung_again_when_its_backlog_moves) {
    struct bus_test *test = bus_test_open();
    for (uint32_t i = 0; i < MAILBOX_ENTRIES + 1; i++) {
        cr_assert(send_body(test, 0, 1, span_empty(), span_empty()));
    }
    bus_flush(bus_of(test, 0));
    bus_test_turn(test, 1);
    cr_assert(bus_sleep(bus_of(test, 1)));
    bus_flush(bus_of(test, 0)); // the last one finds room now
    cr_assert_eq(test->threads[1].bell.rings, 1);
    bus_awake(bus_of(test, 1));
    bus_test_close(test);
}

Test(backlog, publishes_over_its_bound_are_dropped_whole_and_counted) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 1, 0, text);
    test->threads[0].bus.backlog_bytes_max = 1 << 20;
    uint8_t *data = body_make(100000);
    struct bus_publication publication = {
        .name = name, .body = span_make(data, 100000), .opcode = 2};
    uint32_t taken = 0;
    while (bus_publish(bus_of(test, 0), &publication)) {
        taken++;
        expect(taken < 200, "the backlog has no bound");
    }
    uint64_t held = test->threads[0].arena.used_bytes;
    cr_assert_leq(held, 1 << 20);
    cr_assert_geq(held, (1 << 20) - 200000);
    cr_assert_eq(test->threads[0].counters.values[COUNTER_dropped_mailbox], 1);
    bus_test_settle(test);
    cr_assert_eq(test->threads[1].counters.values[COUNTER_published], taken);
    free(data);
    bus_test_close(test);
}

Test(backlog, an_empty_one_takes_a_message_of_any_size) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 1, 0, text);
    test->threads[0].bus.backlog_bytes_max = 1 << 20;
    uint8_t *data = body_make(5 << 20);
    struct bus_publication publication = {
        .name = name, .body = span_make(data, 5 << 20), .opcode = 2};
    cr_assert(bus_publish(bus_of(test, 0), &publication));
    bus_test_settle(test);
    cr_assert_eq(test->threads[1].counters.values[COUNTER_published], 1);
    free(data);
    bus_test_close(test);
}

Test(backlog, a_worker_that_does_not_take_its_deliveries_costs_a_bounded_backlog) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 0, 0, text);
    test->threads[0].bus.backlog_bytes_max = 1 << 20;
    bus_join(bus_of(test, 1), name, true, 0);
    bus_test_settle(test);
    uint8_t *data = body_make(100000);
    uint32_t delivered = 0;
    enum { PUBLISHED = 200 };
    for (uint32_t i = 0; i < PUBLISHED; i++) {
        struct bus_publication publication = {
            .name = name, .body = span_make(data, 100000), .opcode = 2};
        cr_assert(bus_publish(bus_of(test, 0), &publication));
        bus_test_turn(test, 0); // worker 1 is stuck
        expect(test->threads[0].bus.backlogs[1].bytes <= 1 << 20, "%lu bytes",
               (unsigned long)test->threads[0].bus.backlogs[1].bytes);
    }
    uint64_t dropped = test->threads[0].counters.values[COUNTER_dropped_mailbox];
    cr_assert_gt(dropped, 0);
    bus_leave(bus_of(test, 1), name, true);
    bus_test_settle(test);
    for (const char *at = strstr(test->log, "1 deliver"); at != NULL;
         at = strstr(at + 1, "1 deliver")) {
        delivered++;
    }
    cr_assert_eq(delivered + dropped, PUBLISHED); // each is whole, or dropped and counted
    free(data);
    bus_test_close(test);
}

// --- memory

Test(memory, mail_that_finds_neither_room_nor_memory_is_refused) {
    struct bus_test *test = bus_test_open();
    for (uint32_t i = 0; i < MAILBOX_ENTRIES; i++) {
        cr_assert(send_body(test, 0, 1, span_empty(), span_empty()));
    }
    test->threads[0].arena.limit_bytes = 0;
    cr_assert_not(send_body(test, 0, 1, span_empty(), span_empty()));
    cr_assert_not(bus_has_backlog(bus_of(test, 0)));
    bus_test_settle(test);
    cr_assert(send_body(test, 0, 1, span_empty(), span_empty()));
    bus_test_close(test);
}

Test(memory, a_body_that_the_receiver_cannot_hold_is_skipped_whole) {
    struct bus_test *test = bus_test_open();
    uint8_t *data = body_make(1 << 20);
    test->threads[1].arena.limit_bytes = 1000;
    cr_assert(send_body(test, 0, 1, span_text("a"), span_make(data, 1 << 20)));
    cr_assert(send_body(test, 0, 1, span_text("b"), span_text("next")));
    struct bus_event event;
    next_event(test, 0, 1, &event);
    expect_body(&event, span_text("b"), span_text("next"));
    cr_assert_eq(test->threads[1].counters.values[COUNTER_dropped_mailbox], 1);
    free(data);
    bus_test_close(test);
}

Test(memory, a_publisher_whose_body_the_home_cannot_hold_is_told_so) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 1, 0, text);
    uint8_t *data = body_make(1 << 20);
    test->threads[1].arena.limit_bytes = 1000;
    struct bus_publication publication = {
        .name = name, .body = span_make(data, 1 << 20), .opcode = 2, .receipt_token = 8};
    cr_assert(bus_publish(bus_of(test, 0), &publication));
    bus_test_settle(test);
    cr_assert_str_eq(test->log, "0 receipt 8 0 refused\n");
    free(data);
    bus_test_close(test);
}

Test(memory, a_join_that_the_home_cannot_remember_is_answered_so) {
    for (int has_pool = 0; has_pool <= 1; has_pool++) {
        struct bus_test *test = bus_test_open();
        char text[32];
        struct span name = name_at(test, 1, 0, text);
        if (has_pool != 0) {
            test->threads[1].arena.limit_bytes = 0;
        } else {
            test->threads[1].homes.limit = 0;
        }
        bus_join(bus_of(test, 0), name, true, 3);
        bus_test_settle(test);
        cr_assert_str_eq(test->log, "0 joined 3 0\n");
        bus_test_publish(test, 0, name, "x", 4);
        bus_test_settle(test);
        cr_assert_str_eq(test->log, "0 joined 3 0\n0 receipt 4 0\n");
        test->threads[1].arena.limit_bytes = BUS_TEST_ARENA_BYTES;
        test->threads[1].homes.limit = BUS_TEST_CHANNELS;
        bus_join(bus_of(test, 0), name, true, 5); // the next one is fine
        bus_test_settle(test);
        cr_assert_not_null(strstr(test->log, "0 joined 5 1\n"));
        bus_leave(bus_of(test, 0), name, true);
        bus_test_close(test);
    }
}

// Worker 1 takes nothing, and worker 0 has no memory.
static struct bus_test *stuck_open(struct span *name, char text[32], bool has_memory) {
    struct bus_test *test = bus_test_open();
    *name = name_at(test, 1, 0, text);
    for (uint32_t i = 0; i < MAILBOX_ENTRIES; i++) {
        cr_assert(send_body(test, 0, 1, span_empty(), span_empty()));
    }
    test->threads[0].arena.limit_bytes = has_memory ? BUS_TEST_ARENA_BYTES : 0;
    return test;
}

Test(memory, a_leave_is_not_lost_for_want_of_it) {
    char text[32];
    struct span name;
    struct bus_test *test = bus_test_open();
    name = name_at(test, 1, 0, text);
    cr_assert(bus_join(bus_of(test, 0), name, true, 0));
    bus_test_settle(test);
    cr_assert_eq(test->threads[1].homes.used, 1);
    for (uint32_t i = 0; i < MAILBOX_ENTRIES; i++) {
        cr_assert(send_body(test, 0, 1, span_empty(), span_empty()));
    }
    test->threads[0].arena.limit_bytes = 0;
    bus_leave(bus_of(test, 0), name, true);
    cr_assert_eq(test->threads[0].arena.limit_bytes, 0);
    bus_test_settle(test);
    cr_assert_eq(test->threads[1].homes.used, 0);
    bus_test_close(test);
}

Test(memory, an_answer_of_the_home_is_not_lost_for_want_of_it) {
    char text[32];
    struct bus_test *test = bus_test_open();
    struct span name = name_at(test, 0, 0, text);
    cr_assert(bus_join(bus_of(test, 0), name, true, 0));
    bus_test_settle(test);
    cr_assert(bus_join(bus_of(test, 1), name, true, 7));
    bus_test_publish(test, 1, name, "x", 8);
    bus_flush(bus_of(test, 1));
    for (uint32_t i = 0; i < MAILBOX_ENTRIES; i++) {
        cr_assert(send_body(test, 0, 1, span_empty(), span_empty()));
    }
    test->threads[0].arena.limit_bytes = 0;
    struct bus_event event;
    while (bus_next(bus_of(test, 0), &event)) {
    }
    bus_test_settle(test);
    cr_assert_not_null(strstr(test->log, "1 joined 7 1\n"));
    cr_assert_not_null(strstr(test->log, "1 receipt 8 2\n"));
    test->threads[0].arena.limit_bytes = BUS_TEST_ARENA_BYTES;
    bus_leave(bus_of(test, 0), name, true);
    bus_leave(bus_of(test, 1), name, true);
    bus_test_close(test);
}

Test(memory, a_join_is_refused_to_its_caller) {
    char text[32];
    struct span name;
    struct bus_test *test = stuck_open(&name, text, false);
    cr_assert_not(bus_join(bus_of(test, 0), name, true, 3));
    bus_test_settle(test);
    cr_assert_null(strstr(test->log, "joined"));
    bus_test_close(test);
}

Test(backlog, over_its_bound_takes_no_joins) {
    char text[32];
    struct span name;
    struct bus_test *test = stuck_open(&name, text, true);
    test->threads[0].bus.backlog_bytes_max = 4096;
    uint32_t joins = 0;
    while (bus_join(bus_of(test, 0), name, joins == 0, 0)) {
        joins++;
        expect(joins < 100, "joins have no bound");
    }
    cr_assert_gt(joins, 5);
    for (uint32_t i = 0; i < joins; i++) {
        bus_leave(bus_of(test, 0), name, i + 1 == joins); // these are owed
    }
    bus_test_close(test);
}

Test(backlog, half_full_says_so_until_a_quarter_is_left) {
    char text[32];
    struct span name;
    struct bus_test *test = stuck_open(&name, text, true);
    test->threads[0].bus.backlog_bytes_max = 1 << 20;
    uint32_t sent = 0;
    while (!bus_is_backed_up(bus_of(test, 2), 0)) { // as the third thread sees it
        uint64_t waiting = test->threads[0].bus.backlogs[1].bytes;
        expect(waiting <= 1 << 19, "%lu bytes wait, and nobody is told", (unsigned long)waiting);
        cr_assert(send_body(test, 0, 1, span_empty(), span_make(text, 0)));
        bus_flush(bus_of(test, 0));
        sent++;
    }
    cr_assert_gt(test->threads[0].bus.backlogs[1].bytes, 1 << 19);
    struct bus_event event;
    while (bus_is_backed_up(bus_of(test, 2), 0)) {
        cr_assert_gt(test->threads[0].bus.backlogs[1].bytes, 1 << 18);
        cr_assert(bus_next(bus_of(test, 1), &event));
        bus_flush(bus_of(test, 0));
    }
    cr_assert_leq(test->threads[0].bus.backlogs[1].bytes, 1 << 18);
    bus_test_close(test);
}

Test(turn, a_home_s_work_between_two_flushes_is_bounded) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 1, 0, text);
    for (uint32_t i = 0; i < 600; i++) {
        bus_test_publish(test, 0, name, "x", 0);
        cr_assert(send_body(test, 0, 1, span_empty(), span_empty())); // an event after each
    }
    struct bus_event event;
    uint32_t events = 0;
    while (bus_next(bus_of(test, 1), &event)) {
        events++;
    }
    cr_assert_geq(events, 250);
    cr_assert_leq(events, 260);
    bus_test_close(test);
}
