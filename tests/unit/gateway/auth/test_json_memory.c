// A document's memory is taken before it is read: jansson never meets a refusal.
#include "gateway/auth/json_memory.h"
#include "tests/unit/core/conn/conn_test.h"

#include "core/base/prng.h"

enum { TEXT_BYTES = 1 << 16 };

static struct conn_test *arena_open(void) {
    struct conn_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    conn_test_init(test, CONN_TEST_NOW_US);
    json_memory_init();
    json_memory_set(&test->arena);
    return test;
}

// Reads it; a refusal inside would end the test.
static bool reads(struct conn_test *test, struct span text) {
    struct json_document document;
    json_document_open(&document, text, JSON_ALLOW_NUL);
    bool is_read = document.root != NULL;
    cr_assert(!document.is_short);
    json_document_close(&document);
    cr_assert_eq(test->arena.used_bytes, 0u);
    return is_read;
}

// `open` count times, `middle`, `close` count times.
static uint32_t repeat(char *text, const char *const parts[3], uint32_t count) {
    uint32_t length = 0;
    for (uint32_t part = 0; part < 3; part++) {
        uint32_t part_bytes = (uint32_t)strlen(parts[part]);
        for (uint32_t i = 0; i < (part == 1 ? 1 : count) && length + part_bytes < TEXT_BYTES; i++) {
            memcpy(text + length, parts[part], part_bytes);
            length += part_bytes;
        }
    }
    return length;
}

Test(json_memory, no_shape_of_a_document_takes_more_than_was_reckoned) {
    static const char *const shapes[][3] = {
        {"[", "", "]"},
        {"{\"a\":", "1", "}"},
        {"", "[1", ",1]"},
        {"[{},", "{}", "]"},
        {"[[],", "\"\"", "]"},
        {"[", "0", ",-1.5e3]"},
        {"{\"\":{\"\":", "\"x\"", "}}"},
        {"[\"abcdefghijklmno\",", "null", "]"},
        {"\"\\u0000", "\\n", "\\\\\""},
    };
    struct conn_test *test = arena_open();
    char *text = malloc(TEXT_BYTES);
    cr_assert_not_null(text);
    for (uint32_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++) {
        for (uint32_t count = 1; count < 20000; count = count * 3 / 2 + 1) {
            (void)reads(test, span_make(text, repeat(text, shapes[shape], count)));
        }
    }
    free(text);
}

// A flat list or object of many small values, and long tokens among them.
static uint32_t random_text(struct prng *prng, char *text) {
    static const char *const values[] = {"1",
                                         "-2.5",
                                         "true",
                                         "\"\"",
                                         "\"ab\"",
                                         "\"\\u20ac\\n\"",
                                         "{}",
                                         "[]",
                                         "[[1]]",
                                         "null",
                                         "{\"k\":{\"l\":[0]}}"};
    bool is_object = prng_below(prng, 2) == 0;
    uint32_t count = prng_below(prng, 2000);
    uint32_t at = (uint32_t)sprintf(text, "%c", is_object ? '{' : '[');
    for (uint32_t i = 0; i < count && at < TEXT_BYTES - 9000; i++) {
        at += (uint32_t)sprintf(text + at, "%s", i == 0 ? "" : ",");
        if (is_object) {
            at += (uint32_t)sprintf(text + at, "\"%u\":", i);
        }
        if (prng_below(prng, 100) == 0) {
            uint32_t length = prng_below(prng, 8000);
            text[at] = '"';
            memset(text + at + 1, 'x', length);
            text[at + 1 + length] = '"';
            at += length + 2;
        } else {
            at += (uint32_t)sprintf(text + at, "%s",
                                    values[prng_below(prng, sizeof values / sizeof values[0])]);
        }
    }
    return at + (uint32_t)sprintf(text + at, "%c", is_object ? '}' : ']');
}

Test(json_memory, random_documents_and_broken_ones_take_no_more_either) {
    struct conn_test *test = arena_open();
    struct prng prng;
    prng_init(&prng, 3);
    char *text = malloc(TEXT_BYTES);
    cr_assert_not_null(text);
    for (uint32_t round = 0; round < 400; round++) {
        uint32_t length = random_text(&prng, text);
        expect(reads(test, span_make(text, length)), "round %u", round);
        (void)reads(test, span_make(text, prng_below(&prng, length + 1))); // cut anywhere
        for (uint32_t i = 0; i < 5; i++) {
            text[prng_below(&prng, length)] = (char)prng_below(&prng, 256);
        }
        (void)reads(test, span_make(text, length));
    }
    free(text);
}

Test(json_memory, a_document_that_does_not_fit_is_short_and_not_malformed) {
    struct conn_test *test = arena_open();
    static char text[5002];
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    struct span span = span_make(text, sizeof text);
    uint64_t wanted = arena_rounded_bytes(json_document_bytes(span));
    for (uint64_t limit = 0; limit < wanted; limit += 100) {
        test->arena.limit_bytes = limit;
        struct json_document document;
        json_document_open(&document, span, JSON_DECODE_ANY);
        expect(document.is_short && document.root == NULL, "limit %llu", (unsigned long long)limit);
        json_document_close(&document);
    }
    test->arena.limit_bytes = wanted;
    struct json_document document;
    json_document_open(&document, span, JSON_DECODE_ANY);
    cr_assert_eq(json_string_length(document.root), sizeof text - 2);
    json_document_close(&document);
    cr_assert_eq(test->arena.used_bytes, 0u);
}
