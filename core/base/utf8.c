// UTF-8 as a byte automaton, which is the definition, and around it the dispatch to vector code for
// the bulk of a piece: the automaton finishes the character that the last piece began, vectors take
// the whole characters, the automaton takes what the piece leaves unfinished.
#include "core/base/utf8.h"

#include "core/base/utf8_blocks.h"

#include "core/base/pure.h"

// Classes of bytes that the automaton tells apart.
enum utf8_class {
    ASCII,       // 00..7F
    TAIL_LOW,    // 80..8F
    TAIL_MIDDLE, // 90..9F
    TAIL_HIGH,   // A0..BF
    LEAD_2,      // C2..DF
    LEAD_E0,     // then A0..BF: below is overlong
    LEAD_3,      // E1..EC, EE, EF
    LEAD_ED,     // then 80..9F: above are surrogates
    LEAD_F0,     // then 90..BF: below is overlong
    LEAD_4,      // F1..F3
    LEAD_F4,     // then 80..8F: above is beyond U+10FFFF
    NEVER,       // C0, C1, F5..FF
    CLASS_COUNT
};

// States: what must follow.
enum utf8_state {
    OK = UTF8_ACCEPT,
    BAD = UTF8_REJECT,
    TAIL_1, // one byte 80..BF
    TAIL_2, // two
    TAIL_3, // three
    AFTER_E0,
    AFTER_ED,
    AFTER_F0,
    AFTER_F4,
    STATE_COUNT
};

static const uint8_t utf8_classes[256] = {
    [0x00 ... 0x7f] = ASCII,
    [0x80 ... 0x8f] = TAIL_LOW,
    [0x90 ... 0x9f] = TAIL_MIDDLE,
    [0xa0 ... 0xbf] = TAIL_HIGH,
    [0xc0 ... 0xc1] = NEVER,
    [0xc2 ... 0xdf] = LEAD_2,
    [0xe0] = LEAD_E0,
    [0xe1 ... 0xec] = LEAD_3,
    [0xed] = LEAD_ED,
    [0xee ... 0xef] = LEAD_3,
    [0xf0] = LEAD_F0,
    [0xf1 ... 0xf3] = LEAD_4,
    [0xf4] = LEAD_F4,
    [0xf5 ... 0xff] = NEVER,
};

static const uint8_t utf8_next[STATE_COUNT][CLASS_COUNT] = {
    [OK] = {OK, BAD, BAD, BAD, TAIL_1, AFTER_E0, TAIL_2, AFTER_ED, AFTER_F0, TAIL_3, AFTER_F4, BAD},
    [BAD] = {BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [TAIL_1] = {BAD, OK, OK, OK, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [TAIL_2] = {BAD, TAIL_1, TAIL_1, TAIL_1, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [TAIL_3] = {BAD, TAIL_2, TAIL_2, TAIL_2, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_E0] = {BAD, BAD, BAD, TAIL_1, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_ED] = {BAD, TAIL_1, TAIL_1, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_F0] = {BAD, BAD, TAIL_2, TAIL_2, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_F4] = {BAD, TAIL_2, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
};

static inline uint8_t utf8_step(uint8_t state, uint8_t byte) {
    return utf8_next[state][utf8_classes[byte]];
}

bool utf8_feed_scalar(uint8_t *state, struct span bytes) {
    uint8_t now = *state;
    for (uint32_t i = 0; i < bytes.length; i++) {
        now = utf8_step(now, bytes.data[i]);
        if (now == UTF8_REJECT) {
            break;
        }
    }
    *state = now;
    return now != UTF8_REJECT;
}

// How many bytes at the end begin a character that they do not finish, at most 3. Wrong bytes may
// be counted in or out: both parts are validated.
static uint32_t utf8_unfinished_bytes(struct span bytes) {
    const uint8_t *end = bytes.data + bytes.length;
    if (bytes.length >= 1 && end[-1] >= 0xc0) {
        return 1;
    }
    if (bytes.length >= 2 && end[-2] >= 0xe0) {
        return 2;
    }
    return bytes.length >= 3 && end[-3] >= 0xf0 ? 3 : 0;
}

// The bytes up to the first above 7F, rounded down to a multiple of 8.
static uint32_t utf8_ascii_bytes(struct span bytes) {
    uint32_t at = 0;
    for (; bytes.length - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, bytes.data + at, 8);
        if ((word & 0x8080808080808080) != 0) {
            break;
        }
    }
    return at;
}

// For 8 to 64 bytes: most messages are short and ASCII.
static bool utf8_is_ascii_short(struct span bytes) {
    uint64_t all, word;
    memcpy(&all, bytes.data + bytes.length - 8, 8);
    for (uint32_t at = 0; at + 8 < bytes.length; at += 8) {
        memcpy(&word, bytes.data + at, 8);
        all |= word;
    }
    return (all & 0x8080808080808080) == 0;
}

// Whole characters from here on. Below 16 bytes vectors do not pay.
static bool utf8_blocks(struct span bytes) {
#if defined(__x86_64__)
    if (bytes.length >= 16 && __builtin_cpu_supports("avx2")) {
        return utf8_blocks_avx2(bytes);
    }
    if (bytes.length >= 16 && __builtin_cpu_supports("ssse3")) {
        return utf8_blocks_ssse3(bytes);
    }
#endif
    uint8_t state = UTF8_ACCEPT;
    uint32_t at = 0;
    while (at < bytes.length) {
        // After a character outside ASCII the next is likely one, too: 32 bytes by the automaton.
        at += state == UTF8_ACCEPT ? utf8_ascii_bytes(span_from(bytes, at)) : 0;
        uint32_t left = bytes.length - at;
        uint32_t piece = left < 32 ? left : 32;
        if (!utf8_feed_scalar(&state, span_make(bytes.data + at, piece))) {
            return false;
        }
        at += piece;
    }
    return state == UTF8_ACCEPT;
}

bool utf8_feed(uint8_t *state, struct span bytes) {
    uint32_t at = 0;
    while (*state != UTF8_ACCEPT && at < bytes.length) {
        *state = utf8_step(*state, bytes.data[at]);
        at++;
        if (*state == UTF8_REJECT) {
            return false;
        }
    }
    if (at == bytes.length) {
        return *state != UTF8_REJECT;
    }
    struct span rest = span_from(bytes, at);
    if (rest.length >= 8 && rest.length <= 64 && utf8_is_ascii_short(rest)) {
        return true;
    }
    uint32_t whole = rest.length - utf8_unfinished_bytes(rest);
    if (!utf8_blocks(span_first(rest, whole))) {
        *state = UTF8_REJECT;
        return false;
    }
    return utf8_feed_scalar(state, span_from(rest, whole));
}

bool utf8_is_valid(struct span bytes) {
    uint8_t state = UTF8_ACCEPT;
    return utf8_feed(&state, bytes) && state == UTF8_ACCEPT;
}
