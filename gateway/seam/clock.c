#include "gateway/seam/clock.h"

#include "core/base/check.h"

#include <time.h>

static uint64_t clock_read_ns(clockid_t id) {
    struct timespec now;
    int status = clock_gettime(id, &now);
    check(status == 0); // fails for a clock that does not exist only
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ms(void) {
    uint64_t now_ms = clock_read_ns(CLOCK_MONOTONIC) / 1000000;
    return now_ms > 0 ? now_ms : 1; // 0 means "never" everywhere
}

uint64_t clock_now_ns(void) {
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void) {
    return clock_read_ns(CLOCK_REALTIME) / 1000000;
}
