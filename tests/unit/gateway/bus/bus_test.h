// For the tests of gateway/bus: two workers and the control thread, stepped by hand in one thread;
// doorbells are counted. Everything must be given back at the end.
#pragma once
#include "gateway/bus/bus.h"
#include "tests/unit/expect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    BUS_TEST_WORKERS = 2,
    BUS_TEST_CONTROL = 2,
    BUS_TEST_THREADS = 3,
    BUS_TEST_ARENA_BYTES = 32 << 20,
    BUS_TEST_CHANNELS = 1000,
    BUS_TEST_LOG_BYTES = 1 << 20,
};

struct io_bell {
    uint32_t rings;
};

// Stands in for the real one of gateway/io, which rings a kernel object.
void io_doorbell_ring(struct io_doorbell doorbell) {
    doorbell.bell->rings++;
}

struct bus_thread {
    struct bus bus;
    struct arena arena;
    struct counters counters;
    struct pool homes;
    struct io_bell bell;
};

struct bus_test {
    struct bus_shared *shared;
    struct bus_thread threads[BUS_TEST_THREADS];
    uint32_t log_bytes;
    char log[BUS_TEST_LOG_BYTES];
};

static inline struct memory bus_test_reserve(uint64_t length) {
    void *data = mmap(NULL, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(data, MAP_FAILED);
    return (struct memory){.data = data, .length = length};
}

static inline struct bus_test *bus_test_open(void) {
    struct bus_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    test->shared =
        bus_shared_init(bus_test_reserve(bus_shared_bytes(BUS_TEST_WORKERS)), BUS_TEST_WORKERS);
    for (uint32_t i = 0; i < BUS_TEST_THREADS; i++) {
        struct bus_thread *thread = &test->threads[i];
        uint64_t book = arena_book_bytes(BUS_TEST_ARENA_BYTES);
        arena_init(&thread->arena, bus_test_reserve(BUS_TEST_ARENA_BYTES), bus_test_reserve(book),
                   BUS_TEST_ARENA_BYTES);
        enum { size = 64 }; // struct home_channel, to a power of two
        pool_init(&thread->homes, size, BUS_TEST_CHANNELS,
                  bus_test_reserve(pool_space_bytes(size, BUS_TEST_CHANNELS)),
                  bus_test_reserve(pool_book_bytes(size, BUS_TEST_CHANNELS)));
        struct bus_options options = {
            .shared = test->shared,
            .self = i,
            .arena = &thread->arena,
            .counters = &thread->counters,
            .homes = i == BUS_TEST_CONTROL ? NULL : &thread->homes,
            .buckets = bus_test_reserve(table_book_bytes(BUS_TEST_CHANNELS)),
            .table_key = {1, 2},
            .epoch_base = 7000,
            .backlog_bytes_max = 64 << 20,
        };
        bus_init(&thread->bus, &options);
        bus_endpoint_set(&thread->bus, (struct io_doorbell){.bell = &thread->bell});
    }
    return test;
}

static inline struct bus *bus_of(struct bus_test *test, uint32_t thread) {
    return &test->threads[thread].bus;
}

// A channel whose home is that worker; `number` tells several apart.
static inline struct span name_at(struct bus_test *test, uint32_t home, uint32_t number,
                                  char text[32]) {
    for (uint32_t i = 0;; i++) {
        snprintf(text, 32, "chat.%u.%u", number, i);
        if (bus_home(bus_of(test, 0), span_text(text)) == home) {
            return span_text(text);
        }
    }
}

__attribute__((format(printf, 2, 3))) static inline void bus_test_log(struct bus_test *test,
                                                                      const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(test->log + test->log_bytes, BUS_TEST_LOG_BYTES - test->log_bytes,
                           format, arguments);
    va_end(arguments);
    test->log_bytes += (uint32_t)length;
    cr_assert_lt(test->log_bytes, BUS_TEST_LOG_BYTES);
}

static inline void bus_test_forget(struct bus_test *test) {
    test->log_bytes = 0;
    test->log[0] = 0;
}

// One event as a line: who got it, and what.
static inline void bus_test_note(struct bus_test *test, uint32_t thread,
                                 const struct bus_event *event) {
    const uint64_t *words = event->mail.words;
    switch (event->mail.kind) {
    case MAIL_DELIVER:
        bus_test_log(test, "%u deliver %lu %.*s%s\n", thread, (unsigned long)words[3],
                     (int)(event->body.length < 20 ? event->body.length : 20),
                     (const char *)event->body.data, words[0] != 0 ? " except" : "");
        return;
    case MAIL_JOINED:
        bus_test_log(test, "%u joined %lu %lu\n", thread, (unsigned long)words[0],
                     (unsigned long)words[1]);
        return;
    case MAIL_RECEIPT:
        bus_test_log(test, "%u receipt %lu %lu%s\n", thread, (unsigned long)words[0],
                     (unsigned long)words[1], words[2] != 0 ? " refused" : "");
        return;
    default:
        bus_test_log(test, "%u kind %u from %u %.*s\n", thread, event->mail.kind, event->source,
                     (int)(event->body.length < 20 ? event->body.length : 20),
                     (const char *)event->body.data);
        return;
    }
}

// One turn of a thread: all its mail, then the flush.
static inline void bus_test_turn(struct bus_test *test, uint32_t thread) {
    struct bus_event event;
    while (bus_next(bus_of(test, thread), &event)) {
        bus_test_note(test, thread, &event);
    }
    bus_flush(bus_of(test, thread));
}

// Turns until nothing moves any more.
static inline void bus_test_settle(struct bus_test *test) {
    for (uint32_t round = 0; round < 1000; round++) {
        bool is_quiet = true;
        for (uint32_t i = 0; i < BUS_TEST_THREADS; i++) {
            bus_test_turn(test, i);
        }
        for (uint32_t i = 0; i < BUS_TEST_THREADS; i++) {
            is_quiet = is_quiet && !bus_has_backlog(bus_of(test, i)) && bus_sleep(bus_of(test, i));
            bus_awake(bus_of(test, i));
        }
        if (is_quiet) {
            return;
        }
    }
    cr_assert(false, "it never settles");
}

static inline void bus_test_publish(struct bus_test *test, uint32_t thread, struct span name,
                                    const char *body, uint64_t receipt) {
    struct bus_publication publication = {
        .name = name, .body = span_text(body), .opcode = 1, .receipt_token = receipt};
    cr_assert(bus_publish(bus_of(test, thread), &publication));
}

static inline void bus_test_close(struct bus_test *test) {
    bus_test_settle(test);
    for (uint32_t i = 0; i < BUS_TEST_THREADS; i++) {
        struct bus_thread *thread = &test->threads[i];
        cr_assert_eq(thread->arena.used_bytes, 0, "thread %u holds %lu bytes", i,
                     (unsigned long)thread->arena.used_bytes);
        cr_assert_eq(thread->homes.used, 0);
        for (uint32_t target = 0; target < BUS_TEST_THREADS; target++) {
            cr_assert_eq(thread->bus.backlogs[target].bytes, 0);
        }
    }
    free(test);
}
