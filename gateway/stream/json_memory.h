// jansson's memory: the arena of the thread that calls it, so that what a client sends can never
// take more than that arena has (DESIGN.md section 6).
#pragma once
#include "core/base/arena.h"

// Once per process, before any thread uses jansson.
void json_memory_init(void);
// Once per thread: the one thread-local pointer that process-wide hooks need. NULL: the thread's
// jansson calls fail.
void json_memory_set(struct arena *arena);
