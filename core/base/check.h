// check() guards against our own bugs and is always compiled in. It never guards against what a
// peer, a backend, the kernel or a configuration can cause (STYLE.md, Errors).
#pragma once

// Writes the condition and its place to standard error and aborts. The process' SIGABRT handler
// adds the flight recorder. Never returns.
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define check(condition)                                                                           \
    (__builtin_expect(!!(condition), 1) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

// On functions whose returned trouble (the world's: 0 or -errno) must not be ignored.
#define MUST_USE __attribute__((warn_unused_result))
