// The seams of gateway/seam from the world: its clock, its chance. The log is the real one; its
// lines leave by io_write.
#include "core/base/check.h"
#include "gateway/seam/clock.h"
#include "gateway/seam/entropy.h"
#include "tests/sim/sim_io.h"

uint64_t clock_now_ms(void) {
    return sim_world->now_us / 1000;
}

uint64_t clock_now_ns(void) {
    return sim_world->now_us * 1000;
}

uint64_t clock_wall_ms(void) {
    return sim_world->wall_ms;
}

int entropy_fill(void *bytes, size_t length) {
    uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++) {
        at[i] = (uint8_t)prng_next(&sim_world->prng);
    }
    return 0;
}
