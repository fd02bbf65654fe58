// Walks a complete raw DEFLATE stream (RFC 1951) without making its output, to learn where its last
// block begins and where it ends: bits that libdeflate does not tell. Pure.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { WS_DEFLATE_CODE_BITS_MAX = 15 };

struct ws_deflate_tables { // scratch of one walk: every code's next bits to its symbol
    uint16_t literals[1 << WS_DEFLATE_CODE_BITS_MAX];
    uint16_t distances[1 << WS_DEFLATE_CODE_BITS_MAX];
};

struct ws_deflate_walk {
    uint64_t last_header_bit; // of the block with BFINAL set; bit 0 is the lowest of byte 0
    uint64_t end_bit;         // the first behind that block
    uint32_t block_count;
};

// Follows the blocks up to the first with BFINAL. False: the bytes end before, or are no DEFLATE.
// Distances are not judged: there is no output that they could reach out of.
bool ws_deflate_walk(struct span stream, struct ws_deflate_tables *tables,
                     struct ws_deflate_walk *walk);
