// The flight recorders of all workers, written to standard error when a check fails or the process
// is hit by a fatal signal.
#pragma once
#include "core/base/trace.h"

#include <stdint.h>

// Installs handlers for SIGABRT, SIGSEGV, SIGBUS, SIGILL and SIGFPE that write the recorders and
// then die by the same signal.
void flight_open(void);
// Registers a worker's recorder; it must live until the process ends or flight_forget.
void flight_add(uint32_t worker, const struct trace *trace);
void flight_forget(void);
// The end of every recorder, to standard error. May be called in a signal's handler.
void flight_write(void);
