// Spans, checks, traces and random numbers: the small things.
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/prng.h"
#include "core/base/span.h"
#include "core/base/trace.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

Test(span, cuts) {
    struct span all = span_text("hello");
    cr_assert_eq(all.length, 5);
    cr_assert(span_is(span_from(all, 0), "hello"));
    cr_assert(span_is(span_from(all, 2), "llo"));
    cr_assert_eq(span_from(all, 5).length, 0);
    cr_assert_null(span_from(all, 5).data);
    cr_assert(span_is(span_first(all, 2), "he"));
    cr_assert_eq(span_empty().length, 0);
}

Test(span, equality) {
    cr_assert(span_equal(span_empty(), span_empty()));
    cr_assert(span_equal(span_empty(), span_make("x", 0)));
    cr_assert(span_equal(span_text("ab"), span_text("ab")));
    cr_assert_not(span_equal(span_text("ab"), span_text("aB")));
    cr_assert_not(span_equal(span_text("ab"), span_text("abc")));
    cr_assert_not(span_is(span_make("ab\0", 3), "ab"));
}

// All pairs of bytes: equal without case exactly when equal, or the two cases of an ASCII letter.
Test(span, case_is_ascii_only) {
    for (uint32_t a = 0; a < 256; a++) {
        for (uint32_t b = 0; b < 256; b++) {
            uint8_t one = (uint8_t)a, two = (uint8_t)b;
            bool is_letter = (a | 0x20) >= 'a' && (a | 0x20) <= 'z' && a < 128;
            bool expected = a == b || (is_letter && (a ^ b) == 0x20);
            expect(span_equal_nocase(span_make(&one, 1), span_make(&two, 1)) == expected,
                   "%02x %02x", a, b);
        }
    }
    cr_assert(span_is_nocase(span_text("Sec-WebSocket-KEY"), "sec-websocket-key"));
    cr_assert_not(span_is_nocase(span_text("upgrade"), "upgrades"));
    cr_assert(span_is_nocase(span_empty(), ""));
}

Test(span, finds_the_first) {
    cr_assert_eq(span_find(span_empty(), 'x'), -1);
    cr_assert_eq(span_find(span_text("abcabc"), 'c'), 2);
    cr_assert_eq(span_find(span_text("abcabc"), 'd'), -1);
    cr_assert_eq(span_find(span_make("abc", 2), 'c'), -1);
    cr_assert_eq(span_find(span_make("a\0b", 3), 0), 1);
    cr_assert_eq(span_find(span_make("\xff", 1), 0xff), 0);
}

Test(check, true_is_silent_and_evaluated_once) {
    int count = 0;
    check(++count == 1);
    cr_assert_eq(count, 1);
}

Test(check, false_ends_the_process, .signal = SIGABRT) {
    check(1 + 1 == 3);
}

// The line goes to standard error, whatever its length.
static void assert_text(const char *condition, const char *expected) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        check_failed(condition, "core/x.c", 1234567);
    }
    close(ends[1]);
    char text[1024] = {0};
    ssize_t length = read(ends[0], text, sizeof(text) - 1);
    cr_assert_geq(length, 0);
    close(ends[0]);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert_eq(strncmp(text, expected, strlen(expected)), 0, "%s", text);
    cr_assert_leq(length, 512);
}

Test(check, says_what_and_where) {
    assert_text("a < b", "check failed: a < b at core/x.c:1234567\n");
    char *condition = malloc(2000);
    cr_assert_not_null(condition);
    memset(condition, 'z', 1999);
    condition[1999] = '\0';
    assert_text(condition, "check failed: zzzz");
    free(condition);
}

// The reference implementation's output for the state 1, 2, 3, 4.
Test(prng, known_sequence) {
    struct prng prng = {.state = {1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(prng_next(&prng), expected[i]);
    }
}

// SplitMix64 from the seed 0, as published.
Test(prng, seeds_are_expanded) {
    struct prng prng;
    prng_init(&prng, 0);
    cr_assert_eq(prng.state[0], 0xe220a8397b1dcdaf);
    cr_assert_eq(prng.state[1], 0x6e789e6aa1b965f4);
    cr_assert_eq(prng.state[2], 0x06c45d188009454f);
    cr_assert_eq(prng.state[3], 0xf88bb8a8724c81ec);
}

Test(prng, below_its_bound_and_even) {
    struct prng prng;
    prng_init(&prng, 1);
    uint32_t counts[6] = {0};
    for (uint32_t i = 0; i < 60000; i++) {
        uint32_t value = prng_below(&prng, 6);
        expect(value < 6, "%u", value);
        counts[value]++;
    }
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%u", counts[i]);
    }
    // 2^32 inputs for 3 * 2^30 results: without rejection every third would come twice as often.
    uint32_t thirds = 0;
    for (uint32_t i = 0; i < 30000; i++) {
        thirds += prng_below(&prng, 0xc0000000) % 3 == 0;
    }
    cr_assert(thirds > 9500 && thirds < 10500, "%u", thirds);
    cr_assert_eq(prng_below(&prng, 1), 0);
}

Test(prng, no_bound_is_our_bug, .signal = SIGABRT) {
    struct prng prng;
    prng_init(&prng, 1);
    cr_assert_eq(prng_below(&prng, 0), 0);
}

Test(trace, keeps_the_newest) {
    static struct trace trace;
    for (uint32_t i = 0; i < TRACE_RECORDS + 10; i++) {
        trace_add(&trace, 1000 + i, TRACE_IO, i, 2, -3);
    }
    cr_assert_eq(trace.count, TRACE_RECORDS + 10);
    cr_assert_eq(trace.records[9].sequence, TRACE_RECORDS + 9);
    cr_assert_eq(trace.records[9].a, TRACE_RECORDS + 9);
    cr_assert_eq(trace.records[10].sequence, 10, "the oldest");
    cr_assert_eq(trace.records[10].now_ms, 1010);
    cr_assert_eq(trace.records[10].c, -3);
    cr_assert_eq(sizeof(struct trace_record), 32);
}

Test(span, a_list_is_cut_at_n_minus_1_n_and_n_plus_1) {
    static const struct {
        uint32_t bytes_max, count, last, bytes;
    } rows[] = {{4, 2, 1, 4}, {5, 2, 2, 5}, {6, 3, 1, 6}, {7, 3, 2, 7}, {8, 3, 2, 7}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span spans[] = {span_text("abc"), span_text("de"), span_text("fg")};
        uint32_t count = 3;
        cr_assert_eq(spans_cut(spans, &count, rows[i].bytes_max), rows[i].bytes, "row %u", i);
        cr_assert_eq(count, rows[i].count, "row %u", i);
        cr_assert_eq(spans[count - 1].length, rows[i].last, "row %u", i);
    }
}
