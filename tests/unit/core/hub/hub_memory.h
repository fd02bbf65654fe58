// For the tests of core/hub: an arena and pools over reserved memory, which must be empty again at
// the end of each test.
#pragma once
#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/base/pool.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { TEST_ARENA_BYTES = 256 << 20 };

static inline struct memory memory_reserve(uint64_t length) {
    void *data = mmap(NULL, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(data != MAP_FAILED);
    return (struct memory){.data = data, .length = length};
}

static inline void memory_release(struct memory memory) {
    munmap(memory.data, memory.length);
}

struct test_arena {
    struct arena arena;
    struct memory space, book;
};

static inline void test_arena_init(struct test_arena *test) {
    test->space = memory_reserve(TEST_ARENA_BYTES);
    test->book = memory_reserve(arena_book_bytes(TEST_ARENA_BYTES));
    arena_init(&test->arena, test->space, test->book, TEST_ARENA_BYTES);
}

static inline void test_arena_fini(struct test_arena *test) {
    check(test->arena.used_bytes == 0); // nothing is left
    memory_release(test->space);
    memory_release(test->book);
}

struct test_pool {
    struct pool pool;
    struct memory space, book;
};

static inline void test_pool_init(struct test_pool *test, uint32_t element_bytes, uint32_t limit) {
    test->space = memory_reserve(pool_space_bytes(element_bytes, limit));
    test->book = memory_reserve(pool_book_bytes(element_bytes, limit));
    pool_init(&test->pool, element_bytes, limit, test->space, test->book);
}

static inline void test_pool_fini(struct test_pool *test) {
    check(test->pool.used == 0); // nothing is left
    memory_release(test->space);
    memory_release(test->book);
}
