#include "gateway/config/memory.h"

#include "core/base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_BYTES = 16384, // a usual configuration takes one or two
    ALIGNMENT = 16,
};

struct config_block {
    struct config_block *next;
    uint64_t spare; // keeps `bytes` aligned to 16
    uint8_t bytes[];
};

void config_memory_init(struct config_memory *memory, uint64_t limit_bytes) {
    *memory = (struct config_memory){.limit_bytes = limit_bytes};
}

void config_memory_fini(struct config_memory *memory) {
    struct config_block *block = memory->first;
    while (block != NULL) {
        struct config_block *next = block->next;
        free(block);
        block = next;
    }
    *memory = (struct config_memory){0};
}

void *config_memory_take(struct config_memory *memory, uint64_t bytes) {
    check(bytes <= UINT32_MAX / 2);
    uint32_t size = ((uint32_t)bytes + ALIGNMENT - 1) & ~(uint32_t)(ALIGNMENT - 1);
    if (memory->used_bytes + size > memory->limit_bytes) {
        return NULL;
    }
    if (memory->first == NULL || memory->block_size - memory->block_used < size) {
        uint32_t block_size = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct config_block *block = calloc(1, sizeof(struct config_block) + block_size);
        if (block == NULL) {
            return NULL;
        }
        block->next = memory->first;
        memory->first = block;
        memory->block_used = 0;
        memory->block_size = block_size;
    }
    void *taken = memory->first->bytes + memory->block_used;
    memory->block_used += size;
    memory->used_bytes += size;
    return taken;
}
