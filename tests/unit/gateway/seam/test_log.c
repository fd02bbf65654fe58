// The ring between two threads, what is dropped and what is suppressed.
#include "gateway/seam/log.h"

#include "core/base/limits.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

static struct log *open_log(uint32_t ring_bytes, enum log_level level) {
    struct log *log = log_open(
        &(struct log_options){.name = "t", .ring_bytes = ring_bytes, .level = (uint8_t)level});
    cr_assert(log != NULL);
    log_turn(log, 1000, 0);
    return log;
}

// Takes everything; returns the number of lines and checks that each is whole.
static uint32_t drain(struct log *log) {
    uint32_t lines = 0;
    for (struct span taken = log_take(log); taken.length > 0; taken = log_take(log)) {
        expect(taken.data[taken.length - 1] == '\n', "half a line");
        expect(span_find(taken, 0) < 0, "fill inside");
        for (uint32_t i = 0; i < taken.length; i++) {
            lines += taken.data[i] == '\n';
        }
        log_consume(log, taken.length);
    }
    return lines;
}

static bool took(struct log *log, const char *expected) {
    struct span taken = log_take(log);
    bool is_same = span_is(taken, expected);
    if (!is_same) {
        fprintf(stderr, "took: %.*s", (int)taken.length, (const char *)taken.data);
    }
    log_consume(log, taken.length);
    return is_same && log_take(log).length == 0;
}

Test(log, lines_come_out_as_they_went_in) {
    struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_INFO);
    cr_assert(log_take(log).length == 0);
    log_event(log, LOG_LEVEL_INFO, "listening", log_text("address", "127.0.0.1:80"));
    log_event(log, LOG_LEVEL_WARN, "odd");
    cr_assert(took(log, "1970-01-01T00:00:00.000Z info t listening address=127.0.0.1:80\n"
                        "1970-01-01T00:00:00.000Z warn t odd\n"));
    log_close(&log);
    cr_assert(log == NULL);
    log_close(&log);
}

Test(log, lower_levels_cost_nothing_and_may_be_set) {
    struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_WARN);
    log_event(log, LOG_LEVEL_INFO, "a");
    log_write(log, LOG_LEVEL_DEBUG, "a", NULL, 0);
    cr_assert(drain(log) == 0);
    log_level_set(log, LOG_LEVEL_DEBUG);
    cr_assert(log_is_on(log, LOG_LEVEL_DEBUG));
    log_event(log, LOG_LEVEL_DEBUG, "a");
    cr_assert(drain(log) == 1);
    log_level_set(log, LOG_LEVEL_ERROR);
    log_event(log, LOG_LEVEL_WARN, "a");
    log_event(log, LOG_LEVEL_ERROR, "a");
    cr_assert(drain(log) == 1);
    log_close(&log);
}

Test(log, a_short_write_takes_a_part) {
    struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_INFO);
    log_event(log, LOG_LEVEL_INFO, "abc");
    struct span taken = log_take(log);
    uint32_t length = taken.length;
    log_consume(log, length - 4);
    taken = log_take(log);
    cr_assert(span_is(taken, "abc\n"));
    log_consume(log, 4);
    cr_assert(log_take(log).length == 0);
    log_close(&log);
}

Test(log, more_than_was_taken_cannot_be_consumed, .signal = SIGABRT) {
    struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_INFO);
    log_consume(log, 1);
}

// Debug lines of `length` bytes each, newline included, so that the rate does not matter.
static void write_line(struct log *log, uint32_t length) {
    static const char head[] = "1970-01-01T00:00:00.000Z debug t e f=";
    static uint8_t text[LOG_LINE_BYTES_MAX];
    memset(text, 'x', sizeof(text));
    uint32_t value = length - (uint32_t)sizeof(head); // its zero stands for the newline
    log_event(log, LOG_LEVEL_DEBUG, "e", log_span("f", span_make(text, value)));
}

Test(log, the_ring_holds_its_bytes_exactly) {
    for (uint32_t over = 0; over <= 2; over++) {
        struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_DEBUG);
        for (uint32_t i = 0; i < 7; i++) {
            write_line(log, 1024);
        }
        write_line(log, 1023 + over); // one byte free, none free, one too many
        expect(log_dropped_count(log) == (over == 2), "over %u", over);
        expect(drain(log) == (over == 2 ? 7 : 8), "over %u", over);
        log_close(&log);
    }
}

Test(log, a_line_that_does_not_fit_before_the_end_begins_at_the_start) {
    for (uint32_t first = 900; first < 1100; first++) {
        struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_DEBUG);
        for (uint32_t i = 0; i < 40; i++) { // several rounds, cut at every place
            write_line(log, first + i);
            write_line(log, 2000);
            expect(drain(log) == 2, "first %u, round %u", first, i);
        }
        expect(log_dropped_count(log) == 0, "dropped");
        log_close(&log);
    }
}

Test(log, what_is_dropped_is_counted_and_said) {
    struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_DEBUG);
    for (uint32_t i = 0; i < 11; i++) {
        write_line(log, 1024);
    }
    cr_assert(log_dropped_count(log) == 3);
    log_turn(log, 2000, 0); // still full: the report waits, and is not counted itself
    cr_assert(log_dropped_count(log) == 3);
    cr_assert(drain(log) == 8);
    log_turn(log, 2999, 0);
    cr_assert(log_take(log).length == 0);
    log_turn(log, 3000, 0);
    cr_assert(took(log, "1970-01-01T00:00:00.000Z warn t log_dropped count=3\n"));
    log_turn(log, 4000, 0);
    cr_assert(log_take(log).length == 0);
    log_close(&log);
}

Test(log, a_storm_is_suppressed_and_said) {
    struct log *log = open_log(1 << 20, LOG_LEVEL_INFO);
    for (uint32_t i = 0; i < 1000; i++) {
        log_event(log, LOG_LEVEL_WARN, "storm", log_number("i", i));
    }
    log_event(log, LOG_LEVEL_WARN, "other"); // has its own rate
    cr_assert(drain(log) == 2 * LOG_LINES_PER_S + 1);
    log_turn(log, 1500, 0); // half a second's lines come back
    for (uint32_t i = 0; i < 1000; i++) {
        log_event(log, LOG_LEVEL_WARN, "storm");
    }
    cr_assert(drain(log) == LOG_LINES_PER_S / 2);
    log_turn(log, 2000, 0);
    cr_assert(took(log, "1970-01-01T00:00:00.000Z warn t log_suppressed of=storm count=1950\n"));
    log_turn(log, 100000, 0);
    cr_assert(log_take(log).length == 0);
    for (uint32_t i = 0; i < 1000; i++) {
        log_event(log, LOG_LEVEL_WARN, "storm");
    }
    cr_assert(drain(log) == 2 * LOG_LINES_PER_S); // the bucket is full again, and not fuller
    log_close(&log);
}

Test(log, each_storm_is_said_and_said_later_when_the_ring_is_full) {
    struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_DEBUG);
    for (uint32_t i = 0; i < 2 * LOG_LINES_PER_S + 3; i++) {
        log_event(log, LOG_LEVEL_WARN, "one");
        log_event(log, LOG_LEVEL_WARN, "two");
        drain(log);
    }
    for (uint32_t i = 0; i < 400; i++) {
        write_line(log, 40); // shorter than any report
    }
    log_turn(log, 2000, 0);
    cr_assert(drain(log) == 400 - log_dropped_count(log) && log_dropped_count(log) > 0);
    log_turn(log, 3000, 0);
    struct span taken = log_take(log);
    cr_assert(memmem(taken.data, taken.length, "of=one count=3\n", 15) != NULL);
    cr_assert(memmem(taken.data, taken.length, "of=two count=3\n", 15) != NULL);
    cr_assert(memmem(taken.data, taken.length, " log_dropped count=", 19) != NULL);
    cr_assert(drain(log) == 3);
    log_turn(log, 4000, 0);
    cr_assert(drain(log) == 0);
    log_close(&log);
}

Test(log, the_rate_at_its_edge) {
    struct log *log = open_log(1 << 20, LOG_LEVEL_INFO);
    for (uint32_t i = 0; i < 2 * LOG_LINES_PER_S; i++) {
        log_event(log, LOG_LEVEL_INFO, "e");
    }
    drain(log);
    log_turn(log, 1000 + 1000 / LOG_LINES_PER_S - 1, 0);
    log_event(log, LOG_LEVEL_INFO, "e");
    cr_assert(drain(log) == 0);
    log_turn(log, 1000 + 1000 / LOG_LINES_PER_S, 0);
    log_event(log, LOG_LEVEL_INFO, "e");
    log_event(log, LOG_LEVEL_INFO, "e");
    cr_assert(drain(log) == 1);
    log_close(&log);
}

Test(log, more_events_than_the_table_share_the_rest) {
    static char names[2 * LOG_EVENTS_MAX][16];
    struct log *log = open_log(1 << 20, LOG_LEVEL_INFO);
    for (uint32_t i = 0; i < 2 * LOG_EVENTS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "event_%u", i);
        log_write(log, LOG_LEVEL_INFO, names[i], NULL, 0);
    }
    cr_assert(drain(log) >= LOG_EVENTS_MAX);
    cr_assert(log_dropped_count(log) == 0);
    log_close(&log);
}

Test(log, the_same_event_named_twice_has_one_rate) {
    char copy[] = "event";
    struct log *log = open_log(1 << 20, LOG_LEVEL_INFO);
    for (uint32_t i = 0; i < 4 * LOG_LINES_PER_S; i++) {
        log_write(log, LOG_LEVEL_INFO, i % 2 == 0 ? "event" : copy, NULL, 0);
    }
    cr_assert(drain(log) == 2 * LOG_LINES_PER_S);
    log_close(&log);
}

enum { RACE_LINES = 100000 };

static void *produce(void *argument) {
    struct log *log = argument;
    for (uint32_t i = 0; i < RACE_LINES; i++) {
        log_turn(log, 1000 + i, i); // a millisecond each: ten debug lines come back with it
        log_event(log, LOG_LEVEL_DEBUG, "race", log_number("i", i),
                  log_text("pad", i % 3 == 0 ? "short" : "quite a bit longer than the others"));
    }
    return NULL;
}

Test(log, two_threads_lose_nothing_uncounted) {
    struct log *log = open_log(LOG_RING_BYTES_MIN, LOG_LEVEL_DEBUG);
    pthread_t producer;
    cr_assert(pthread_create(&producer, NULL, produce, log) == 0);
    uint64_t lines = 0;
    uint64_t seen = 0;
    bool is_over = false;
    while (!is_over) {
        is_over = pthread_tryjoin_np(producer, NULL) == 0;
        for (struct span taken = log_take(log); taken.length > 0; taken = log_take(log)) {
            for (struct span rest = taken; rest.length > 0;) {
                uint32_t end = (uint32_t)span_find(rest, '\n') + 1;
                bool is_race = memmem(rest.data, end, " race i=", 8) != NULL;
                bool is_report = memmem(rest.data, end, " log_dropped count=", 19) != NULL;
                expect(is_race != is_report, "%.*s", (int)end, (const char *)rest.data);
                lines += is_race;
                rest = span_from(rest, end);
            }
            seen += taken.length;
            log_consume(log, taken.length);
        }
    }
    cr_assert(lines + log_dropped_count(log) == RACE_LINES);
    cr_assert(lines > 0 && seen > LOG_RING_BYTES_MIN);
    log_close(&log);
}
