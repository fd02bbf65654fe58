// Compressing with context takeover (RFC 7692 7.1.1.1): a message may refer back to the ones before
// it, which small messages gain most by, and which costs a window per connection. zlib keeps it;
// all that it allocates lies in a slot of one bounded range, so that the range is the budget. Only
// for messages that are certain to be sent, in their order. One per worker, on its thread. Not for:
// the other direction; whoever agreed to none (core/ws/deflate.h).
#pragma once
#include "core/base/limits.h"
#include "core/base/pool.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WS_TAKEOVER_BITS_MAX =
        12,                   // a window of 4 KiB: 38.7 KB a stream, and almost the ratio of 268 KB
    WS_TAKEOVER_BITS_MIN = 9, // zlib makes none of 8 (its raw deflate takes 9 for it, silently)
};

struct ws_takeover {
    struct memory space; // of the owner; page after page is touched as streams are opened
    uint32_t slot_count;
    uint32_t fresh_count; // slots that were used at any time: those from here on are untouched
    uint32_t open_count;
    uint32_t free_slot; // first of those given back, slot + 1; 0: none
};

// `space`: zeroed, as long as it may ever take, aligned to 64 bytes.
void ws_takeover_init(struct ws_takeover *takeover, struct memory space);
// A stream whose window is 2^bits bytes; level 1 to DEFLATE_LEVEL_MAX. Its handle; 0: the budget is
// spent.
uint32_t ws_takeover_open(struct ws_takeover *takeover, uint8_t level, uint8_t bits);
void ws_takeover_close(struct ws_takeover *takeover, uint32_t stream);
// Compresses the next message into *room, in the form of RFC 7692 7.2.1, never with BFINAL. Returns
// its length, shorter than the data; 0: it would not be (or does not fit): send it plain, and the
// window begins anew, which its receiver does not notice.
uint32_t ws_takeover_deflate(struct ws_takeover *takeover, uint32_t stream, struct span data,
                             struct span_mut room);
// What was compressed last is not sent after all: the window begins anew.
void ws_takeover_reset(struct ws_takeover *takeover, uint32_t stream);
