// The automaton against an independent definition, the vectors against the automaton, and every way
// a text can arrive in pieces.
#include "core/base/prng.h"
#include "core/base/utf8.h"
#include "core/base/utf8_blocks.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { TEXT_BYTES_MAX = 320 };

typedef bool (*feed)(uint8_t *state, struct span bytes);

// RFC 3629 section 3 by arithmetic: encodes a code point, or returns 0 for one that has no form.
static uint32_t encode(uint32_t point, uint8_t out[4]) {
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xc0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point & 0x3f));
        return point >= 0xd800 && point <= 0xdfff ? 0 : 3;
    }
    out[0] = (uint8_t)(0xf0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (point & 0x3f));
    return point > 0x10ffff ? 0 : 4;
}

Test(utf8, every_code_point_is_accepted) {
    uint64_t count = 0;
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        uint8_t bytes[4];
        uint32_t length = encode(point, bytes);
        if (length == 0) {
            continue;
        }
        uint8_t state = UTF8_ACCEPT;
        bool is_fine = utf8_feed_scalar(&state, span_make(bytes, length)) && state == UTF8_ACCEPT;
        expect(is_fine, "U+%04X", point);
        count++;
    }
    cr_assert_eq(count, 0x110000 - 0x800);
}

// How many byte strings of one to three bytes are valid follows from RFC 3629 alone. All code
// points are accepted (above), so when the number is right, no wrong string is among them.
Test(utf8, exactly_the_valid_strings_of_one_to_three_bytes_are_accepted) {
    uint64_t accepted[4] = {0};
    for (uint32_t value = 0; value < 1 << 24; value++) {
        uint8_t bytes[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        for (uint32_t length = 1; length <= 3; length++) {
            if (length < 3 && (value & ((1u << (24 - 8 * length)) - 1)) != 0) {
                continue;
            }
            uint8_t state = UTF8_ACCEPT;
            accepted[length] +=
                utf8_feed_scalar(&state, span_make(bytes, length)) && state == UTF8_ACCEPT;
        }
    }
    const uint64_t one = 128, two = 0x800 - 0x80, three = 0x10000 - 0x800 - 0x800;
    cr_assert_eq(accepted[1], one);
    cr_assert_eq(accepted[2], one * one + two);
    cr_assert_eq(accepted[3], one * one * one + 2 * one * two + three);
}

Test(utf8, exactly_the_four_byte_characters_are_accepted) {
    static const uint8_t final[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0xbf, 0xc0, 0xff};
    uint64_t accepted = 0;
    for (uint32_t value = 0xf0 << 16; value < 1 << 24; value++) {
        for (uint32_t i = 0; i < sizeof(final); i++) {
            uint8_t bytes[4] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value,
                                final[i]};
            uint8_t state = UTF8_ACCEPT;
            accepted += utf8_feed_scalar(&state, span_make(bytes, 4)) && state == UTF8_ACCEPT;
        }
    }
    cr_assert_eq(accepted, 0x100000 / 64 * 4, "four of the eight final bytes are tails");
}

// Each ends with a byte that cannot be right, so the very call that brings it must fail (RFC 6455
// 8.1), while everything before it may still become valid.
Test(utf8, the_first_bad_byte_fails_at_once) {
    static const char *const bad[] = {
        "\x80",          "\xbf",         "\xc0",
        "\xc1",          "\xf5",         "\xff",
        "\xe0\x80",      "\xe0\x9f",     "\xed\xa0",
        "\xed\xbf",      "\xf0\x80",     "\xf0\x8f",
        "\xf4\x90",      "\xf4\xbf",     "\xc3\x28",
        "\xc2\xc2",      "\xe2\x82\x28", "\xe2\x28",
        "\xf0\x9f\x98(", "\xf0\x9f\xff", "\xf0\x9f\x98\xc2",
        "a\x80",         "\xc3\xa9\x80", "\xf4\x8f\xbf\xc0",
    };
    static const feed feeds[] = {utf8_feed, utf8_feed_scalar};
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (uint32_t which = 0; which < 2; which++) {
            for (uint32_t before = 0; before < 150; before++) {
                uint8_t text[200];
                memset(text, 'x', sizeof(text));
                uint32_t length = (uint32_t)strlen(bad[i]);
                memcpy(text + before, bad[i], length);
                uint8_t state = UTF8_ACCEPT;
                expect(feeds[which](&state, span_make(text, before + length - 1)), "%u", i);
                state = UTF8_ACCEPT;
                expect(!feeds[which](&state, span_make(text, before + length)), "%u", i);
                expect(state == UTF8_REJECT, "%u", i);
                expect(!feeds[which](&state, span_text("fine")), "a reject stays");
                expect(!feeds[which](&state, span_empty()), "a reject stays");
                expect(state == UTF8_REJECT, "%u", i);
            }
        }
    }
}

Test(utf8, empty_input_changes_nothing) {
    uint8_t state = UTF8_ACCEPT;
    cr_assert(utf8_feed(&state, span_empty()));
    cr_assert_eq(state, UTF8_ACCEPT);
    cr_assert(utf8_feed(&state, span_text("\xf0\x9f")));
    uint8_t inside = state;
    cr_assert_neq(inside, UTF8_ACCEPT);
    cr_assert(utf8_feed(&state, span_empty()));
    cr_assert_eq(state, inside);
    cr_assert(utf8_is_valid(span_empty()));
    cr_assert_not(utf8_is_valid(span_text("\xf0\x9f")));
}

// A random text: mostly ASCII, mostly not, or mixed, and in every second one a random wrong byte.
static uint32_t random_text(struct prng *prng, uint8_t *text, uint32_t length_max) {
    uint32_t kind = prng_below(prng, 4);
    uint32_t length = 0;
    while (length < length_max) {
        uint32_t roll = prng_below(prng, 100);
        uint32_t point = prng_below(prng, 0x80);
        if (kind == 1 || (kind == 2 && roll < 5) || (kind == 3 && roll < 50)) {
            uint32_t width = prng_below(prng, 3);
            point = width == 0   ? 0x80 + prng_below(prng, 0x780)
                    : width == 1 ? 0x800 + prng_below(prng, 0xd000)
                                 : 0x10000 + prng_below(prng, 0x100000);
        }
        uint8_t bytes[4];
        uint32_t width = encode(point, bytes);
        if (length + width > length_max) {
            break;
        }
        memcpy(text + length, bytes, width);
        length += width;
    }
    if (length > 0 && prng_below(prng, 2) == 0) {
        text[prng_below(prng, length)] = (uint8_t)prng_below(prng, 256);
    }
    return length;
}

Test(utf8, vectors_agree_with_the_automaton_at_every_offset_and_length) {
    struct prng prng;
    prng_init(&prng, 1);
    uint8_t room[TEXT_BYTES_MAX];
    for (uint32_t round = 0; round < 12; round++) {
        uint32_t total = random_text(&prng, room, 264);
        for (uint32_t offset = 0; offset < 64; offset++) {
            for (uint32_t length = 0; length <= 200 && offset + length <= total; length++) {
                struct span bytes = span_make(room + offset, length);
                uint8_t expected = UTF8_ACCEPT, state = UTF8_ACCEPT;
                bool is_expected = utf8_feed_scalar(&expected, bytes);
                expect(utf8_feed(&state, bytes) == is_expected, "offset %u", offset);
                expect(state == expected, "round %u offset %u length %u", round, offset, length);
            }
        }
    }
}

Test(utf8, every_split_point) {
    struct prng prng;
    prng_init(&prng, 2);
    uint8_t text[TEXT_BYTES_MAX];
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t length = random_text(&prng, text, prng_below(&prng, 200));
        uint8_t expected = UTF8_ACCEPT;
        utf8_feed_scalar(&expected, span_make(text, length));
        for (uint32_t split = 0; split <= length; split++) {
            uint8_t state = UTF8_ACCEPT, first = UTF8_ACCEPT;
            bool is_fine = utf8_feed(&state, span_make(text, split));
            expect(is_fine == utf8_feed_scalar(&first, span_make(text, split)), "round %u", round);
            expect(state == first, "round %u split %u", round, split);
            utf8_feed(&state, span_make(text + split, length - split));
            expect(state == expected, "round %u split %u", round, split);
        }
    }
}

Test(utf8, one_byte_at_a_time) {
    struct prng prng;
    prng_init(&prng, 3);
    uint8_t text[TEXT_BYTES_MAX];
    for (uint32_t round = 0; round < 5000; round++) {
        uint32_t length = random_text(&prng, text, 100);
        uint8_t state = UTF8_ACCEPT, expected = UTF8_ACCEPT;
        for (uint32_t i = 0; i < length; i++) {
            bool is_expected = utf8_feed_scalar(&expected, span_make(text + i, 1));
            expect(utf8_feed(&state, span_make(text + i, 1)) == is_expected, "round %u", round);
            expect(state == expected, "round %u byte %u", round, i);
        }
    }
}

#if defined(__x86_64__)
// Every pair of bytes inside and across blocks, among characters of each width: this walks the
// whole of the lookup tables.
static void assert_blocks(bool (*blocks)(struct span bytes), const char *filler) {
    uint8_t text[64];
    uint32_t width = (uint32_t)strlen(filler);
    for (uint32_t i = 0; i + width <= sizeof(text); i += width) {
        memcpy(text + i, filler, width);
    }
    static const uint32_t places[] = {15, 29, 31};
    for (uint32_t which = 0; which < sizeof(places) / sizeof(places[0]); which++) {
        uint32_t place = places[which];
        for (uint32_t pair = 0; pair < 1 << 16; pair++) {
            uint8_t kept[2] = {text[place], text[place + 1]};
            text[place] = (uint8_t)(pair >> 8);
            text[place + 1] = (uint8_t)pair;
            uint8_t state = UTF8_ACCEPT;
            bool expected =
                utf8_feed_scalar(&state, span_make(text, sizeof(text))) && state == UTF8_ACCEPT;
            bool is_valid = blocks(span_make(text, sizeof(text)));
            text[place] = kept[0];
            text[place + 1] = kept[1];
            expect(is_valid == expected, "pair %04x at %u", pair, place);
        }
    }
}

static void assert_all_fillers(bool (*blocks)(struct span bytes)) {
    assert_blocks(blocks, "x");
    assert_blocks(blocks, "\xc3\xa9");
    assert_blocks(blocks, "\xe2\x82\xac");
    assert_blocks(blocks, "\xf0\x9f\x98\x80");
}

Test(utf8, avx2_knows_every_pair_of_bytes) {
    if (!__builtin_cpu_supports("avx2")) {
        cr_skip_test("no AVX2 here");
    }
    assert_all_fillers(utf8_blocks_avx2);
}

Test(utf8, ssse3_knows_every_pair_of_bytes) {
    if (!__builtin_cpu_supports("ssse3")) {
        cr_skip_test("no SSSE3 here");
    }
    assert_all_fillers(utf8_blocks_ssse3);
}

static void assert_blocks_random(bool (*blocks)(struct span bytes), uint64_t seed) {
    struct prng prng;
    prng_init(&prng, seed);
    uint8_t text[TEXT_BYTES_MAX];
    uint32_t valid = 0;
    for (uint32_t round = 0; round < 100000; round++) {
        uint32_t length = random_text(&prng, text, prng_below(&prng, 200));
        // Sometimes cut inside a character: blocks take whole ones only.
        length -= length > 3 ? prng_below(&prng, 4) : 0;
        uint8_t state = UTF8_ACCEPT;
        bool expected = utf8_feed_scalar(&state, span_make(text, length)) && state == UTF8_ACCEPT;
        expect(blocks(span_make(text, length)) == expected, "round %u", round);
        valid += expected;
    }
    cr_assert(valid > 10000 && valid < 90000, "both answers are met: %u", valid);
}

Test(utf8, avx2_agrees_on_random_texts) {
    if (!__builtin_cpu_supports("avx2")) {
        cr_skip_test("no AVX2 here");
    }
    assert_blocks_random(utf8_blocks_avx2, 4);
}

Test(utf8, ssse3_agrees_on_random_texts) {
    if (!__builtin_cpu_supports("ssse3")) {
        cr_skip_test("no SSSE3 here");
    }
    assert_blocks_random(utf8_blocks_ssse3, 5);
}
#endif

// Nothing behind the span is read: the text ends where its allocation does (ASan sees one byte).
Test(utf8, reads_nothing_behind_the_end) {
    for (uint32_t length = 1; length <= 200; length++) {
        uint8_t *text = malloc(length);
        cr_assert_not_null(text);
        memset(text, 'y', length);
        cr_assert(utf8_is_valid(span_make(text, length)));
        text[length - 1] = 0xe2;
        uint8_t state = UTF8_ACCEPT;
        cr_assert(utf8_feed(&state, span_make(text, length)));
        cr_assert_neq(state, UTF8_ACCEPT);
        free(text);
    }
}
