// Counters of one worker, plain numbers owned by its thread; the control thread gets copies by
// mailbox.
#pragma once
#include "core/base/fault.h"

#include <stdint.h>

enum counter_id {
#define COUNTER(name, help) COUNTER_##name,
#include "core/base/counter_table.h"
#undef COUNTER
    COUNTER_COUNT
};

struct counters {
    uint64_t values[COUNTER_COUNT];
    uint64_t faults[FAULT_COUNT];           // one per ended connection or refused request
    uint64_t close_codes_sent[5000 - 1000]; // index code - 1000; 1006 counts cuts
};

static inline void counter_add(struct counters *counters, enum counter_id id, uint64_t amount) {
    counters->values[id] += amount;
}

struct counter_text {
    const char *name, *help;
};
extern const struct counter_text counter_texts[COUNTER_COUNT];
