// Assertions for inner loops. Criterion reports every cr_assert that passes through a pipe, about a
// microsecond each; expect() costs a branch and speaks only when it fails.
#pragma once
#include <criterion/criterion.h>

// `...` is a format string and its arguments, which should say where in the loop it was.
#define expect(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            cr_assert(0, __VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)
