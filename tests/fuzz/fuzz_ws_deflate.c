// Can bytes break the inflater, and is what it yields packed again and read? The first bytes choose
// the bound and the level, the rest is what a client sends in a compressed message. The scratch has
// no byte to spare, and nothing behind the bound may be written.
#include "core/base/check.h"
#include "core/ws/deflate.h"

#include <libdeflate.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICE_BYTES = 4, PLAIN_MAX = 200000, CANARY = 0x5a };

static struct ws_deflate *deflate_get(void) {
    static struct ws_deflate deflate; // opened once: it is large
    if (deflate.decompressor == NULL) {
        uint64_t bytes = (ws_deflate_scratch_bytes(PLAIN_MAX) + 63) / 64 * 64;
        struct memory scratch = {.data = aligned_alloc(64, bytes), .length = bytes};
        ws_deflate_init(&deflate, libdeflate_alloc_decompressor(), scratch, PLAIN_MAX);
        for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++) {
            deflate.compressors[level] = libdeflate_alloc_compressor(level);
        }
    }
    return &deflate;
}

// Packs and reads back.
static void check_round(struct ws_deflate *deflate, uint8_t level, struct span plain) {
    uint8_t *copy = malloc(plain.length + 1);
    memcpy(copy, plain.data, plain.length);
    struct span packed;
    if (ws_deflate_compress(deflate, level, span_make(copy, plain.length), &packed)) {
        uint8_t *sent = malloc(packed.length);
        memcpy(sent, packed.data, packed.length);
        struct ws_deflate_walk walk;
        check(
            !ws_deflate_walk(span_make(sent, packed.length), deflate->tables, &walk)); // no BFINAL
        struct span again;
        check(ws_deflate_inflate(deflate, span_make(sent, packed.length), plain.length, &again) ==
              NULL);
        check(span_equal(again, span_make(copy, plain.length)));
        free(sent);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICE_BYTES) {
        return 0;
    }
    struct ws_deflate *deflate = deflate_get();
    uint32_t bound = (uint32_t)(data[0] | data[1] << 8 | data[2] << 16) % (PLAIN_MAX - 64);
    uint8_t level = (uint8_t)(1 + data[3] % DEFLATE_LEVEL_MAX);
    struct span packed = span_make(data + CHOICE_BYTES, (uint32_t)(size - CHOICE_BYTES));
    memset(deflate->plain + bound + 1, CANARY, 64);
    struct span plain;
    const struct fault *fault = ws_deflate_inflate(deflate, packed, bound, &plain);
    for (uint32_t i = 0; i < 64; i++) {
        check(deflate->plain[bound + 1 + i] == CANARY);
    }
    struct ws_deflate_walk walk;
    if (ws_deflate_walk(packed, deflate->tables, &walk)) {
        check(walk.end_bit <= 8 * (uint64_t)packed.length);
    }
    if (fault == NULL) {
        check(plain.length <= bound);
        check_round(deflate, level, plain);
    }
    check_round(deflate, level, packed.length <= PLAIN_MAX ? packed : span_first(packed, 0));
    return 0;
}
