// Compressed messages through libdeflate, which works on whole buffers and ends what it makes with
// BFINAL. Not for: streams whose window lives on. Memory: the worker's scratch.
#include "core/ws/deflate.h"

#include "core/base/check.h"
#include <libdeflate.h>

#include "core/base/pure.h"

// What was left off a message (the rest of an empty stored block, RFC 7692 7.2.2), and an empty
// final block, without which libdeflate takes no stream for complete.
static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff};

// Put behind a peer's message instead: the same block with one byte in it. That byte comes out last
// if the message is whole; one that was cut within a block swallows these bytes as its own. (A
// stored block that lacks exactly as many bytes as stand up to the mark is the one that passes.)
enum { MARK = 0xa5 };
static const uint8_t tail_marked[] = {0x01, 0x00, 0xfe, 0xff, MARK, 0x01, 0x00, 0x00, 0xff, 0xff};

enum {
    STREAMS_MAX =
        16, // of one message: blocks with BFINAL (RFC 7692 7.2.3.4). Each costs new tables
    PACKED_SPARE = 64,
    HEADER_BITS = 3,
    SCRATCH_ALIGN = 64,
    EXPANSION_MAX = 1032, // of DEFLATE: a length of 258 in two bits
};

static void touch(struct ws_deflate *deflate, uint64_t bytes);
static bool final_clear(struct ws_deflate *deflate, struct span data, uint32_t *packed_bytes);
static bool reads_back(struct ws_deflate *deflate, struct span data, uint32_t packed_bytes);

static uint64_t scratch_round(uint64_t bytes) {
    return (bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
}

uint64_t ws_deflate_packed_bytes_max(uint32_t plain_bytes_max) {
    return (uint64_t)plain_bytes_max + plain_bytes_max / 16 + PACKED_SPARE;
}

uint64_t ws_deflate_scratch_bytes(uint32_t plain_bytes_max) {
    return scratch_round(sizeof(struct ws_deflate_tables)) +
           scratch_round(ws_deflate_packed_bytes_max(plain_bytes_max) + sizeof tail_marked) +
           2 * scratch_round((uint64_t)plain_bytes_max + 1);
}

void ws_deflate_init(struct ws_deflate *deflate, struct libdeflate_decompressor *decompressor,
                     struct memory scratch, uint32_t plain_bytes_max) {
    check(decompressor != NULL);
    check((uintptr_t)scratch.data % SCRATCH_ALIGN == 0);
    check(scratch.length >= ws_deflate_scratch_bytes(plain_bytes_max));
    uint8_t *packed = scratch.data + scratch_round(sizeof(struct ws_deflate_tables));
    uint64_t packed_bytes = ws_deflate_packed_bytes_max(plain_bytes_max) + sizeof tail_marked;
    *deflate = (struct ws_deflate){
        .decompressor = decompressor,
        .tables = (struct ws_deflate_tables *)(void *)scratch.data,
        .packed = packed,
        .plain = packed + scratch_round(packed_bytes),
        .again =
            packed + scratch_round(packed_bytes) + scratch_round((uint64_t)plain_bytes_max + 1),
        .plain_bytes_max = plain_bytes_max,
    };
}

bool ws_deflate_compress(struct ws_deflate *deflate, uint8_t level, struct span data,
                         struct span *packed) {
    check(level <= DEFLATE_LEVEL_MAX);
    struct libdeflate_compressor *compressor = deflate->compressors[level];
    if (compressor == NULL || data.length > deflate->plain_bytes_max) {
        return false;
    }
    touch(deflate, data.length);
    // It ends by itself where the result would not be a tenth shorter. One byte may be added.
    uint32_t room = (uint32_t)((uint64_t)data.length * 9 / 10);
    uint32_t length =
        room == 0 ? 0
                  : (uint32_t)libdeflate_deflate_compress(compressor, data.data, data.length,
                                                          deflate->packed, room - 1);
    if (length == 0 || !final_clear(deflate, data, &length)) {
        return false;
    }
    *packed = span_make(deflate->packed, length);
    return true;
}

struct span_mut ws_deflate_room(struct ws_deflate *deflate, uint32_t bytes) {
    check(bytes <= deflate->plain_bytes_max);
    touch(deflate, bytes);
    return (struct span_mut){.data = deflate->packed,
                             .length = (uint32_t)ws_deflate_packed_bytes_max(bytes)};
}

static void touch(struct ws_deflate *deflate, uint64_t bytes) {
    uint64_t most = bytes < deflate->plain_bytes_max ? bytes : deflate->plain_bytes_max;
    deflate->touched_bytes =
        most > deflate->touched_bytes ? (uint32_t)most : deflate->touched_bytes;
}

// Clears BFINAL of the last block, and puts the header of the empty stored block behind it: three
// bits, which may be there already as the padding of the last byte.
static bool final_clear(struct ws_deflate *deflate, struct span data, uint32_t *packed_bytes) {
    uint8_t *packed = deflate->packed;
    if ((packed[0] & 1) != 0) { // one block, its header in front
        packed[0] &= 0xfe;
        if (reads_back(deflate, data, *packed_bytes)) {
            return true;
        }
        packed[(*packed_bytes)++] = 0;
        return reads_back(deflate, data, *packed_bytes);
    }
    struct ws_deflate_walk walk;
    if (!ws_deflate_walk(span_make(packed, *packed_bytes), deflate->tables, &walk)) {
        return false;
    }
    packed[walk.last_header_bit / 8] &= (uint8_t) ~(1u << (walk.last_header_bit % 8));
    uint64_t padding = (uint64_t)*packed_bytes * 8 - walk.end_bit;
    if (padding < HEADER_BITS) {
        packed[(*packed_bytes)++] = 0;
    }
    return reads_back(deflate, data, *packed_bytes);
}

// Whether what a receiver makes of it is the message.
static bool reads_back(struct ws_deflate *deflate, struct span data, uint32_t packed_bytes) {
    memcpy(deflate->packed + packed_bytes, tail, sizeof tail);
    size_t used = 0;
    size_t made = 0;
    enum libdeflate_result result = libdeflate_deflate_decompress_ex(
        deflate->decompressor, deflate->packed, packed_bytes + sizeof tail, deflate->again,
        data.length, &used, &made);
    return result == LIBDEFLATE_SUCCESS && used == packed_bytes + sizeof tail &&
           made == data.length && memcmp(deflate->again, data.data, made) == 0;
}

const struct fault *ws_deflate_inflate(struct ws_deflate *deflate, struct span packed,
                                       uint32_t plain_bytes_max, struct span *plain) {
    check(plain_bytes_max <= deflate->plain_bytes_max);
    if (packed.length > ws_deflate_packed_bytes_max(plain_bytes_max)) {
        return fault_get(FAULT_message_too_big);
    }
    *plain = span_make(deflate->plain, 0);
    if (packed.length == 0) { // what zlib flushes when it has nothing new to say
        return NULL;
    }
    uint64_t most = (uint64_t)packed.length * EXPANSION_MAX; // how far it comes is not known yet
    touch(deflate, most < plain_bytes_max ? most : plain_bytes_max);
    memcpy(deflate->packed, packed.data, packed.length);
    memcpy(deflate->packed + packed.length, tail_marked, sizeof tail_marked);
    const size_t end = packed.length + sizeof tail_marked;
    const uint32_t room = plain_bytes_max + 1; // and the mark
    size_t at = 0;
    // One stream, unless the peer set BFINAL: then what is behind that block is another.
    for (uint32_t i = 0; i < STREAMS_MAX && at != end && at != packed.length; i++) {
        size_t used = 0;
        size_t made = 0;
        enum libdeflate_result result = libdeflate_deflate_decompress_ex(
            deflate->decompressor, deflate->packed + at, end - at, deflate->plain + plain->length,
            room - plain->length, &used, &made);
        if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
            return fault_get(FAULT_message_too_big);
        }
        if (result != LIBDEFLATE_SUCCESS) {
            return fault_get(FAULT_message_deflate);
        }
        plain->length += (uint32_t)made;
        at += used;
    }
    if (at == packed.length) { // its last block has BFINAL, and no empty one behind it
        return plain->length <= plain_bytes_max ? NULL : fault_get(FAULT_message_too_big);
    }
    if (at != end || plain->length == 0 || plain->data[plain->length - 1] != MARK) {
        return fault_get(FAULT_message_deflate);
    }
    plain->length--;
    return NULL;
}
