// Messages of permessage-deflate (RFC 7692 7.2) without context takeover, both ways. One of these
// per worker serves all its connections: nothing is kept from one message to the next. Not for: who
// agreed to it (core/http/deflate_offer.h), which message is worth it. Pure: the library's objects
// and the memory are handed in.
#pragma once
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/span.h"
#include "core/ws/deflate_walk.h"

#include <stdbool.h>
#include <stdint.h>

struct libdeflate_compressor;
struct libdeflate_decompressor;

struct ws_deflate {
    // frozen: owned by who made them. By level; NULL where there is none, and 0 always.
    struct libdeflate_compressor *compressors[DEFLATE_LEVEL_MAX + 1];
    struct libdeflate_decompressor *decompressor;
    // owner: the worker's scratch
    struct ws_deflate_tables *tables;
    uint8_t *packed;          // a compressed message and its tail
    uint8_t *again;           // what a packed one is read back into
    uint8_t *plain;           // an inflated one
    uint32_t plain_bytes_max; // all are for messages up to this
    uint32_t touched_bytes;   // of each, by the largest message since the owner zeroed it
};

// What ws_deflate_init wants for messages of up to so many plain bytes. Address space: only what
// the largest message so far needed is touched.
uint64_t ws_deflate_scratch_bytes(uint32_t plain_bytes_max);
// `scratch`: at least that, aligned to 64, of any content. The compressors are set by the caller.
void ws_deflate_init(struct ws_deflate *deflate, struct libdeflate_decompressor *decompressor,
                     struct memory scratch, uint32_t plain_bytes_max);
// The most that a compressed message of that plain size may have on the wire: what any usual
// compressor makes of bytes that it cannot shorten.
uint64_t ws_deflate_packed_bytes_max(uint32_t plain_bytes_max);

// Compresses a message to the form of RFC 7692 7.2.1: blocks without BFINAL up to an empty stored
// one, whose last four bytes are left off. Never BFINAL: most clients lose messages by it. The
// result was read back and compared. False: send it plain (not a tenth shorter, or no compressor
// of that level). *packed is in the scratch, until the next call; `data` may be what was inflated
// last.
bool ws_deflate_compress(struct ws_deflate *deflate, uint8_t level, struct span data,
                         struct span *packed);
// Scratch for whoever compresses a message of so many bytes (at most plain_bytes_max) otherwise:
// that long at least, until the next call.
struct span_mut ws_deflate_room(struct ws_deflate *deflate, uint32_t bytes);
// Inflates a whole message (its fragments put together). NULL, and *plain is in the scratch until
// the next call of this one; its data is never NULL. Of more than plain_bytes_max bytes:
// message_too_big, having written no more than that. No DEFLATE: message_deflate.
const struct fault *ws_deflate_inflate(struct ws_deflate *deflate, struct span packed,
                                       uint32_t plain_bytes_max, struct span *plain);
