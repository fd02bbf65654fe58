// Memory of one configuration: blocks on a list, all given back together. Control thread.
#pragma once
#include <stdint.h>

struct config_block;

struct config_memory {
    struct config_block *first;
    uint64_t used_bytes;
    uint64_t limit_bytes;
    uint32_t block_used;
    uint32_t block_size;
};

void config_memory_init(struct config_memory *memory, uint64_t limit_bytes);
void config_memory_fini(struct config_memory *memory);
// Zeroed bytes, aligned to 16, that live until fini. NULL: over the limit, or malloc has none.
void *config_memory_take(struct config_memory *memory, uint64_t bytes);
