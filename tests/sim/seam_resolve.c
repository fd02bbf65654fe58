// In place of gateway/seam/resolve.c, without its thread: names of services' servers, whose
// addresses come and go as the world draws. One look-up at a time, each takes its time.
#include "gateway/seam/resolve.h"

#include <errno.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/service.h"
#include "tests/sim/sim_io.h"

enum { LOOK_UP_US = 20 * 1000, SLOW_US = 3 * 1000 * 1000, CANDIDATES_MAX = 3 };

static const struct {
    const char *host;
    uint8_t services[CANDIDATES_MAX]; // that it may have, in order of their addresses
    uint8_t service_count;
} names[] = {{"web.test", {1, 4, 5}, 3}, {"feed.test", {2, 4}, 2}};
enum { NAMES = sizeof names / sizeof names[0] };

struct question {
    uint64_t token;
    uint32_t name;
};

struct resolver {
    void (*wake)(void *context);
    void *context;
    struct question questions[RESOLVE_PENDING_MAX]; // the oldest first
    uint32_t count;
    uint32_t has[NAMES]; // bits of its services: what it has at present
    bool is_ready;       // the answer to the oldest is there
    uint64_t life;       // of the world's; what an older one planned is void
};
static struct resolver resolver; // one in a process, as its world

static void on_answer(struct sim *sim, void *context, uint64_t life) {
    (void)sim;
    (void)context;
    if (life == resolver.life && resolver.count > 0 && !resolver.is_ready) {
        resolver.is_ready = true;
        resolver.wake(resolver.context);
    }
}

static void look_up(void) {
    struct sim *sim = sim_world;
    bool is_slow = sim_fault(sim, SIM_FAULT_name_slow);
    uint32_t delay_us = 1 + sim_below(sim, is_slow ? SLOW_US : LOOK_UP_US);
    sim_after(sim, delay_us, on_answer, NULL, resolver.life);
}

struct resolver *resolve_open(void (*wake)(void *context), void *context) {
    uint64_t life = resolver.life + 1;
    resolver = (struct resolver){.wake = wake, .context = context, .life = life};
    for (uint32_t i = 0; i < NAMES; i++) {
        resolver.has[i] = 1;
    }
    return &resolver;
}

void resolve_close(struct resolver **closed) {
    resolver.life++;
    resolver.count = 0;
    *closed = NULL;
}

int resolve_submit(struct resolver *asked, struct span host, uint64_t token) {
    if (asked->count == RESOLVE_PENDING_MAX) {
        return -EAGAIN;
    }
    uint32_t name = 0;
    while (!span_is(host, names[name].host)) {
        name++;
        check(name < NAMES); // the configuration names no other
    }
    asked->questions[asked->count++] = (struct question){.token = token, .name = name};
    if (asked->count == 1) {
        look_up();
    }
    return 0;
}

// What the name has from now on: never nothing, that is a failure.
static uint32_t has_draw(uint32_t name) {
    struct sim *sim = sim_world;
    uint32_t all = (1u << names[name].service_count) - 1;
    return sim_fault(sim, SIM_FAULT_name_changes) ? 1 + sim_below(sim, all) : resolver.has[name];
}

bool resolve_next(struct resolver *asked, struct resolve_answer *answer) {
    if (!asked->is_ready) {
        return false;
    }
    struct question question = asked->questions[0];
    asked->count--;
    memmove(asked->questions, asked->questions + 1, asked->count * sizeof question);
    asked->is_ready = false;
    *answer = (struct resolve_answer){.token = question.token};
    if (sim_fault(sim_world, SIM_FAULT_name_fails)) {
        answer->problem = "the world has lost it";
    } else {
        asked->has[question.name] = has_draw(question.name);
        for (uint32_t i = 0; i < names[question.name].service_count; i++) {
            if ((asked->has[question.name] >> i & 1) != 0) {
                struct address address = service_address(names[question.name].services[i]);
                address.port = 0;
                answer->addresses[answer->count++] = address;
            }
        }
    }
    if (asked->count > 0) {
        look_up();
    }
    return true;
}
