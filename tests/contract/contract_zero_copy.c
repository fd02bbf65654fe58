// Sends from lent memory (P10): what leaves without a copy, when it completes, what a cancel does.
// Loopback copies what it delivers, so what can be seen here of memory that is not the kernel's own
// is what the peer has not taken yet.
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum {
    STEP = 2 << 20,
    STEPS = 3,
    PATIENCE_MS = 30,
    LOCKED_BY_RING = 1 << 20, // newer kernels (6.18) count the queues of a ring as well
};

struct lender {
    struct rig *rig;
    struct memory memory; // STEPS steps
    struct pair pair;
};

static struct lender *lender_open(uint32_t ring_max) {
    struct lender *lender = calloc(1, sizeof *lender);
    struct io_options options = rig_options(ring_max);
    lender->rig = rig_open(&options);
    // Not aligned to a step, like an arena in the middle of a reservation.
    uint8_t *map = mmap(NULL, (STEPS + 1) * STEP, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(map != MAP_FAILED, "%s", strerror(errno));
    lender->memory = (struct memory){.data = map + 4096, .length = STEPS * STEP};
    expect(io_memory_lend(lender->rig->io, lender->memory) == 0, "lend");
    rig_pairs(lender->rig, 0, &lender->pair, 1);
    return lender;
}

static void lender_shut(struct lender *lender) {
    rig_close(lender->rig, &lender->pair);
    rig_shut(lender->rig);
    free(lender);
}

// Bytes that tell their place and `round`.
static void pattern_put(uint8_t *bytes, uint32_t length, uint32_t round) {
    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)((i + round * 977) * 2654435761u >> 24);
    }
}

static void pattern_expect(struct client client, uint32_t length, uint32_t round) {
    uint8_t *wanted = malloc(length);
    pattern_put(wanted, length, round);
    client_expect(client, wanted, length);
    free(wanted);
}

static uint64_t zero_copies(const struct lender *lender) {
    return io_stats(lender->rig->io).zero_copy_sends;
}

// One send that the peer takes.
static void send_whole(struct lender *lender, const uint8_t *data, uint32_t length,
                       uint32_t round) {
    io_send(lender->rig->io, lender->pair.handle, (struct span){data, length});
    rig_turn(lender->rig, 1);
    pattern_expect(lender->pair.client, length, round);
    struct io_completion sent = rig_get(lender->rig, IO_SEND);
    expect(sent.result == (int32_t)length && !sent.more, "%d", sent.result);
    expect(sent.slot == lender->pair.handle.slot &&
               sent.generation == lender->pair.handle.generation,
           "slot %u", sent.slot);
}

static void a_large_send_from_lent_memory_arrives(void) {
    struct lender *lender = lender_open(1);
    for (uint32_t round = 0; round < 50; round++) {
        uint8_t *data = lender->memory.data + (round % STEPS) * STEP + round * 64;
        pattern_put(data, 200000, round);
        send_whole(lender, data, 200000, round);
    }
    lender_shut(lender);
}

static void what_leaves_without_a_copy(void) {
    struct lender *lender = lender_open(1);
    static uint8_t elsewhere[ZERO_COPY_BYTES_MIN];
    uint8_t *first = lender->memory.data;
    uint8_t *end = first + STEPS * STEP;
    const struct {
        const uint8_t *data;
        uint32_t length;
        uint32_t count;
    } sends[] = {
        {first, ZERO_COPY_BYTES_MIN - 1, 0},
        {first, ZERO_COPY_BYTES_MIN, 1},
        {first, ZERO_COPY_BYTES_MIN + 1, 1},
        {first + STEP - ZERO_COPY_BYTES_MIN, ZERO_COPY_BYTES_MIN, 1},
        {first + STEP - ZERO_COPY_BYTES_MIN + 1, ZERO_COPY_BYTES_MIN, 0}, // in two steps
        {end - ZERO_COPY_BYTES_MIN, ZERO_COPY_BYTES_MIN, 1},
        {elsewhere, sizeof elsewhere, 0},
    };
    for (uint32_t i = 0; i < sizeof sends / sizeof sends[0]; i++) {
        uint64_t before = zero_copies(lender);
        pattern_put((uint8_t *)(uintptr_t)sends[i].data, sends[i].length, i);
        send_whole(lender, sends[i].data, sends[i].length, i);
        expect(zero_copies(lender) - before == sends[i].count, "send %u", i);
    }
    uint64_t before = zero_copies(lender);
    struct span pieces[2] = {{first, ZERO_COPY_BYTES_MIN}, {first, ZERO_COPY_BYTES_MIN}};
    io_sendmsg(lender->rig->io, lender->pair.handle, pieces, 2);
    client_expect(lender->pair.client, first, 0);
    expect(rig_get(lender->rig, IO_SENDMSG).result == 2 * ZERO_COPY_BYTES_MIN, "gathered");
    expect(zero_copies(lender) == before, "gathered sends are copied");
    client_expect(lender->pair.client, first, ZERO_COPY_BYTES_MIN);
    client_expect(lender->pair.client, first, ZERO_COPY_BYTES_MIN);
    lender_shut(lender);
}

// What waits in the socket is our memory: the operation is over when the peer has all of it.
static void it_completes_when_the_peer_has_it(void) {
    enum { LENGTH = 1 << 20 };
    struct lender *lender = lender_open(1);
    uint8_t *data = lender->memory.data;
    pattern_put(data, LENGTH, 1);
    io_send(lender->rig->io, lender->pair.handle, (struct span){data, LENGTH});
    rig_expect_none(lender->rig, IO_SEND, PATIENCE_MS);
    uint8_t *found = malloc(LENGTH);
    uint32_t count = 0;
    struct io_completion sent = {.operation = IO_NONE};
    while (count < LENGTH) {
        int64_t result =
            client_receive(lender->pair.client, found + count, LENGTH - count, PATIENCE_MS);
        expect(result > 0 || result == -EAGAIN, "%lld", (long long)result);
        count += result > 0 ? (uint32_t)result : 0;
        rig_turn(lender->rig, 1);
        if (rig_find(lender->rig, IO_SEND, &sent)) {
            memset(data, 0xff, LENGTH); // ours again: nobody may notice
        }
    }
    if (sent.operation == IO_NONE) {
        sent = rig_get(lender->rig, IO_SEND);
    }
    expect(sent.result == LENGTH, "%d", sent.result);
    pattern_put(data, LENGTH, 1);
    expect(memcmp(found, data, LENGTH) == 0, "bytes changed after the completion arrived");
    free(found);
    lender_shut(lender);
}

static void a_cancelled_one_resets_the_peer(void) {
    enum { LENGTH = 1 << 20 };
    struct lender *lender = lender_open(1);
    pattern_put(lender->memory.data, LENGTH, 2);
    io_send(lender->rig->io, lender->pair.handle, (struct span){lender->memory.data, LENGTH});
    rig_expect_none(lender->rig, IO_SEND, PATIENCE_MS);
    io_send_cancel(lender->rig->io, lender->pair.handle);
    struct io_completion sent = rig_get(lender->rig, IO_SEND); // though the peer reads nothing
    expect(sent.result == -ECANCELED || sent.result > 0, "%d", sent.result);
    struct io_completion cancelled = rig_get(lender->rig, IO_CANCEL);
    expect(cancelled.result == 0 || cancelled.result == -ENOENT, "%d", cancelled.result);
    memset(lender->memory.data, 0xff, LENGTH);
    uint8_t *wanted = malloc(LENGTH);
    uint8_t *found = malloc(LENGTH);
    pattern_put(wanted, LENGTH, 2);
    uint32_t count = 0;
    int64_t result = 1;
    while (result > 0) {
        result = client_receive(lender->pair.client, found + count, LENGTH - count, 1000);
        count += result > 0 ? (uint32_t)result : 0;
    }
    expect(result == -ECONNRESET, "%lld", (long long)result);
    expect(count < LENGTH && memcmp(wanted, found, count) == 0, "%u bytes", count);
    free(wanted);
    free(found);
    lender_shut(lender);
}

static void the_peer_resets_while_it_waits(void) {
    enum { LENGTH = 1 << 20 };
    struct lender *lender = lender_open(1);
    io_send(lender->rig->io, lender->pair.handle, (struct span){lender->memory.data, LENGTH});
    rig_expect_none(lender->rig, IO_SEND, PATIENCE_MS);
    client_reset(lender->pair.client);
    struct io_completion sent = rig_get(lender->rig, IO_SEND);
    expect(sent.result == -ECONNRESET || sent.result == -EPIPE || sent.result > 0, "%d",
           sent.result);
    io_close(lender->rig->io, lender->pair.handle);
    expect(rig_get(lender->rig, IO_CLOSE).result == 0, "close");
    rig_shut(lender->rig);
    free(lender);
}

// A registration keeps the pages that were there when it was made.
static void returned_memory_is_sent_as_it_is_now(void) {
    struct lender *lender = lender_open(1);
    for (uint32_t round = 0; round < 4; round++) {
        pattern_put(lender->memory.data, 100000, round);
        send_whole(lender, lender->memory.data, 100000, round);
        struct memory step = {.data = lender->memory.data, .length = STEP};
        io_memory_return(lender->rig->io, step);
        expect(madvise(step.data, STEP, MADV_DONTNEED) == 0, "%s", strerror(errno));
    }
    struct memory all = lender->memory;
    io_memory_return(lender->rig->io, all); // also what was never sent from
    pattern_put(lender->memory.data, 100000, 9);
    send_whole(lender, lender->memory.data, 100000, 9);
    lender_shut(lender);
}

static void each_ring_sends_without_a_copy(void) {
    struct lender *lender = lender_open(3);
    expect(io_ring_open(lender->rig->io) == 1 && io_ring_open(lender->rig->io) == 2, "rings");
    for (uint8_t ring = 1; ring < 3; ring++) {
        rig_close(lender->rig, &lender->pair);
        rig_pairs(lender->rig, ring, &lender->pair, 1);
        uint64_t before = zero_copies(lender);
        pattern_put(lender->memory.data, 100000, ring);
        send_whole(lender, lender->memory.data, 100000, ring);
        expect(zero_copies(lender) == before + 1, "ring %u copies", ring);
    }
    io_memory_return(lender->rig->io, lender->memory);
    lender_shut(lender);
}

static void a_unix_socket_gets_a_copy(void) {
    struct lender *lender = lender_open(1);
    struct rig *rig = lender->rig;
    char path[64];
    snprintf(path, sizeof path, "/tmp/contract_zero_copy.%d", getpid());
    struct io_listen_options options = {.unix_path = path, .backlog = 4};
    int listener = io_listen(rig->io, &options);
    expect(listener >= 0, "%d", listener);
    struct io_peer peer;
    io_accept_one(rig->io, 0, listener, 5, &peer);
    struct client client = client_connect_unix(path);
    struct io_completion accepted = rig_get(rig, IO_ACCEPT_ONE);
    expect(accepted.result >= 0, "%d", accepted.result);
    struct io_handle handle = {.slot = (uint32_t)accepted.result, .generation = 7};
    for (uint32_t round = 0; round < 3; round++) {
        pattern_put(lender->memory.data, 50000, round);
        io_send(rig->io, handle, (struct span){lender->memory.data, 50000});
        struct io_completion sent = rig_get(rig, IO_SEND);
        expect(sent.result == 50000 && sent.slot == handle.slot, "%d", sent.result);
        pattern_expect(client, 50000, round);
    }
    io_close(rig->io, handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    client_close(client);
    (void)unlink(path); // it is there: it was connected to
    lender_shut(lender);
}

// Without privileges a step needs its size of locked memory; what does not fit is copied.
// A user of its own each time: the kernel lets go of what an earlier one had locked a little later.
static void locked_memory(uint64_t limit, uint64_t steps_expected) {
    struct rlimit locked = {.rlim_cur = limit, .rlim_max = limit};
    expect(setrlimit(RLIMIT_MEMLOCK, &locked) == 0, "%s", strerror(errno));
    if (getuid() == 0) {
        uid_t user = 64000 + (uid_t)steps_expected;
        expect(setgid(user) == 0 && setuid(user) == 0, "%s", strerror(errno));
    }
    struct lender *lender = lender_open(1);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint8_t *data = lender->memory.data + i * STEP;
        pattern_put(data, 20000, i);
        send_whole(lender, data, 20000, i);
    }
    struct io_stats stats = io_stats(lender->rig->io);
    expect(stats.zero_copy_sends == steps_expected, "%llu",
           (unsigned long long)stats.zero_copy_sends);
    expect(stats.zero_copy_refused == (steps_expected < STEPS), "asked again and again");
    if (steps_expected == 1) { // what comes back makes room for another one
        io_memory_return(lender->rig->io,
                         (struct memory){.data = lender->memory.data, .length = STEP});
        pattern_put(lender->memory.data + STEP, 20000, 7);
        for (uint32_t i = 0; i < 100 && io_stats(lender->rig->io).zero_copy_sends == 1; i++) {
            usleep(10000); // the kernel lets go of the pages a little later
            send_whole(lender, lender->memory.data + STEP, 20000, 7);
            io_memory_return(lender->rig->io,
                             (struct memory){.data = lender->memory.data, .length = STEP});
        }
    }
    lender_shut(lender);
}

static void no_locked_memory(void) {
    locked_memory(STEP - 4096, 0);
}

static void locked_memory_for_one_step(void) {
    locked_memory(STEP + LOCKED_BY_RING, 1);
}

static void locked_memory_for_all(void) {
    locked_memory(STEPS * STEP + LOCKED_BY_RING, STEPS);
}

static const struct contract_test tests[] = {
    {"a_large_send_from_lent_memory_arrives", a_large_send_from_lent_memory_arrives},
    {"what_leaves_without_a_copy", what_leaves_without_a_copy},
    {"it_completes_when_the_peer_has_it", it_completes_when_the_peer_has_it},
    {"a_cancelled_one_resets_the_peer", a_cancelled_one_resets_the_peer},
    {"the_peer_resets_while_it_waits", the_peer_resets_while_it_waits},
    {"returned_memory_is_sent_as_it_is_now", returned_memory_is_sent_as_it_is_now},
    {"each_ring_sends_without_a_copy", each_ring_sends_without_a_copy},
    {"a_unix_socket_gets_a_copy", a_unix_socket_gets_a_copy},
    {"no_locked_memory", no_locked_memory},
    {"locked_memory_for_one_step", locked_memory_for_one_step},
    {"locked_memory_for_all", locked_memory_for_all},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
