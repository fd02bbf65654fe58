// Channels across threads: interest, order, receipts.
#include "tests/unit/gateway/bus/bus_test.h"

Test(bus, every_thread_agrees_on_the_home_and_homes_are_spread) {
    struct bus_test *test = bus_test_open();
    uint32_t count[BUS_TEST_WORKERS] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "room.%u", i);
        uint32_t home = bus_home(bus_of(test, 0), span_text(text));
        expect(home < BUS_TEST_WORKERS, "home %u", home);
        expect(bus_home(bus_of(test, 1), span_text(text)) == home, "%s", text);
        expect(bus_home(bus_of(test, BUS_TEST_CONTROL), span_text(text)) == home, "%s", text);
        count[home]++;
    }
    cr_assert_gt(count[0], 300);
    cr_assert_gt(count[1], 300);
    bus_test_close(test);
}

Test(bus, names_that_differ_in_their_last_letter_are_spread) {
    struct bus_test *test = bus_test_open();
    uint32_t count = 0;
    for (char letter = 'a'; letter <= 'z'; letter++) {
        char text[] = {'c', 'h', 'a', 't', '.', letter, 0};
        count += bus_home(bus_of(test, 0), span_text(text));
    }
    cr_assert_geq(count, 7);
    cr_assert_leq(count, 19);
    bus_test_close(test);
}

Test(bus, a_join_is_answered_once_the_home_passes_messages_on) {
    struct bus_test *test = bus_test_open();
    char text[32];
    for (uint32_t home = 0; home < BUS_TEST_WORKERS; home++) {
        struct span name = name_at(test, home, 0, text);
        bus_test_forget(test);
        bus_join(bus_of(test, 1), name, true, 77);
        bus_test_publish(test, 1, name, "behind it", 0);
        bus_test_settle(test);
        cr_assert_str_eq(test->log, "1 joined 77 1\n1 deliver 1 behind it\n");
        bus_test_forget(test);
        bus_join(bus_of(test, 0), name, true, 0); // wants no answer
        bus_test_settle(test);
        cr_assert_str_eq(test->log, "");
        bus_leave(bus_of(test, 0), name, true);
        bus_leave(bus_of(test, 1), name, true);
        bus_test_settle(test);
    }
    bus_test_close(test);
}

Test(bus, only_workers_with_subscribers_get_a_message_and_each_once) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 0, 0, text);
    bus_test_publish(test, 1, name, "too early", 0);
    bus_test_settle(test);
    bus_join(bus_of(test, 1), name, true, 0);
    bus_join(bus_of(test, 1), name, false, 0);
    bus_test_settle(test);
    cr_assert_str_eq(test->log, "");
    bus_test_publish(test, 0, name, "one", 0);
    bus_test_settle(test);
    bus_test_publish(test, BUS_TEST_CONTROL, name, "two", 0);
    bus_test_settle(test);
    cr_assert_str_eq(test->log, "1 deliver 1 one\n1 deliver 2 two\n");
    bus_leave(bus_of(test, 1), name, false);
    bus_test_publish(test, 1, name, "three", 0);
    bus_test_settle(test);
    bus_leave(bus_of(test, 1), name, true);
    bus_test_publish(test, 1, name, "too late", 0);
    bus_test_settle(test);
    cr_assert_str_eq(test->log, "1 deliver 1 one\n1 deliver 2 two\n1 deliver 3 three\n");
    cr_assert_eq(test->threads[0].counters.values[COUNTER_published], 5);
    bus_test_close(test);
}

Test(bus, every_worker_sees_one_order_and_each_publishers_own) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 1, 0, text);
    bus_join(bus_of(test, 0), name, true, 0);
    bus_join(bus_of(test, 1), name, true, 0);
    bus_test_settle(test);
    char seen[2][8192] = {"", ""};
    uint64_t state = 1;
    uint32_t sent[3] = {0};
    for (uint32_t step = 0; step < 3000; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint32_t thread = (uint32_t)(state >> 60) % 3;
        if ((state >> 40 & 1) != 0 && sent[thread] < 300) {
            char body[16];
            snprintf(body, sizeof body, "%c%03u", (char)('a' + thread), sent[thread]++);
            bus_test_publish(test, thread, name, body, 0);
        } else {
            bus_test_turn(test, thread);
        }
    }
    bus_test_settle(test);
    uint32_t offsets[2] = {0};
    for (char *line = strtok(test->log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned thread;
        unsigned offset;
        char body[16];
        cr_assert_eq(sscanf(line, "%u deliver %u %15s", &thread, &offset, body), 3);
        expect(offset == ++offsets[thread], "offset %u on %u", offset, thread);
        strcat(seen[thread], body);
    }
    cr_assert_eq(offsets[0], sent[0] + sent[1] + sent[2]);
    cr_assert_str_eq(seen[0], seen[1]);
    uint32_t next[3] = {0};
    for (const char *at = seen[0]; *at != 0; at += 4) {
        uint32_t publisher = (uint32_t)(*at - 'a');
        char wanted[8];
        snprintf(wanted, sizeof wanted, "%c%03u", *at, next[publisher]++);
        expect(memcmp(at, wanted, 4) == 0, "%.4s instead of %s", at, wanted);
    }
    bus_leave(bus_of(test, 0), name, true);
    bus_leave(bus_of(test, 1), name, true);
    bus_test_close(test);
}

Test(bus, except_travels_to_the_publishers_worker_alone) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 0, 0, text);
    bus_join(bus_of(test, 0), name, true, 0);
    bus_join(bus_of(test, 1), name, true, 0);
    struct bus_publication publication = {
        .name = name, .body = span_text("x"), .opcode = 1, .except = 42};
    cr_assert(bus_publish(bus_of(test, 1), &publication));
    bus_test_settle(test);
    cr_assert_not_null(strstr(test->log, "1 deliver 1 x except\n"));
    cr_assert_not_null(strstr(test->log, "0 deliver 1 x\n"));
    bus_leave(bus_of(test, 0), name, true);
    bus_leave(bus_of(test, 1), name, true);
    bus_test_close(test);
}

Test(bus, a_receipt_says_how_many_subscribers_there_are) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 0, 0, text);
    bus_test_publish(test, BUS_TEST_CONTROL, name, "x", 5);
    bus_test_settle(test);
    cr_assert_str_eq(test->log, "2 receipt 5 0\n");
    bus_join(bus_of(test, 0), name, true, 0);
    bus_join(bus_of(test, 1), name, true, 0);
    bus_join(bus_of(test, 1), name, false, 0);
    bus_test_settle(test);
    bus_test_forget(test);
    bus_test_publish(test, BUS_TEST_CONTROL, name, "x", 6);
    bus_test_settle(test);
    cr_assert_not_null(strstr(test->log, "2 receipt 6 3\n"));
    bus_leave(bus_of(test, 0), name, true);
    bus_leave(bus_of(test, 1), name, false);
    bus_leave(bus_of(test, 1), name, true);
    bus_test_close(test);
}

Test(bus, a_channel_that_begins_anew_has_another_epoch) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 0, 0, text);
    uint64_t epochs[3];
    for (uint32_t life = 0; life < 3; life++) {
        bus_join(bus_of(test, 0), name, true, 0);
        bus_test_turn(test, 0);
        bus_test_publish(test, 0, name, "x", 0);
        struct bus_event event;
        cr_assert(bus_next(bus_of(test, 0), &event));
        cr_assert_eq(event.mail.words[3], 1);
        epochs[life] = event.mail.words[1];
        for (uint32_t before = 0; before < life; before++) {
            cr_assert_neq(epochs[before], epochs[life]);
        }
        bus_leave(bus_of(test, 0), name, true);
        bus_test_turn(test, 0);
    }
    bus_test_close(test);
}

// Joins and leaves at random against counts kept here: what the home knows is exact.
Test(bus, the_homes_counts_are_exact) {
    enum { CHANNELS = 20 };
    struct bus_test *test = bus_test_open();
    static char texts[CHANNELS][32];
    struct span names[CHANNELS];
    uint32_t counts[CHANNELS][BUS_TEST_WORKERS] = {0};
    for (uint32_t i = 0; i < CHANNELS; i++) {
        names[i] = name_at(test, i % 2, i, texts[i]);
    }
    uint64_t state = 99;
    for (uint32_t step = 0; step < 5000; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint32_t channel = (uint32_t)(state >> 40) % CHANNELS;
        uint32_t worker = (uint32_t)(state >> 50) % BUS_TEST_WORKERS;
        uint32_t *count = &counts[channel][worker];
        if ((state >> 60) < 8) {
            bus_join(bus_of(test, worker), names[channel], *count == 0, 0);
            ++*count;
        } else if (*count > 0) {
            --*count;
            bus_leave(bus_of(test, worker), names[channel], *count == 0);
        }
        if (step % 10 == 0) {
            bus_test_turn(test, worker);
        }
        if (step % 250 == 0) {
            bus_test_settle(test);
            bus_test_forget(test);
            bus_test_publish(test, BUS_TEST_CONTROL, names[channel], "x", 1);
            bus_test_settle(test);
            char line[64];
            snprintf(line, sizeof line, "2 receipt 1 %u\n",
                     counts[channel][0] + counts[channel][1]);
            expect(strstr(test->log, line) != NULL, "wanted %s, got %s", line, test->log);
            for (uint32_t w = 0; w < BUS_TEST_WORKERS; w++) {
                snprintf(line, sizeof line, "%u deliver ", w);
                expect((strstr(test->log, line) != NULL) == (counts[channel][w] > 0), "%s: %s",
                       line, test->log);
            }
        }
    }
    for (uint32_t i = 0; i < CHANNELS * BUS_TEST_WORKERS; i++) {
        while (counts[i / 2][i % 2] > 0) {
            counts[i / 2][i % 2]--;
            bus_leave(bus_of(test, i % 2), names[i / 2], counts[i / 2][i % 2] == 0);
        }
    }
    bus_test_close(test);
}

Test(bus, calls_and_answers_are_carried) {
    struct bus_test *test = bus_test_open();
    struct mail call = {.kind = MAIL_CALL, .words = {9, 0, 4}};
    cr_assert(bus_send(bus_of(test, BUS_TEST_CONTROL), 1, &call, span_empty(), span_text("call")));
    bus_test_turn(test, 1);
    struct mail answer = {.kind = MAIL_ANSWER, .words = {9, 0, 6}};
    cr_assert(
        bus_send(bus_of(test, 1), BUS_TEST_CONTROL, &answer, span_empty(), span_text("answer")));
    bus_test_turn(test, BUS_TEST_CONTROL);
    char lines[64];
    snprintf(lines, sizeof lines, "1 kind %u from 2 call\n2 kind %u from 1 answer\n", MAIL_CALL,
             MAIL_ANSWER);
    cr_assert_str_eq(test->log, lines);
    bus_test_close(test);
}

// --- sleeping

Test(bus, one_with_mail_may_not_sleep) {
    struct bus_test *test = bus_test_open();
    struct mail mail = {.kind = MAIL_CALL};
    cr_assert(bus_sleep(bus_of(test, 1)));
    bus_awake(bus_of(test, 1));
    cr_assert(bus_send(bus_of(test, 0), 1, &mail, span_empty(), span_empty()));
    cr_assert_not(bus_sleep(bus_of(test, 1)));
    cr_assert_eq(test->shared->endpoints[1].is_asleep, 0);
    struct bus_event event;
    cr_assert(bus_next(bus_of(test, 1), &event));
    cr_assert_not(bus_sleep(bus_of(test, 1))); // it is lent still
    cr_assert_not(bus_next(bus_of(test, 1), &event));
    cr_assert(bus_sleep(bus_of(test, 1)));
    bus_test_close(test);
}

Test(bus, a_doorbell_is_rung_once_for_a_batch_and_only_for_one_that_sleeps) {
    struct bus_test *test = bus_test_open();
    struct mail mail = {.kind = MAIL_CALL};
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(bus_send(bus_of(test, 0), 1, &mail, span_empty(), span_empty()));
    }
    bus_flush(bus_of(test, 0)); // it is awake: it will look
    cr_assert_eq(test->threads[1].bell.rings, 0);
    bus_test_turn(test, 1);
    cr_assert(bus_sleep(bus_of(test, 1)));
    cr_assert(bus_sleep(bus_of(test, BUS_TEST_CONTROL)));
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(bus_send(bus_of(test, 0), 1, &mail, span_empty(), span_empty()));
    }
    cr_assert_eq(test->threads[1].bell.rings, 0);
    bus_flush(bus_of(test, 0));
    bus_flush(bus_of(test, 0));
    cr_assert_eq(test->threads[1].bell.rings, 1);
    cr_assert_eq(test->threads[0].bell.rings, 0);
    cr_assert_eq(test->threads[BUS_TEST_CONTROL].bell.rings, 0); // nothing was for it
    cr_assert_eq(test->threads[0].counters.values[COUNTER_doorbells_sent], 1);
    bus_awake(bus_of(test, 1));
    bus_test_close(test);
}

// A home that many publish to has a turn that ends, however fast they are.
Test(bus, the_homes_work_of_one_call_is_bounded) {
    struct bus_test *test = bus_test_open();
    char text[32];
    struct span name = name_at(test, 0, 0, text);
    for (uint32_t i = 0; i < MAILBOX_ENTRIES; i++) {
        bus_test_publish(test, 1, name, "x", 0);
    }
    struct bus_event event;
    cr_assert_not(bus_next(bus_of(test, 0), &event));
    uint64_t first = test->threads[0].counters.values[COUNTER_published];
    cr_assert_gt(first, 0);
    cr_assert_lt(first, MAILBOX_ENTRIES);
    cr_assert_not(bus_sleep(bus_of(test, 0))); // the rest is the next turn's
    bus_test_settle(test);
    cr_assert_eq(test->threads[0].counters.values[COUNTER_published], MAILBOX_ENTRIES);
    bus_test_close(test);
}
