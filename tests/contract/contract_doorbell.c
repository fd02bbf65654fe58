// The doorbell (P7) and the race between falling asleep and being woken, with one ring and with
// several. Runs under TSan, too.
#include "tests/contract/contract.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

struct ringer {
    struct io_doorbell doorbell;
    struct client client; // or its bytes, as wakers of ring `ring_count` - 1
    uint32_t rounds;
    atomic_uint rung, heard;
};

// Waits until the owner has heard round `round`.
static void heard_wait(struct ringer *ringer, uint32_t round) {
    uint64_t end = contract_now_us() + RIG_WAIT_MS * 1000;
    while (atomic_load(&ringer->heard) < round) {
        expect(contract_now_us() < end, "round %u was never heard", round);
        sched_yield();
    }
}

// Rings as close as possible to the moment when the owner falls asleep: at once, or a little later.
static void *ring_rounds(void *argument) {
    struct ringer *ringer = argument;
    for (uint32_t i = 1; i <= ringer->rounds; i++) {
        for (volatile uint32_t pause = i * 7919 % 1500; pause > 0; pause--) {
        }
        atomic_store(&ringer->rung, i);
        io_doorbell_ring(ringer->doorbell);
        heard_wait(ringer, i);
    }
    return NULL;
}

static void *send_rounds(void *argument) {
    struct ringer *ringer = argument;
    for (uint32_t i = 1; i <= ringer->rounds; i++) {
        for (volatile uint32_t pause = i * 7919 % 1500; pause > 0; pause--) {
        }
        client_send(ringer->client, "x", 1);
        heard_wait(ringer, i);
    }
    return NULL;
}

static struct rig *rig_with_rings(uint32_t rings) {
    struct io_options options = rig_options(rings);
    struct rig *rig = rig_open(&options);
    for (uint32_t i = 1; i < rings; i++) {
        expect(io_ring_open(rig->io) == (int)i, "ring");
    }
    return rig;
}

static uint32_t round_count(void) {
    return contract_is_long() ? 1000000 : 100000;
}

// Each round is heard before the next is rung, so a lost one stops everything. The wait has no
// limit: nothing but the doorbell wakes.
static void doorbell_race(uint32_t rings) {
    struct rig *rig = rig_with_rings(rings);
    struct ringer ringer = {.doorbell = io_doorbell(rig->io), .rounds = round_count()};
    pthread_t thread;
    pthread_create(&thread, NULL, ring_rounds, &ringer);
    while (atomic_load(&ringer.heard) < ringer.rounds) {
        expect(io_turn(rig->io, UINT32_MAX) == 0, "turn");
        struct io_completion completion;
        while (io_next(rig->io, &completion)) {
            expect(completion.operation == IO_DOORBELL, "%d", completion.operation);
            expect(completion.more && completion.result >= 0, "%d", completion.result);
            atomic_store(&ringer.heard, atomic_load(&ringer.rung));
        }
    }
    pthread_join(thread, NULL);
    struct io_stats stats = io_stats(rig->io);
    printf("     %llu enters, %llu sleeps, %llu doorbells\n", (unsigned long long)stats.enters,
           (unsigned long long)stats.sleeps, (unsigned long long)stats.doorbells);
    rig_shut(rig);
}

static void no_ring_is_lost_with_one_ring(void) {
    doorbell_race(1);
}

static void no_ring_is_lost_with_three_rings(void) {
    doorbell_race(3);
}

// The waker is a byte on a socket of the last ring.
static void socket_race(uint32_t rings) {
    struct rig *rig = rig_with_rings(rings);
    struct pair pair;
    rig_pairs(rig, (uint8_t)(rings - 1), &pair, 1);
    io_poll(rig->io, pair.handle);
    struct ringer ringer = {.client = pair.client, .rounds = round_count()};
    pthread_t thread;
    pthread_create(&thread, NULL, send_rounds, &ringer);
    uint32_t heard = 0;
    uint8_t bytes[16];
    while (heard < ringer.rounds) {
        expect(io_turn(rig->io, UINT32_MAX) == 0, "turn");
        struct io_completion completion;
        while (io_next(rig->io, &completion)) {
            if (completion.operation == IO_POLL) {
                expect(completion.result == IO_POLL_IN && completion.more, "%d", completion.result);
                io_receive(rig->io, pair.handle, (struct span_mut){bytes, sizeof bytes});
            } else if (completion.result > 0) {
                expect(completion.result == 1, "%d", completion.result);
                atomic_store(&ringer.heard, ++heard);
            }
        }
    }
    pthread_join(thread, NULL);
    rig_close_polled(rig, &pair);
    rig_shut(rig);
}

static void no_byte_is_lost_with_one_ring(void) {
    socket_race(1);
}

static void no_byte_is_lost_with_three_rings(void) {
    socket_race(3);
}

static void rings_fold(void) {
    struct rig *rig = rig_with_rings(1);
    for (uint32_t i = 0; i < 1000; i++) {
        io_doorbell_ring(io_doorbell(rig->io));
    }
    rig_get(rig, IO_DOORBELL);
    rig_turn(rig, 20);
    rig_expect_none(rig, IO_DOORBELL, 20);
    rig_shut(rig);
}

// Rings go on while one ring becomes three.
static void no_ring_is_lost_while_rings_open(void) {
    enum { ROUNDS = 3000 };
    struct io_options options = rig_options(3);
    struct rig *rig = rig_open(&options);
    struct ringer ringer = {.doorbell = io_doorbell(rig->io), .rounds = ROUNDS};
    pthread_t thread;
    pthread_create(&thread, NULL, ring_rounds, &ringer);
    while (atomic_load(&ringer.heard) < ROUNDS) {
        uint32_t heard = atomic_load(&ringer.heard);
        if (heard >= ROUNDS / 3 * io_ring_count(rig->io)) {
            expect(io_ring_open(rig->io) == (int)io_ring_count(rig->io) - 1, "ring");
        }
        expect(io_turn(rig->io, UINT32_MAX) == 0, "turn");
        struct io_completion completion;
        while (io_next(rig->io, &completion)) {
            atomic_store(&ringer.heard, atomic_load(&ringer.rung));
        }
    }
    pthread_join(thread, NULL);
    expect(io_ring_count(rig->io) == 3, "%u", io_ring_count(rig->io));
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"no_ring_is_lost_with_one_ring", no_ring_is_lost_with_one_ring},
    {"no_ring_is_lost_with_three_rings", no_ring_is_lost_with_three_rings},
    {"no_byte_is_lost_with_one_ring", no_byte_is_lost_with_one_ring},
    {"no_byte_is_lost_with_three_rings", no_byte_is_lost_with_three_rings},
    {"rings_fold", rings_fold},
    {"no_ring_is_lost_while_rings_open", no_ring_is_lost_while_rings_open},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
