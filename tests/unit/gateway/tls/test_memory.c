// What the library takes of an arena, and that nothing of it stays once handshakes are over: at
// 50,000 connections 3.6 MB would be 73 bytes of each.
#include "core/base/arena.h"
#include "gateway/tls/tls.h"
#include "tests/unit/gateway/tls/tls_ends.h"

#include <sys/mman.h>

enum { SPACE_BYTES = 256 << 20, CROWD = 24, ROUNDS = 20 };

static struct world world;
static struct arena arena;
static struct ends *crowd[CROWD];

static struct memory reserve(uint64_t bytes) {
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(data, MAP_FAILED);
    return (struct memory){.data = data, .length = bytes};
}

static void memory_open(uint64_t limit_bytes) {
    arena_init(&arena, reserve(SPACE_BYTES), reserve(arena_book_bytes(SPACE_BYTES)), limit_bytes);
    world_open(&world);
    tls_memory_set(&arena);
}

static void memory_close(void) {
    tls_memory_trim();
    cr_assert_eq(arena.used_bytes, 0);
    tls_memory_set(NULL);
    world_close(&world);
}

// All at once, so that their blocks lie between each other's.
static void crowd_shake(void) {
    for (uint32_t i = 0; i < CROWD; i++) {
        crowd[i] = ends_open(&world, world.ec, NULL);
    }
    for (uint32_t i = 0; i < ROUNDS * CROWD; i++) {
        cr_assert(ends_step(crowd[i % CROWD]));
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        cr_assert(crowd[i]->is_server_done);
        ends_finish(crowd[i]);
    }
}

static void crowd_leave(void) {
    for (uint32_t i = 0; i < CROWD; i++) {
        ends_close(crowd[i]);
    }
}

Test(memory, nothing_stays_after_the_last_handshake, .timeout = 60) {
    memory_open(SPACE_BYTES);
    crowd_shake();
    uint64_t peak_bytes = arena.used_bytes_peak;
    cr_assert_gt(peak_bytes, (uint64_t)CROWD * 16384);
    crowd_leave();
    tls_memory_trim();
    cr_assert_eq(arena.used_bytes, 0);
    struct memory step;
    uint32_t steps = 0;
    while (arena_release_any(&arena, &step)) {
        cr_assert_eq(madvise(step.data, step.length, MADV_DONTNEED), 0);
        steps++;
    }
    cr_assert_gt(steps, 0);
    cr_assert_eq(arena.touched_bytes, 0);
    // And the tables are made anew.
    crowd_shake();
    crowd_leave();
    memory_close();
}

#ifdef PERSIST_SESSION_CACHE
// One cache per process, which every session would write to: 25 bytes of each of 50,000.
Test(memory, the_librarys_cache_of_sessions_stays_empty, .timeout = 60) {
    memory_open(SPACE_BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        WOLFSSL_CTX *client = i == 0 ? world.client : world.client_12;
        wolfSSL_CTX_set_session_cache_mode(client, WOLFSSL_SESS_CACHE_OFF);
        wolfSSL_CTX_set_session_cache_mode(client, WOLFSSL_SESS_CACHE_NO_INTERNAL);
    }
    int bytes = wolfSSL_get_session_cache_memsize();
    uint8_t *before = malloc((size_t)bytes);
    uint8_t *after = malloc((size_t)bytes);
    cr_assert(before != NULL && after != NULL);
    cr_assert_eq(wolfSSL_memsave_session_cache(before, bytes), WOLFSSL_SUCCESS);
    const char *suites[] = {NULL, "ECDHE-ECDSA-AES128-GCM-SHA256"};
    for (uint32_t i = 0; i < 2; i++) {
        struct ends *ends = ends_open(&world, world.ec, suites[i]);
        cr_assert(ends_shake(ends), "%s", ends->reason);
        ends_finish(ends);
        ends_close(ends);
    }
    cr_assert_eq(wolfSSL_memsave_session_cache(after, bytes), WOLFSSL_SUCCESS);
    cr_assert_eq(memcmp(before, after, (size_t)bytes), 0);
    free(before);
    free(after);
    memory_close();
}
#endif
