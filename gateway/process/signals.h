// Signals as counts that the control thread reads in its turn. Process-wide by nature: the one
// place with a changing global.
#pragma once
#include "gateway/io/io.h"

#include <stdbool.h>

// Installs handlers for SIGTERM, SIGINT and SIGHUP (ring the doorbell), ignores SIGPIPE.
// Call before threads start; they inherit the mask. The flight recorders are written on SIGABRT
// (flight.h).
void signals_open(struct io_doorbell doorbell);
// Ignores them from now on: the doorbell is about to go, and the process with it.
void signals_close(void);
// How many of each have come since the last call; a storm of one kind counts as it is read:
// coalesced by the caller.
struct signals_seen {
    unsigned terminate, reload;
};
struct signals_seen signals_take(void);
// Blocks all of them in the calling thread: workers are never interrupted.
void signals_block(void);
