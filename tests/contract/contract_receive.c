// Receives: buffers that run out and grow (P4), bursts, ends that come with data, nothing lost.
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>

enum { CLIENTS_MAX = 512 };

// A receiver as gateway/link is one, in its smallest form: one receive in flight per connection,
// again while the socket is ready, starved ones again after buffers came back.
struct receiver {
    struct rig *rig;
    struct pair pairs[CLIENTS_MAX];
    bool is_receiving[CLIENTS_MAX]; // by slot, as all below
    bool has_event[CLIENTS_MAX];
    bool is_starved[CLIENTS_MAX];
    bool has_ended[CLIENTS_MAX];
    bool is_poll_over[CLIENTS_MAX];
    uint64_t received[CLIENTS_MAX];
    uint64_t sum[CLIENTS_MAX];
    uint16_t lent[CLIENTS_MAX]; // buffers to give back at the end of the turn
    uint32_t lent_count;
    uint32_t ended_count, starved_count, resumed_count;
    bool may_grow;
    bool is_hoarding; // gives buffers back one turn later
};

static void receive_start(struct receiver *receiver, uint32_t slot) {
    if (receiver->has_ended[slot] || receiver->is_starved[slot]) {
        return;
    }
    if (receiver->is_receiving[slot]) {
        receiver->has_event[slot] = true;
        return;
    }
    receiver->is_receiving[slot] = true;
    receiver->has_event[slot] = false;
    struct io_handle handle = {.slot = slot, .generation = 1};
    io_receive(receiver->rig->io, handle, (struct span_mut){.data = NULL});
}

static void on_receive(struct receiver *receiver, const struct io_completion *completion) {
    uint32_t slot = completion->slot;
    receiver->is_receiving[slot] = false;
    if (completion->has_buffer) {
        struct span_mut buffer = io_buffer(receiver->rig->io, 0, completion->buffer_id);
        for (int32_t i = 0; i < completion->result; i++) {
            receiver->sum[slot] = receiver->sum[slot] * 31 + buffer.data[i];
            receiver->received[slot]++;
        }
        receiver->lent[receiver->lent_count++] = completion->buffer_id;
    }
    if (completion->result == -ENOBUFS) {
        receiver->is_starved[slot] = true;
        receiver->starved_count++;
    } else if (completion->result == 0) {
        receiver->has_ended[slot] = true;
        receiver->ended_count++;
    } else {
        expect(completion->result > 0 || completion->result == -EAGAIN, "%d", completion->result);
        if (completion->is_socket_ready || receiver->has_event[slot]) {
            receive_start(receiver, slot);
        }
    }
}

static void on_poll(struct receiver *receiver, const struct io_completion *completion) {
    expect(completion->result > 0, "%d", completion->result);
    if (!completion->more && receiver->has_ended[completion->slot]) {
        receiver->is_poll_over[completion->slot] = true; // armed again it would tell the end again
    } else if (!completion->more) {
        io_poll(receiver->rig->io, (struct io_handle){.slot = completion->slot, .generation = 1});
        receiver->resumed_count++;
    }
    receive_start(receiver, completion->slot);
}

static void receiver_turn(struct receiver *receiver) {
    struct rig *rig = receiver->rig;
    rig_turn(rig, 1);
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        if (rig->kept[i].operation == IO_POLL) {
            on_poll(receiver, &rig->kept[i]);
        } else {
            expect(rig->kept[i].operation == IO_RECEIVE, "%d", rig->kept[i].operation);
            on_receive(receiver, &rig->kept[i]);
        }
    }
    rig->kept_count = 0;
    for (uint32_t i = 0; i < receiver->lent_count; i++) {
        io_buffer_give(rig->io, 0, receiver->lent[i]);
    }
    bool has_returned = receiver->lent_count > 0;
    receiver->lent_count = 0;
    bool has_grown =
        receiver->may_grow && receiver->starved_count > 0 && io_buffers_grow(rig->io, 0);
    for (uint32_t slot = 0; slot < CLIENTS_MAX && (has_returned || has_grown); slot++) {
        if (receiver->is_starved[slot]) {
            receiver->is_starved[slot] = false;
            receive_start(receiver, slot);
        }
    }
}

static struct receiver *receiver_open(const struct io_options *options, uint32_t count) {
    struct receiver *receiver = calloc(1, sizeof *receiver);
    receiver->rig = rig_open(options);
    rig_pairs(receiver->rig, 0, receiver->pairs, count);
    for (uint32_t i = 0; i < count; i++) {
        receiver->pairs[i].handle.generation = 1;
        expect(receiver->pairs[i].handle.slot < CLIENTS_MAX, "slot");
        io_poll(receiver->rig->io, receiver->pairs[i].handle);
    }
    rig_turn(receiver->rig, 0);
    return receiver;
}

static void receiver_shut(struct receiver *receiver, uint32_t count) {
    for (uint32_t i = 0; i < 5; i++) {
        receiver_turn(receiver); // polls that end late
    }
    for (uint32_t i = 0; i < count; i++) {
        struct pair *pair = &receiver->pairs[i];
        if (receiver->is_poll_over[pair->handle.slot]) {
            rig_close(receiver->rig, pair);
        } else {
            rig_close_polled(receiver->rig, pair);
        }
    }
    rig_shut(receiver->rig);
    free(receiver);
}

static uint64_t bytes_fill(uint8_t *bytes, uint32_t length, uint32_t seed, uint64_t sum) {
    for (uint32_t i = 0; i < length; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
        sum = sum * 31 + bytes[i];
    }
    return sum;
}

// 400 clients send at once, 8 buffers: all bytes arrive, and the loop turns a bounded number of
// times (each starved receive waits for a buffer, it does not try again and again).
static void starve(bool may_grow) {
    enum { CLIENTS = 400, BYTES = 5000 };
    struct io_options options = rig_options(1);
    options.slots = CLIENTS_MAX;
    options.completions = 4096;
    options.submissions = 1024;
    options.buffers = 8;
    options.buffers_max = 64;
    struct receiver *receiver = receiver_open(&options, CLIENTS);
    receiver->may_grow = may_grow;
    uint64_t sums[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint8_t bytes[BYTES];
        sums[i] = bytes_fill(bytes, BYTES, i, 0);
        client_send(receiver->pairs[i].client, bytes, BYTES);
        client_finish(receiver->pairs[i].client);
    }
    uint32_t turns = 0;
    while (receiver->ended_count < CLIENTS) {
        receiver_turn(receiver);
        expect(++turns < 20000, "%u ended", receiver->ended_count);
    }
    expect(receiver->starved_count > 0, "no receive found the buffers empty");
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint32_t slot = receiver->pairs[i].handle.slot;
        expect(receiver->received[slot] == BYTES, "%llu bytes",
               (unsigned long long)receiver->received[slot]);
        expect(receiver->sum[slot] == sums[i], "other bytes");
    }
    struct io_stats stats = io_stats(receiver->rig->io);
    printf("     %u turns, %llu enters, %u receives starved\n", turns,
           (unsigned long long)stats.enters, receiver->starved_count);
    receiver_shut(receiver, CLIENTS);
}

static void eight_buffers_for_400_senders(void) {
    starve(false);
}

static void buffers_that_grow_for_400_senders(void) {
    starve(true);
}

static void a_receive_without_a_buffer_takes_nothing(void) {
    struct io_options options = rig_options(1);
    options.buffers = 1;
    options.buffers_max = 1;
    struct rig *rig = rig_open(&options);
    struct pair pairs[2];
    rig_pairs(rig, 0, pairs, 2);
    client_send(pairs[0].client, "first", 5);
    client_send(pairs[1].client, "second", 6);
    io_receive(rig->io, pairs[0].handle, (struct span_mut){.data = NULL});
    io_receive(rig->io, pairs[1].handle, (struct span_mut){.data = NULL});
    struct io_completion first = rig_get(rig, IO_RECEIVE);
    struct io_completion second = rig_get(rig, IO_RECEIVE);
    if (first.slot == pairs[1].handle.slot) { // Linux 6.1 tells failures of a batch first
        struct io_completion other = first;
        first = second;
        second = other;
    }
    expect(first.result == 5 && first.has_buffer, "%d", first.result);
    expect(second.result == -ENOBUFS && !second.has_buffer, "%d", second.result);
    io_receive(rig->io, pairs[1].handle, (struct span_mut){.data = NULL});
    second = rig_get(rig, IO_RECEIVE);
    expect(second.result == -ENOBUFS, "%d", second.result);
    expect(!io_buffers_grow(rig->io, 0), "grew over its bound");
    io_buffer_give(rig->io, 0, first.buffer_id);
    uint8_t bytes[6];
    rig_receive(rig, &pairs[1], bytes, 6);
    expect(memcmp(bytes, "second", 6) == 0, "bytes");
    rig_close(rig, &pairs[0]);
    rig_close(rig, &pairs[1]);
    rig_shut(rig);
}

// Every buffer of three groups is lent at once, with an id and memory of its own; then all come
// back in another order, and everything works again.
static void lent_buffers_are_distinct(void) {
    enum { COUNT = 16 };
    struct io_options options = rig_options(1);
    options.buffers = 4;
    options.buffers_max = COUNT;
    struct rig *rig = rig_open(&options);
    struct pair pairs[COUNT];
    rig_pairs(rig, 0, pairs, COUNT);
    uint64_t bytes_before = io_ring_bytes(rig->io);
    expect(io_buffers_grow(rig->io, 0) && io_buffers_grow(rig->io, 0), "grow");
    expect(!io_buffers_grow(rig->io, 0), "grew over its bound");
    expect(io_ring_bytes(rig->io) >= bytes_before + 12 * RECEIVE_BUFFER_BYTES, "not counted");
    for (uint32_t round = 0; round < 5; round++) {
        struct io_completion lent[COUNT];
        for (uint32_t i = 0; i < COUNT; i++) {
            uint8_t text[2] = {(uint8_t)i, (uint8_t)round};
            client_send(pairs[i].client, text, 2);
            io_receive(rig->io, pairs[i].handle, (struct span_mut){.data = NULL});
            lent[i] = rig_get(rig, IO_RECEIVE);
            expect(lent[i].result == 2 && lent[i].has_buffer, "%d", lent[i].result);
            for (uint32_t k = 0; k < i; k++) {
                expect(lent[k].buffer_id != lent[i].buffer_id, "lent twice");
            }
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            struct span_mut buffer = io_buffer(rig->io, 0, lent[i].buffer_id);
            expect(buffer.data[0] == i && buffer.data[1] == round, "another's bytes");
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            io_buffer_give(rig->io, 0, lent[(i * 5 + round) % COUNT].buffer_id);
        }
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        rig_close(rig, &pairs[i]);
    }
    rig_shut(rig);
}

static void a_burst_larger_than_a_buffer(void) {
    enum { BYTES = 100000 };
    struct io_options options = rig_options(1);
    struct receiver *receiver = receiver_open(&options, 1);
    uint8_t *bytes = malloc(BYTES);
    uint64_t sum = bytes_fill(bytes, BYTES, 5, 0);
    client_send(receiver->pairs[0].client, bytes, BYTES);
    client_finish(receiver->pairs[0].client);
    for (uint32_t turn = 0; receiver->ended_count == 0; turn++) {
        receiver_turn(receiver);
        expect(turn < 2000, "no end");
    }
    uint32_t slot = receiver->pairs[0].handle.slot;
    expect(receiver->received[slot] == BYTES && receiver->sum[slot] == sum, "bytes");
    free(bytes);
    receiver_shut(receiver, 1);
}

// Into the caller's memory, larger than a buffer: no buffer is taken.
static void into_the_target(void) {
    enum { BYTES = 20000 };
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct pair pair;
    rig_pairs(rig, 0, &pair, 1);
    uint8_t *bytes = malloc(BYTES);
    uint8_t *found = calloc(1, BYTES + 1);
    bytes_fill(bytes, BYTES, 6, 0);
    client_send(pair.client, bytes, BYTES);
    usleep(20000);
    io_receive(rig->io, pair.handle, (struct span_mut){found, 15000});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 15000 && !received.has_buffer, "%d", received.result);
    expect(received.is_socket_ready, "5000 bytes are left");
    io_receive(rig->io, pair.handle, (struct span_mut){found + 15000, 5000});
    received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 5000 && !received.has_buffer, "%d", received.result);
    expect(found[BYTES] == 0, "past the target");
    expect(memcmp(bytes, found, BYTES) == 0, "bytes");
    free(bytes);
    free(found);
    rig_close(rig, &pair);
    rig_shut(rig);
}

// Random pieces at random times, then the end: neither a byte nor an end is lost. Edge-like polls
// lose both when a receive stops too early.
static void random_pieces(const struct io_options *options) {
    enum { CLIENTS = 200 };
    struct receiver *receiver = receiver_open(options, CLIENTS);
    uint64_t sums[CLIENTS] = {0};
    uint64_t lengths[CLIENTS] = {0};
    uint32_t left[CLIENTS];
    uint32_t open = CLIENTS;
    uint32_t seed = 12345;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        left[i] = 1 + i % 4;
    }
    while (open > 0) {
        seed = seed * 1664525 + 1013904223;
        uint32_t i = (seed >> 8) % CLIENTS;
        if (left[i] == 0) {
            left[i] = UINT32_MAX;
            client_finish(receiver->pairs[i].client);
            open--;
        } else if (left[i] != UINT32_MAX) {
            uint8_t bytes[6000];
            uint32_t length = 1 + (seed >> 16) % 6000;
            sums[i] = bytes_fill(bytes, length, seed, sums[i]);
            lengths[i] += length;
            client_send(receiver->pairs[i].client, bytes, length);
            left[i]--;
        }
        if ((seed >> 20) % 8 == 0) {
            receiver_turn(receiver);
        }
    }
    for (uint32_t turn = 0; receiver->ended_count < CLIENTS; turn++) {
        receiver_turn(receiver);
        expect(turn < 5000, "%u of %u ends", receiver->ended_count, CLIENTS);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint32_t slot = receiver->pairs[i].handle.slot;
        expect(receiver->received[slot] == lengths[i] && receiver->sum[slot] == sums[i], "bytes");
    }
    struct io_stats stats = io_stats(receiver->rig->io);
    expect(options->completions > 8 || stats.completion_overflows > 0, "the queue was not full");
    expect(options->completions > 8 || receiver->resumed_count > 0, "no poll ended");
    receiver_shut(receiver, CLIENTS);
}

static void nothing_is_lost(void) {
    struct io_options options = rig_options(1);
    options.slots = CLIENTS_MAX;
    options.buffers_max = 16;
    for (uint32_t round = 0; round < (contract_is_long() ? 50 : 5); round++) {
        random_pieces(&options);
    }
}

// The same with a completion queue of 8, which ends polls and overflows.
static void nothing_is_lost_in_a_tiny_queue(void) {
    struct io_options options = rig_options(1);
    options.slots = CLIENTS_MAX;
    options.submissions = 8;
    options.completions = 8;
    options.buffers_max = 16;
    for (uint32_t round = 0; round < (contract_is_long() ? 50 : 5); round++) {
        random_pieces(&options);
    }
}

static const struct contract_test tests[] = {
    {"eight_buffers_for_400_senders", eight_buffers_for_400_senders},
    {"buffers_that_grow_for_400_senders", buffers_that_grow_for_400_senders},
    {"a_receive_without_a_buffer_takes_nothing", a_receive_without_a_buffer_takes_nothing},
    {"lent_buffers_are_distinct", lent_buffers_are_distinct},
    {"a_burst_larger_than_a_buffer", a_burst_larger_than_a_buffer},
    {"into_the_target", into_the_target},
    {"nothing_is_lost", nothing_is_lost},
    {"nothing_is_lost_in_a_tiny_queue", nothing_is_lost_in_a_tiny_queue},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
