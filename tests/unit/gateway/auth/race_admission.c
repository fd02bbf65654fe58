// Four threads enter and leave at random: the limits hold at every moment, and in the end every
// count is what it was. Plain, for TSan.
#include "gateway/auth/admission.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, STEPS = 200000, ADDRESSES = 40, LIMIT = 6, PER_ADDRESS = 2, HOLD = 4 };

struct world {
    struct admission *admission;
    _Atomic uint32_t route_open;
    _Atomic uint32_t open;                  // counted here, after entering and before leaving
    _Atomic uint32_t by_address[ADDRESSES]; // same
    _Atomic uint32_t routed;
    _Atomic uint32_t granted;
    _Atomic uint32_t refused;
    _Atomic uint32_t tokens;
    _Atomic uint32_t wrong;
};

struct thread {
    pthread_t id;
    struct world *world;
    uint64_t state;
    struct admission_tokens tokens;
    uint32_t held[HOLD]; // number of an address + 1
};

static struct address address_of(uint32_t number) {
    struct address address = {.kind = ADDRESS_IP};
    address.ip[10] = address.ip[11] = 0xff;
    address.ip[15] = (uint8_t)number;
    return address;
}

static void enter(struct thread *thread, uint32_t place, uint32_t number) {
    struct world *world = thread->world;
    struct address address = address_of(number);
    if (admission_enter(world->admission, &address, false) != ADMISSION_GRANTED) {
        atomic_fetch_add(&world->refused, 1);
        return;
    }
    if (atomic_fetch_add(&world->open, 1) >= LIMIT ||
        atomic_fetch_add(&world->by_address[number], 1) >= PER_ADDRESS) {
        atomic_store(&world->wrong, 1);
    }
    atomic_fetch_add(&world->granted, 1);
    thread->held[place] = number + 1;
}

static void leave(struct thread *thread, uint32_t place) {
    struct world *world = thread->world;
    uint32_t number = thread->held[place] - 1;
    struct address address = address_of(number);
    atomic_fetch_sub(&world->open, 1);
    atomic_fetch_sub(&world->by_address[number], 1);
    admission_leave(world->admission, &address, false);
    thread->held[place] = 0;
}

static void *run(void *context) {
    struct thread *thread = context;
    struct world *world = thread->world;
    for (uint32_t step = 0; step < STEPS; step++) {
        thread->state = thread->state * 6364136223846793005u + 1442695040888963407u;
        uint32_t place = (uint32_t)(thread->state >> 40) % HOLD;
        if (thread->held[place] == 0) {
            enter(thread, place, (uint32_t)(thread->state >> 50) % ADDRESSES);
        } else {
            leave(thread, place);
        }
        if (admission_route_enter(&world->route_open, 2)) {
            if (atomic_fetch_add(&world->routed, 1) >= 2) {
                atomic_store(&world->wrong, 2);
            }
            atomic_fetch_sub(&world->routed, 1);
            admission_route_leave(&world->route_open);
        }
        // Every thread sees the same second, in its own pace: together they get one second's rate.
        uint64_t now_ms = 5000 + (uint64_t)step * 1000 / STEPS;
        atomic_fetch_add(&world->tokens,
                         admission_token_take(world->admission, &thread->tokens, now_ms));
    }
    for (uint32_t place = 0; place < HOLD; place++) {
        if (thread->held[place] != 0) {
            leave(thread, place);
        }
    }
    return NULL;
}

int main(void) {
    enum { RATE = 10000 };
    struct admission_limits limits = {
        .connections = LIMIT, .per_address = PER_ADDRESS, .handshakes_per_second = RATE};
    uint64_t length = (admission_bytes(limits.connections) + 63) / 64 * 64;
    uint8_t *data = aligned_alloc(64, length);
    static struct world world;
    static struct thread threads[THREADS];
    if (data == NULL) {
        return 1;
    }
    memset(data, 0, length);
    static const uint64_t key[2] = {1, 2};
    world.admission = admission_init((struct memory){.data = data, .length = length}, &limits, key);
    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.world = &world, .state = i + 1};
        if (pthread_create(&threads[i].id, NULL, run, &threads[i]) != 0) {
            return 1;
        }
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
    }
    printf("%u granted, %u refused, %u tokens\n", world.granted, world.refused, world.tokens);
    bool is_empty = admission_open_count(world.admission) == 0 && world.route_open == 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) { // nothing of an address is left
        struct address address = address_of(i);
        is_empty = is_empty &&
                   admission_address_enter(world.admission, &address, 0, 1) == ADMISSION_GRANTED;
    }
    free(data);
    // Unused tokens of a window are lost with it: so many at most, never more.
    return world.wrong != 0 || !is_empty || world.granted == 0 || world.refused == 0 ||
           world.tokens > RATE;
}
