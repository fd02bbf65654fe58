// The walk. Each table is indexed by the next bits of the stream and holds, for the code they begin
// with: its length in bits 0 to 3, the extra bits behind it in 4 to 7, what it is in 8 and 9 (code
// lengths: the symbol from bit 4 on). Zero: no such code.
#include "core/ws/deflate_walk.h"

#include "core/base/check.h"

#include "core/base/pure.h"

enum {
    LITERALS_MAX = 288,
    DISTANCES_MAX = 32,
    PRECODES = 19, // code lengths of the code lengths (RFC 1951 3.2.7)
    PRECODE_BITS_MAX = 7,
    END_OF_BLOCK = 256,
    LENGTHS = 29,     // length symbols, from 257
    DISTANCES = 30,   // distance symbols
    KIND_LITERAL = 0, // of an entry
    KIND_LENGTH = 1,
    KIND_END = 2,
};

enum table_kind { TABLE_LITERALS, TABLE_DISTANCES, TABLE_PRECODES };

struct bits {
    const uint8_t *data;
    uint64_t buffer; // the lowest `count` bits are next; what stands above is what follows, or zero
    uint32_t length;
    uint32_t at; // byte that is not in `count` yet
    uint32_t count;
};

struct codes {
    uint32_t literal_bits, distance_bits; // that index the tables
};

static bool block_skip_stored(struct bits *bits);
static bool block_read_fixed(struct ws_deflate_tables *tables, struct codes *codes);
static bool block_read_dynamic(struct bits *bits, struct ws_deflate_tables *tables,
                               struct codes *codes);
static bool block_skip_symbols(struct bits *bits, const struct ws_deflate_tables *tables,
                               struct codes codes);
static void bits_fill(struct bits *bits);
static bool bits_drop(struct bits *bits, uint32_t count);

static uint64_t bits_position(const struct bits *bits) {
    return (uint64_t)bits->at * 8 - bits->count;
}

bool ws_deflate_walk(struct span stream, struct ws_deflate_tables *tables,
                     struct ws_deflate_walk *walk) {
    struct bits bits = {.data = stream.data, .length = stream.length};
    *walk = (struct ws_deflate_walk){0};
    bool is_final = false;
    while (!is_final) { // each round takes at least the three bits of a header
        bits_fill(&bits);
        walk->last_header_bit = bits_position(&bits);
        walk->block_count++;
        is_final = (bits.buffer & 1) != 0;
        uint32_t type = (uint32_t)(bits.buffer >> 1) & 3;
        if (!bits_drop(&bits, 3) || type == 3) {
            return false;
        }
        if (type == 0) {
            if (!block_skip_stored(&bits)) {
                return false;
            }
            continue;
        }
        struct codes codes;
        bool is_read = type == 1 ? block_read_fixed(tables, &codes)
                                 : block_read_dynamic(&bits, tables, &codes);
        if (!is_read || !block_skip_symbols(&bits, tables, codes)) {
            return false;
        }
    }
    walk->end_bit = bits_position(&bits);
    return true;
}

static bool block_skip_stored(struct bits *bits) {
    bits_drop(bits, bits->count & 7);
    bits_fill(bits);
    uint32_t length = (uint32_t)(bits->buffer & 0xffff);
    uint32_t inverse = (uint32_t)(bits->buffer >> 16) & 0xffff;
    if (!bits_drop(bits, 32) || (length ^ inverse) != 0xffff) {
        return false;
    }
    uint64_t at = bits_position(bits) / 8 + length;
    if (at > bits->length) {
        return false;
    }
    bits->at = (uint32_t)at;
    bits->buffer = 0;
    bits->count = 0;
    return true;
}

// Entry of a symbol whose code has `length` bits.
static uint16_t table_entry(enum table_kind kind, uint32_t symbol, uint32_t length) {
    static const uint8_t length_extra[LENGTHS] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                  2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    if (kind == TABLE_PRECODES) {
        return (uint16_t)(length | symbol << 4);
    }
    if (kind == TABLE_DISTANCES) {
        uint32_t extra = symbol < 4 ? 0 : symbol / 2 - 1;
        return symbol < DISTANCES ? (uint16_t)(length | extra << 4) : 0;
    }
    if (symbol < END_OF_BLOCK) {
        return (uint16_t)(length | KIND_LITERAL << 8);
    }
    if (symbol == END_OF_BLOCK) {
        return (uint16_t)(length | KIND_END << 8);
    }
    symbol -= END_OF_BLOCK + 1;
    return symbol < LENGTHS
               ? (uint16_t)(length | (uint32_t)length_extra[symbol] << 4 | KIND_LENGTH << 8)
               : 0;
}

// Fills table[0 .. 2^table_bits) from the code lengths (RFC 1951 3.2.2). A set of lengths with too
// many codes overwrites entries; one with too few leaves zeros.
static void table_build(uint16_t *table, uint32_t table_bits, struct span lengths,
                        enum table_kind kind) {
    uint32_t counts[WS_DEFLATE_CODE_BITS_MAX + 1] = {0};
    uint32_t next[WS_DEFLATE_CODE_BITS_MAX + 1] = {0};
    for (uint32_t i = 0; i < lengths.length; i++) {
        check(lengths.data[i] <= table_bits);
        counts[lengths.data[i]]++;
    }
    counts[0] = 0;
    for (uint32_t i = 1; i <= table_bits; i++) {
        next[i] = (next[i - 1] + counts[i - 1]) << 1;
    }
    memset(table, 0, sizeof *table << table_bits);
    for (uint32_t symbol = 0; symbol < lengths.length; symbol++) {
        uint32_t length = lengths.data[symbol];
        if (length == 0) {
            continue;
        }
        uint32_t code = next[length]++;
        uint32_t reversed = 0; // codes stand with their first bit lowest
        for (uint32_t i = 0; i < length; i++) {
            reversed |= ((code >> i) & 1) << (length - 1 - i);
        }
        uint16_t entry = table_entry(kind, symbol, length);
        for (uint32_t i = reversed; i < 1u << table_bits; i += 1u << length) {
            table[i] = entry;
        }
    }
}

static uint32_t lengths_longest(struct span lengths) {
    uint32_t longest = 1;
    for (uint32_t i = 0; i < lengths.length; i++) {
        longest = lengths.data[i] > longest ? lengths.data[i] : longest;
    }
    return longest;
}

// RFC 1951 3.2.6.
static bool block_read_fixed(struct ws_deflate_tables *tables, struct codes *codes) {
    uint8_t lengths[LITERALS_MAX];
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    *codes = (struct codes){.literal_bits = 9, .distance_bits = 5};
    table_build(tables->literals, 9, span_make(lengths, LITERALS_MAX), TABLE_LITERALS);
    memset(lengths, 5, DISTANCES_MAX);
    table_build(tables->distances, 5, span_make(lengths, DISTANCES_MAX), TABLE_DISTANCES);
    return true;
}

// The code lengths themselves: a number, or a repetition (RFC 1951 3.2.7).
static bool lengths_read(struct bits *bits, const uint16_t *precodes, uint8_t *lengths,
                         uint32_t count) {
    uint8_t previous = 0;
    for (uint32_t i = 0; i < count;) {
        bits_fill(bits);
        uint32_t entry = precodes[bits->buffer & ((1 << PRECODE_BITS_MAX) - 1)];
        if (entry == 0 || !bits_drop(bits, entry & 15)) {
            return false;
        }
        uint32_t symbol = entry >> 4;
        if (symbol < 16) {
            previous = (uint8_t)symbol;
            lengths[i++] = previous;
            continue;
        }
        static const uint8_t extra_bits[] = {2, 3, 7};
        static const uint8_t repeat_min[] = {3, 3, 11};
        uint32_t extra = extra_bits[symbol - 16];
        uint32_t repeat = repeat_min[symbol - 16] + (uint32_t)(bits->buffer & ((1u << extra) - 1));
        if (!bits_drop(bits, extra) || (symbol == 16 && i == 0) || repeat > count - i) {
            return false;
        }
        previous = symbol == 16 ? previous : 0;
        memset(lengths + i, previous, repeat);
        i += repeat;
    }
    return true;
}

static bool block_read_dynamic(struct bits *bits, struct ws_deflate_tables *tables,
                               struct codes *codes) {
    static const uint8_t order[PRECODES] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                            11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint32_t literals = (uint32_t)(bits->buffer & 31) + 257;
    uint32_t distances = (uint32_t)(bits->buffer >> 5 & 31) + 1;
    uint32_t precodes = (uint32_t)(bits->buffer >> 10 & 15) + 4;
    if (!bits_drop(bits, 14)) {
        return false;
    }
    bits_fill(bits); // 57 bits: all that 19 times 3 need
    uint8_t precode_lengths[PRECODES] = {0};
    for (uint32_t i = 0; i < precodes; i++) {
        precode_lengths[order[i]] = (uint8_t)(bits->buffer & 7);
        if (!bits_drop(bits, 3)) {
            return false;
        }
    }
    uint16_t precode_table[1 << PRECODE_BITS_MAX];
    table_build(precode_table, PRECODE_BITS_MAX, span_make(precode_lengths, PRECODES),
                TABLE_PRECODES);
    uint8_t lengths[LITERALS_MAX + DISTANCES_MAX + 1];
    if (literals > LITERALS_MAX ||
        !lengths_read(bits, precode_table, lengths, literals + distances)) {
        return false;
    }
    struct span first = span_make(lengths, literals);
    struct span second = span_make(lengths + literals, distances);
    codes->literal_bits = lengths_longest(first);
    codes->distance_bits = lengths_longest(second);
    table_build(tables->literals, codes->literal_bits, first, TABLE_LITERALS);
    table_build(tables->distances, codes->distance_bits, second, TABLE_DISTANCES);
    return true;
}

static bool block_skip_symbols(struct bits *bits, const struct ws_deflate_tables *tables,
                               struct codes codes) {
    const uint64_t literal_mask = (1u << codes.literal_bits) - 1;
    const uint64_t distance_mask = (1u << codes.distance_bits) - 1;
    uint32_t kind = KIND_LITERAL;
    while (kind != KIND_END) { // each round takes a code
        bits_fill(bits);
        // At most 15 + 5 + 15 + 13 bits belong to one symbol: one fill is enough.
        uint32_t entry = tables->literals[bits->buffer & literal_mask];
        kind = entry >> 8;
        if (entry == 0 || !bits_drop(bits, (entry & 15) + (entry >> 4 & 15))) {
            return false;
        }
        if (kind == KIND_LENGTH) {
            entry = tables->distances[bits->buffer & distance_mask];
            if (entry == 0 || !bits_drop(bits, (entry & 15) + (entry >> 4 & 15))) {
                return false;
            }
        }
    }
    return true;
}

// At least 56 bits, unless the stream ends before.
static void bits_fill(struct bits *bits) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (bits->length - bits->at >= 8) {
        uint64_t word;
        memcpy(&word, bits->data + bits->at, sizeof word);
        bits->buffer |= word << bits->count;
        uint32_t taken = (63 - bits->count) >> 3;
        bits->at += taken;
        bits->count += taken * 8;
        return;
    }
#endif
    while (bits->count < 56 && bits->at < bits->length) {
        bits->buffer |= (uint64_t)bits->data[bits->at] << bits->count;
        bits->at++;
        bits->count += 8;
    }
}

// False: the stream ends before.
static bool bits_drop(struct bits *bits, uint32_t count) {
    if (count > bits->count) {
        return false;
    }
    bits->buffer >>= count;
    bits->count -= count;
    return true;
}
