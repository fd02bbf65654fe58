// Memory that is short for one turn of one thread: a pool or the arena refuses, or a mailbox has
// room for a few mails only. Done from outside, by bounds that may change at any time.
#pragma once
#include "tests/sim/sim.h"

struct squeeze {
    uint32_t *pool_limit;
    uint32_t pool_limit_before;
    uint64_t *arena_limit;
    uint64_t arena_limit_before;
    struct mailbox *mailbox;
    uint32_t tail_before, tail_squeezed;
};

void squeeze_begin(struct squeeze *squeeze, struct sim *sim, uint32_t thread);
void squeeze_end(struct squeeze *squeeze);
