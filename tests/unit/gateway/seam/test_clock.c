// The clocks run, forward, and agree with each other.
#include "gateway/seam/clock.h"

#include <criterion/criterion.h>
#include <time.h>

Test(clock, monotonic_ones_never_go_back_and_agree) {
    uint64_t before_ns = clock_now_ns();
    uint64_t ms = clock_now_ms();
    uint64_t after_ns = clock_now_ns();
    cr_assert(ms > 0);
    cr_assert(before_ns / 1000000 <= ms && ms <= after_ns / 1000000);
}

Test(clock, a_pause_is_seen) {
    uint64_t before_ms = clock_now_ms();
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    cr_assert(clock_now_ms() - before_ms >= 19);
}

Test(clock, wall_time_is_that_of_the_system) {
    uint64_t before = (uint64_t)time(NULL);
    uint64_t wall_ms = clock_wall_ms();
    cr_assert(wall_ms / 1000 + 1 >= before && wall_ms / 1000 <= (uint64_t)time(NULL) + 1);
}
