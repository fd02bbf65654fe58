// The library's hooks are process-wide; they find the calling thread's arena by one thread-local
// pointer. What no arena was set for (the control thread: contexts) is the C library's.
#include "gateway/tls/library.h"

#include "core/base/arena.h"
#include "gateway/tls/tls.h"

#include <stdlib.h>
#include <wolfssl/wolfcrypt/ecc.h>

static _Thread_local struct {
    struct arena *arena;
    bool is_passed_by; // what is taken now may be given back by another thread
} thread;

// Before every block: whose it is, since a context may be freed by another thread than the one that
// made it.
struct block_head {
    struct arena *arena; // NULL: the C library's
    uint32_t handle;
    uint32_t bytes;
};
static_assert(sizeof(struct block_head) == 16, "what follows stays aligned as malloc's is");

static void *take(size_t bytes) {
    if (bytes > UINT32_MAX - sizeof(struct block_head)) {
        return NULL;
    }
    uint64_t whole = (uint64_t)bytes + sizeof(struct block_head);
    struct arena *arena = thread.is_passed_by ? NULL : thread.arena;
    struct block_head head = {.arena = arena, .bytes = (uint32_t)bytes};
    struct block_head *block;
    if (arena == NULL) {
        block = malloc(whole);
    } else {
        head.handle = arena_take(arena, whole);
        block = head.handle == 0 ? NULL : (struct block_head *)(void *)arena_at(arena, head.handle);
    }
    if (block == NULL) {
        return NULL;
    }
    *block = head;
    return block + 1;
}

static void give(void *memory) {
    if (memory == NULL) {
        return;
    }
    struct block_head *block = (struct block_head *)memory - 1;
    if (block->arena == NULL) {
        free(block);
        return;
    }
    check(block->arena == thread.arena);
    arena_give(thread.arena, block->handle);
}

static void *resize(void *memory, size_t bytes) {
    void *larger = take(bytes);
    if (larger == NULL || memory == NULL) {
        return larger;
    }
    uint32_t kept = ((struct block_head *)memory - 1)->bytes;
    memcpy(larger, memory, kept < bytes ? kept : bytes);
    give(memory);
    return larger;
}

void tls_memory_set(struct arena *arena) {
    thread.arena = arena;
}

void tls_memory_pass_by(bool is_passed_by) {
    thread.is_passed_by = is_passed_by;
}

void tls_memory_trim(void) {
#ifdef FP_ECC
    wc_ecc_fp_free();
#endif
}

int tls_memory_hook(void) {
    return wolfSSL_SetAllocators(take, give, resize);
}
