// For the tests of gateway/worker: its part that passes requests on, over reserved memory, with
// nothing to pass to.
#pragma once
#include "gateway/worker/worker.h"
#include "tests/unit/core/conn/conn_test.h"

static inline void services_make(struct worker *worker, uint32_t connection_max) {
    struct upstreams_memory memory = {.line_max = 16, .exchange_max = 16};
    upstreams_memory_size(&memory);
    struct memory *ranges[] = {&memory.line_space,    &memory.line_book,  &memory.exchange_space,
                               &memory.exchange_book, &memory.touched,    &memory.items,
                               &memory.secure_space,  &memory.secure_book};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = conn_test_reserve(ranges[i]->length);
    }
    worker->upstreams =
        (struct upstreams){.link = &worker->clients.link,
                           .arena = &worker->arena,
                           .outboxes = &worker->clients.conns.outboxes,
                           .counters = &worker->counters,
                           .answer_ns = &worker->answer_ns,
                           .owner = {.context = &worker->proxy, .on_event = proxy_on_event}};
    upstreams_init(&worker->upstreams, &memory, worker->now_us);
    uint64_t relays_bytes = (connection_max + 1) * sizeof(uint32_t);
    worker->proxy =
        (struct proxy){.conns = &worker->clients.conns,
                       .upstreams = &worker->upstreams,
                       .arena = &worker->arena,
                       .relays = (uint32_t *)(void *)conn_test_reserve(relays_bytes).data};
    worker->stream.proxy = &worker->proxy;
    struct forwards_memory forwards;
    forwards_memory_size(&forwards);
    struct memory *parts[] = {&forwards.ask_space, &forwards.ask_book, &forwards.entry_space,
                              &forwards.entry_book, &forwards.buckets};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i] = conn_test_reserve(parts[i]->length);
    }
    worker->forwards = (struct forwards){
        .upstreams = &worker->upstreams, .arena = &worker->arena, .counters = &worker->counters};
    forwards_init(&worker->forwards, &forwards, (const uint64_t[4]){1, 2, 3, 4});
    worker->stream.forwards = &worker->forwards;
}
