// Flight recorder: the last TRACE_RECORDS transitions of a worker in a fixed ring, written always,
// read after a failed check, by a failing seed and by the admin API. 32 bytes a record.
#pragma once
#include <stdint.h>

enum { TRACE_RECORDS = 1024 }; // 32 KiB a worker

enum trace_kind {
    TRACE_NONE,
    TRACE_CONN_MOVE, // a = connection, b = from << 8 | to, c = fault id or 0
    TRACE_SLOT_MOVE, // a = ring << 24 | slot, b = from << 8 | to, c = result
    TRACE_FAULT,     // a = connection, b = fault id, c = close code
    TRACE_IO,        // a = operation, b = slot, c = result
    TRACE_WORKER,    // a = event, b and c free
    TRACE_KIND_COUNT
};

struct trace_record {
    uint64_t now_ms;
    uint32_t kind;
    uint32_t a, b;
    int32_t c;
    uint64_t sequence;
};

struct trace {
    uint64_t count;
    struct trace_record records[TRACE_RECORDS];
};

static inline void trace_add(struct trace *trace, uint64_t now_ms, enum trace_kind kind, uint32_t a,
                             uint32_t b, int32_t c) {
    struct trace_record *record = &trace->records[trace->count % TRACE_RECORDS];
    *record = (struct trace_record){
        .now_ms = now_ms, .kind = (uint32_t)kind, .a = a, .b = b, .c = c, .sequence = trace->count};
    trace->count++;
}
