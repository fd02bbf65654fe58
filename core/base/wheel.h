// Hierarchical timing wheel over entries embedded in an array of elements (one per connection, by
// index). Arming, moving and disarming are O(1). One kernel timeout drives the whole wheel. Owner:
// one worker.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

// 12 bytes inside each element. All zero = not armed. Written by the wheel alone.
struct wheel_entry {
    uint32_t next; // element index + 1, 0 = end
    uint32_t prev; // element index + 1, or a slot number tagged by the top bit: first in that slot
    uint32_t due;  // tick + 1, 0 = not armed
};

enum { WHEEL_TICK_MS = 16, WHEEL_LEVELS = 4, WHEEL_SLOTS = 64 };
// 64^4 ticks of 16 ms = 74 h. A later deadline is armed at that horizon and found "not yet due" by
// its owner, who arms it again.

// How the wheel finds the entry of an element: the owner's array may have holes between 2 MiB
// steps.
struct wheel {
    struct wheel_entry *(*entry_at)(void *context, uint32_t index);
    void *context;
    uint64_t tick;                   // all ticks up to and including this one are expired
    uint64_t occupied[WHEEL_LEVELS]; // one bit per slot
    // Heads of lists: the slots of all levels, then `late` (armed for the past: the next
    // wheel_advance makes them ready) and `ready` (expired, not yet taken by wheel_next).
    uint32_t heads[WHEEL_LEVELS * WHEEL_SLOTS + 2];
    uint32_t ready_final; // last of the ready list: element index + 1, 0 = the list is empty
    uint32_t armed_count; // ready entries included
};

// entry_at is called from every function below and must not call back into the wheel.
void wheel_init(struct wheel *wheel, struct wheel_entry *(*entry_at)(void *context, uint32_t index),
                void *context, uint64_t now_ms);
// Arms or moves the entry. It fires at the first wheel_advance whose now is at or after due_ms
// rounded up to a tick; a due in the past fires at the next.
void wheel_arm(struct wheel *wheel, uint32_t index, uint64_t due_ms);
void wheel_disarm(struct wheel *wheel, uint32_t index); // no effect when not armed
static inline bool wheel_is_armed(const struct wheel_entry *entry) {
    return entry->due != 0;
}
// Moves what is due to the ready list. A jump of any length costs at most one pass over the slots
// plus the entries in them. A now before the newest one moves nothing but what is armed for the
// past.
void wheel_advance(struct wheel *wheel, uint64_t now_ms);
// Takes one ready entry (now disarmed), first come first served, or returns false. The caller
// bounds how many it takes per turn.
bool wheel_next(struct wheel *wheel, uint32_t *index);
// Milliseconds until wheel_advance has work (0 if there is some already), or UINT32_MAX when
// nothing is armed. May be early (a cascade), never late.
uint32_t wheel_wait_ms(const struct wheel *wheel, uint64_t now_ms);
