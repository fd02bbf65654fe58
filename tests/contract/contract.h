// The harness of the contract tests: each test is a function that runs in a process of its own, is
// written against io.h and client.h alone, and fails by expect(). A rig is an io with the
// completions that a test has not asked for yet.
#pragma once
#include "gateway/io/io.h"
#include "tests/contract/client.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct contract_test {
    const char *name;
    void (*run)(void);
};
// Runs all, or those named; prints one line each and "N passed, N failed". The exit status.
int contract_main(int argc, char **argv, const struct contract_test *tests, uint32_t count);
// Of the implementation that this program is linked with (client_socket.c, client_sim.c): its name,
// what it needs before a test, and the waiting of an io_turn that does not wait by itself.
const char *contract_kind(void);
void contract_begin(void);
void contract_wait(struct io *io, uint32_t wait_ms);
bool contract_is_long(void); // the `all` tier
uint64_t contract_now_us(void);

// Ends this test's process.
#define expect(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

enum { RIG_KEPT_MAX = 32768, RIG_WAIT_MS = 10000 };

struct rig {
    struct io *io;
    int listener;
    struct address address;
    uint32_t kept_count;
    struct io_completion kept[RIG_KEPT_MAX]; // in order of arrival
};

// Small queues, 64 slots, one ring of at most `ring_max`.
struct io_options rig_options(uint32_t ring_max);
// Opens the io and a listener on 127.0.0.1; arms no accept. Freed by rig_shut.
struct rig *rig_open(const struct io_options *options);
// Expects that nothing is left: no completion kept, none outstanding.
void rig_shut(struct rig *rig);
// One io_turn; keeps what it brings. Returns how many that were.
uint32_t rig_turn(struct rig *rig, uint32_t wait_ms);
// The first kept completion of that operation, after as many turns as it takes; fails after
// RIG_WAIT_MS.
struct io_completion rig_get(struct rig *rig, enum io_operation operation);
// Takes the first kept one of that operation, without a turn.
bool rig_find(struct rig *rig, enum io_operation operation, struct io_completion *completion);
uint32_t rig_count(const struct rig *rig, enum io_operation operation);
// Fails if a completion of that operation comes within wait_ms.
void rig_expect_none(struct rig *rig, enum io_operation operation, uint32_t wait_ms);

// An accepted connection and its client.
struct pair {
    struct io_handle handle;
    struct client client;
};
// Connects `count` clients and accepts them on `ring` by an accept that is cancelled at the end. No
// poll is armed. Generations count from 1.
void rig_pairs(struct rig *rig, uint8_t ring, struct pair *pairs, uint32_t count);
// io_close, its completion, and the client's end.
void rig_close(struct rig *rig, struct pair *pair);
// The same by io_cancel_then_close, for a slot whose poll is armed.
void rig_close_polled(struct rig *rig, struct pair *pair);
// Receives into a buffer until `length` bytes were appended to `target`; gives the buffers back.
void rig_receive(struct rig *rig, const struct pair *pair, uint8_t *target, uint32_t length);
