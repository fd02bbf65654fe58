// Faults are data: a decoder returns a pointer to the row; the close machine takes its code, the
// log its text, the metrics their counter. A fault is the peer's or the operator's doing, never our
// bug (that is check()).
#pragma once
#include <stdint.h>

enum fault_id {
#define FAULT(name, code, status, text) FAULT_##name,
#include "core/base/fault_table.h"
#undef FAULT
    FAULT_COUNT
};

struct fault {
    const char *name;     // also the metric label
    const char *text;     // for the log and, where harmless, the Close reason
    uint16_t close_code;  // 0: none is sent
    uint16_t http_status; // 0: cannot happen before the upgrade
    uint8_t id;           // enum fault_id
};

extern const struct fault fault_table[FAULT_COUNT];

static inline const struct fault *fault_get(enum fault_id id) {
    return &fault_table[id];
}
