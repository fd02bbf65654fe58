// What stands between a socket and a connection: received bytes to plaintext, outgoing spans to the
// bytes that are sent. Plain is the identity. The connection knows nothing of it; the worker alone
// calls it. Owner: one worker.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum stage_kind {
    STAGE_PLAIN, // bytes pass as they are, without a copy and without state
    STAGE_COUNT
};

// Whether the connection's own memory may be received into directly.
static inline bool stage_is_identity(enum stage_kind kind) {
    return kind == STAGE_PLAIN;
}

// Turns `received` into plaintext (possibly in place). Returns what may be fed to the connection.
static inline struct span_mut stage_receive(enum stage_kind kind, struct span_mut received) {
    (void)kind; // the only kind there is passes everything
    return received;
}

// Turns the pieces into what goes to the socket; returns their number. A sealed piece is owned by
// the stage until the send has ended.
static inline uint32_t stage_send(enum stage_kind kind, struct span *pieces, uint32_t piece_count) {
    (void)kind; // as above
    (void)pieces;
    return piece_count;
}
