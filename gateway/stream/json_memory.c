// jansson's hooks are process-wide; they find the calling worker's arena by one thread-local
// pointer, the only global that STYLE.md allows.
#include "gateway/stream/json_memory.h"

#include <jansson.h>

static _Thread_local struct arena *thread_arena;

static void *json_take(size_t size) {
    if (thread_arena == NULL || size == 0) {
        return NULL;
    }
    uint32_t block = arena_take(thread_arena, size);
    return block == 0 ? NULL : arena_at(thread_arena, block);
}

static void json_give(void *memory) {
    if (memory != NULL) {
        uint64_t offset = (uint64_t)((uint8_t *)memory - thread_arena->base);
        arena_give(thread_arena, (uint32_t)(offset / ARENA_UNIT_BYTES));
    }
}

void json_memory_init(void) {
    json_object_seed(0); // from the kernel's entropy: keys come from strangers
    json_set_alloc_funcs(json_take, json_give);
}

void json_memory_set(struct arena *arena) {
    thread_arena = arena;
}
