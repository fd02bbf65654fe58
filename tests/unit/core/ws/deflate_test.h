// A worker's compressors and scratch for the tests of what is compressed.
#pragma once
#include "core/ws/deflate.h"

#include <libdeflate.h>
#include <stdlib.h>

static inline struct ws_deflate *deflate_open(uint32_t plain_bytes_max) {
    struct ws_deflate *deflate = malloc(sizeof *deflate);
    uint64_t bytes = (ws_deflate_scratch_bytes(plain_bytes_max) + 63) / 64 * 64;
    struct memory scratch = {.data = aligned_alloc(64, bytes), .length = bytes};
    ws_deflate_init(deflate, libdeflate_alloc_decompressor(), scratch, plain_bytes_max);
    for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++) {
        deflate->compressors[level] = libdeflate_alloc_compressor(level);
    }
    return deflate;
}

static inline void deflate_close(struct ws_deflate *deflate) {
    for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++) {
        libdeflate_free_compressor(deflate->compressors[level]);
    }
    libdeflate_free_decompressor(deflate->decompressor);
    free(deflate->tables);
    free(deflate);
}
