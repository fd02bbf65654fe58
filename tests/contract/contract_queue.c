// Queues that are full, waits that are interrupted, time that passes (P1, P2).
#include "tests/contract/contract.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

// Three times what the submission queue holds, prepared at once: each is answered once.
static void more_operations_than_the_queue_holds(void) {
    enum { SUBMISSIONS = 32, COUNT = 3 * SUBMISSIONS };
    struct io_options options = rig_options(1);
    options.submissions = SUBMISSIONS;
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    uint64_t full_before = io_stats(rig->io).submission_full;
    uint8_t bytes[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        struct io_handle handle = {.slot = pair.handle.slot, .generation = (uint16_t)i};
        io_receive(rig->io, handle, (struct span_mut){bytes + i, 1});
    }
    expect(io_stats(rig->io).submission_full >= full_before + 2, "not counted");
    for (uint32_t i = 0; i < COUNT; i++) {
        struct io_completion received = rig_get(rig, IO_RECEIVE);
        // Receives of nothing end in the order in which they reach the kernel.
        expect(received.result == -EAGAIN && received.generation == i, "%u", received.generation);
    }
    rig_close(rig, &pair);
    rig_shut(rig);
}

// The same with sends: what reaches the peer is in the order of preparation.
static void the_order_of_preparation(void) {
    enum { SUBMISSIONS = 8, COUNT = 5 * SUBMISSIONS };
    struct io_options options = rig_options(1);
    options.submissions = SUBMISSIONS;
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    uint8_t bytes[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        bytes[i] = (uint8_t)i;
        io_send(rig->io, pair.handle, (struct span){bytes + i, 1});
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        expect(rig_get(rig, IO_SEND).result == 1, "send");
    }
    client_expect(pair.client, bytes, COUNT);
    rig_close(rig, &pair);
    rig_shut(rig);
}

// Gathered sends of several sockets around a full submission queue: each peer gets its own bytes.
// The array of pieces is the caller's again after the call, so what the kernel reads is a copy,
// which the queue's submission must not hand to the next send too early.
static void gathered_sends_keep_their_bytes_when_the_queue_fills(void) {
    enum { SUBMISSIONS = 8, PEERS = 12 };
    struct io_options options = rig_options(1);
    options.submissions = SUBMISSIONS;
    struct rig *rig = rig_open(&options);
    struct pair pairs[PEERS];
    rig_pairs(rig, 0, pairs, PEERS);
    uint8_t byte;
    uint8_t bytes[PEERS][2];
    for (uint32_t lead = 0; lead <= SUBMISSIONS; lead++) {
        for (uint32_t i = 0; i < lead; i++) {
            io_receive(rig->io, pairs[0].handle, (struct span_mut){&byte, 1});
        }
        for (uint32_t i = 0; i < PEERS; i++) {
            bytes[i][0] = (uint8_t)i;
            bytes[i][1] = (uint8_t)(100 + i);
            struct span pieces[2] = {{bytes[i], 1}, {bytes[i] + 1, 1}};
            io_sendmsg(rig->io, pairs[i].handle, pieces, 2);
        }
        for (uint32_t i = 0; i < PEERS; i++) {
            expect(rig_get(rig, IO_SENDMSG).result == 2, "send");
        }
        for (uint32_t i = 0; i < lead; i++) {
            expect(rig_get(rig, IO_RECEIVE).result == -EAGAIN, "receive");
        }
        for (uint32_t i = 0; i < PEERS; i++) {
            client_expect(pairs[i].client, bytes[i], 2);
        }
    }
    for (uint32_t i = 0; i < PEERS; i++) {
        rig_close(rig, &pairs[i]);
    }
    rig_shut(rig);
}

// Many times what the completion queue holds, none taken meanwhile.
static void the_completion_queue_overflows(void) {
    enum { COMPLETIONS = 16, COUNT = 40 * COMPLETIONS };
    struct io_options options = rig_options(1);
    options.submissions = 16;
    options.completions = COMPLETIONS;
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    uint8_t byte;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct io_handle handle = {.slot = pair.handle.slot, .generation = (uint16_t)i};
        io_receive(rig->io, handle, (struct span_mut){&byte, 1});
    }
    io_doorbell_ring(io_doorbell(rig->io));
    bool is_seen[COUNT] = {false};
    for (uint32_t i = 0; i < COUNT; i++) {
        struct io_completion received = rig_get(rig, IO_RECEIVE);
        expect(received.result == -EAGAIN && !received.more, "%d", received.result);
        expect(!is_seen[received.generation], "answered twice");
        is_seen[received.generation] = true;
    }
    expect(io_stats(rig->io).completion_overflows > 0, "not counted");
    rig_get(rig, IO_DOORBELL);
    rig_close(rig, &pair);
    rig_shut(rig);
}

static void a_turn_has_a_budget(void) {
    enum { COUNT = COMPLETIONS_TURN_MAX + 500 };
    struct io_options options = rig_options(1);
    options.submissions = 256;
    options.completions = 4096;
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    uint8_t byte;
    for (uint32_t i = 0; i < COUNT; i++) {
        io_receive(rig->io, pair.handle, (struct span_mut){&byte, 1});
    }
    uint32_t first = rig_turn(rig, 0);
    expect(first == COMPLETIONS_TURN_MAX, "%u", first);
    uint64_t started = contract_now_us();
    uint32_t second = rig_turn(rig, 5000); // what is left is there: no wait
    expect(second == COUNT - COMPLETIONS_TURN_MAX, "%u", second);
    expect(contract_now_us() - started < 1000000, "it waited");
    rig->kept_count = 0;
    rig_close(rig, &pair);
    rig_shut(rig);
}

// Prepares from inside the loop over completions, so that the queue fills and is submitted while
// completions are being taken.
static void prepares_while_taking(void) {
    enum { COUNT = 20000 };
    struct io_options options = rig_options(1);
    options.submissions = 8;
    options.completions = 8;
    struct rig *rig = rig_open(&options);
    struct pair pairs[20];
    rig_pairs(rig, 0, pairs, 20);
    uint32_t prepared = 0;
    uint32_t answered = 0;
    uint8_t byte;
    for (; prepared < 20; prepared++) {
        io_receive(rig->io, pairs[prepared].handle, (struct span_mut){&byte, 1});
    }
    while (answered < COUNT) {
        expect(io_turn(rig->io, 1000) == 0, "turn");
        struct io_completion completion;
        while (io_next(rig->io, &completion)) {
            expect(completion.operation == IO_RECEIVE && completion.result == -EAGAIN, "%d",
                   completion.result);
            answered++;
            for (uint32_t i = 0; i < 2 && prepared < COUNT; i++) {
                io_receive(rig->io, pairs[prepared++ % 20].handle, (struct span_mut){&byte, 1});
            }
        }
    }
    expect(answered == COUNT && prepared == COUNT, "%u %u", answered, prepared);
    for (uint32_t i = 0; i < 20; i++) {
        rig_close(rig, &pairs[i]);
    }
    rig_shut(rig);
}

static void on_alarm(int signal_number) {
    (void)signal_number; // it only interrupts
}

static void signal_storm(uint32_t rings) {
    struct io_options options = rig_options(rings);
    struct rig *rig = rig_open(&options);
    for (uint32_t i = 1; i < rings; i++) {
        expect(io_ring_open(rig->io) == (int)i, "ring");
    }
    struct pair pair;
    rig_pairs(rig, (uint8_t)(rings - 1), &pair, 1);
    struct sigaction action = {.sa_handler = on_alarm}; // no SA_RESTART
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {.it_interval = {.tv_usec = 150}, .it_value = {.tv_usec = 150}};
    setitimer(ITIMER_REAL, &timer, NULL);
    uint32_t rounds = contract_is_long() ? 50000 : 5000;
    for (uint32_t i = 0; i < rounds; i++) {
        io_send(rig->io, pair.handle, (struct span){(uint8_t *)&i, 4});
        struct io_completion sent = rig_get(rig, IO_SEND);
        expect(sent.result == 4, "%d", sent.result);
        uint32_t found;
        ssize_t result;
        do {
            result = read(pair.client.file, &found, 4);
        } while (result < 0 && errno == EINTR);
        expect(result == 4 && found == i, "%zd", result);
        if (i % 64 == 0) {
            rig_turn(rig, 1); // sleeps, and is interrupted
        }
    }
    timer = (struct itimerval){0};
    setitimer(ITIMER_REAL, &timer, NULL);
    alarm(100);
    rig_close(rig, &pair);
    rig_shut(rig);
}

static void signals_with_one_ring(void) {
    signal_storm(1);
}

static void signals_with_three_rings(void) {
    signal_storm(3);
}

// What is waited for at most. One that waits twice (liburing 2.3 does after a wait that also
// submitted) would be seen.
static void waits(uint32_t rings) {
    struct io_options options = rig_options(rings);
    struct rig *rig = rig_open(&options);
    for (uint32_t i = 1; i < rings; i++) {
        expect(io_ring_open(rig->io) == (int)i, "ring");
    }
    struct pair pairs[2];
    rig_pairs(rig, (uint8_t)(rings - 1), pairs, 2);
    for (uint32_t i = 0; i < 2; i++) {
        // The first turn submits a poll that does not complete, the second nothing.
        if (i == 0) {
            io_poll(rig->io, pairs[0].handle);
        }
        uint64_t started = contract_now_us();
        rig_turn(rig, 200);
        uint64_t took = contract_now_us() - started;
        expect(took >= 199000, "only %llu us", (unsigned long long)took);
        expect(took < 380000, "%llu us", (unsigned long long)took);
        expect(rig->kept_count == 0, "a completion");
    }
    uint64_t started = contract_now_us();
    rig_turn(rig, 0);
    io_poll(rig->io, pairs[1].handle);
    rig_turn(rig, 0);
    expect(contract_now_us() - started < 100000, "it waited");
    client_send(pairs[1].client, "x", 1);
    started = contract_now_us();
    while (rig->kept_count == 0) {
        rig_turn(rig, UINT32_MAX);
    }
    expect(contract_now_us() - started < 1000000, "it waited");
    rig->kept_count = 0;
    uint8_t byte;
    rig_receive(rig, &pairs[1], &byte, 1);
    rig_close_polled(rig, &pairs[0]);
    rig_close_polled(rig, &pairs[1]);
    rig_shut(rig);
}

static void waits_with_one_ring(void) {
    waits(1);
}

static void waits_with_three_rings(void) {
    waits(3);
}

struct foreign {
    struct rig *rig;
    int result;
};

static void *foreign_turn(void *argument) {
    struct foreign *foreign = argument;
    foreign->result = io_turn(foreign->rig->io, 0);
    return NULL;
}

// With something to submit, so that the ring would be entered.
static void a_foreign_thread_is_refused(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    uint8_t byte;
    io_receive(rig->io, pair.handle, (struct span_mut){&byte, 1});
    struct foreign foreign = {.rig = rig};
    pthread_t thread;
    pthread_create(&thread, NULL, foreign_turn, &foreign);
    pthread_join(thread, NULL);
    expect(foreign.result == -EEXIST, "%d", foreign.result);
    expect(rig_get(rig, IO_RECEIVE).result == -EAGAIN, "the owner goes on");
    rig_close(rig, &pair);
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"more_operations_than_the_queue_holds", more_operations_than_the_queue_holds},
    {"the_order_of_preparation", the_order_of_preparation},
    {"gathered_sends_keep_their_bytes_when_the_queue_fills",
     gathered_sends_keep_their_bytes_when_the_queue_fills},
    {"the_completion_queue_overflows", the_completion_queue_overflows},
    {"a_turn_has_a_budget", a_turn_has_a_budget},
    {"prepares_while_taking", prepares_while_taking},
    {"signals_with_one_ring", signals_with_one_ring},
    {"signals_with_three_rings", signals_with_three_rings},
    {"waits_with_one_ring", waits_with_one_ring},
    {"waits_with_three_rings", waits_with_three_rings},
    {"a_foreign_thread_is_refused", a_foreign_thread_is_refused},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
