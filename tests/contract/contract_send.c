// Sends (P3, P8): all of it, or exactly as much as the result says.
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { LARGE = 16 << 20 };

// Bytes whose place can be told from their value.
static uint8_t *pattern_make(uint32_t length) {
    uint8_t *bytes = malloc(length);
    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    return bytes;
}

static struct rig *rig_pair(struct pair *pair) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    rig_pairs(rig, 0, pair, 1);
    return rig;
}

// As four pieces or as one.
static void send_large(struct rig *rig, struct io_handle handle, const uint8_t *bytes,
                       bool is_gathered) {
    struct span pieces[4];
    for (uint32_t i = 0; i < 4; i++) {
        pieces[i] = (struct span){bytes + i * (LARGE / 4), LARGE / 4};
    }
    if (is_gathered) {
        io_sendmsg(rig->io, handle, pieces, 4);
    } else {
        io_send(rig->io, handle, (struct span){bytes, LARGE});
    }
}

static void a_slow_reader(bool is_gathered) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    uint8_t *bytes = pattern_make(LARGE);
    uint8_t *found = malloc(LARGE);
    enum io_operation operation = is_gathered ? IO_SENDMSG : IO_SEND;
    send_large(rig, pair.handle, bytes, is_gathered);
    rig_expect_none(rig, operation, 50); // no short count: it waits
    uint32_t count = 0;
    while (count < LARGE) {
        rig_turn(rig, 1);
        int64_t result = client_receive(pair.client, found + count, LARGE - count, 0);
        expect(result > 0 || result == -EAGAIN, "%lld", (long long)result);
        count += result > 0 ? (uint32_t)result : 0;
    }
    struct io_completion sent = rig_get(rig, operation);
    expect(sent.result == LARGE && !sent.more, "%d", sent.result);
    expect(memcmp(bytes, found, LARGE) == 0, "other bytes");
    free(bytes);
    free(found);
    rig_close(rig, &pair);
    rig_shut(rig);
}

static void a_send_waits_for_a_slow_reader(void) {
    a_slow_reader(false);
}

static void a_gathered_send_waits_for_a_slow_reader(void) {
    a_slow_reader(true);
}

// Cancelled twice: the first has sent a part, the second nothing. Then the connection goes on.
static void cancelled(bool is_gathered) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    uint8_t *bytes = pattern_make(LARGE);
    enum io_operation operation = is_gathered ? IO_SENDMSG : IO_SEND;
    send_large(rig, pair.handle, bytes, is_gathered);
    rig_expect_none(rig, operation, 20);
    io_send_cancel(rig->io, pair.handle);
    struct io_completion sent = rig_get(rig, operation);
    expect(sent.result > 0 && sent.result < LARGE && !sent.more, "%d", sent.result);
    expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    send_large(rig, pair.handle, bytes, is_gathered); // the socket is full
    rig_expect_none(rig, operation, 20);
    io_send_cancel(rig->io, pair.handle);
    struct io_completion second = rig_get(rig, operation);
    expect(second.result == -ECANCELED || second.result > 0, "%d", second.result);
    expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    client_expect(pair.client, bytes, (uint32_t)sent.result);
    if (second.result > 0) {
        client_expect(pair.client, bytes, (uint32_t)second.result);
    }
    client_expect_quiet(pair.client, 20); // not a byte more than was said
    io_send(rig->io, pair.handle, span_text("still here"));
    expect(rig_get(rig, IO_SEND).result == 10, "send");
    client_expect(pair.client, "still here", 10);
    io_send_cancel(rig->io, pair.handle); // has ended
    expect(rig_get(rig, IO_CANCEL).result == -ENOENT, "cancel");
    free(bytes);
    rig_close(rig, &pair);
    rig_shut(rig);
}

static void a_cancelled_send_counts_exactly(void) {
    cancelled(false);
}

static void a_cancelled_gathered_send_counts_exactly(void) {
    cancelled(true);
}

// The peer goes while a send waits for room: an error, and no SIGPIPE.
static void the_peer_resets_in_mid_send(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    uint8_t *bytes = pattern_make(LARGE);
    io_send(rig->io, pair.handle, (struct span){bytes, LARGE});
    rig_expect_none(rig, IO_SEND, 20);
    client_reset(pair.client);
    struct io_completion sent = rig_get(rig, IO_SEND);
    // What had gone out before the reset may be told instead of the error (MSG_WAITALL).
    expect(sent.result == -ECONNRESET || sent.result == -EPIPE ||
               (sent.result > 0 && sent.result < LARGE),
           "%d", sent.result);
    io_send(rig->io, pair.handle, (struct span){bytes, 10});
    sent = rig_get(rig, IO_SEND);
    expect(sent.result == -ECONNRESET || sent.result == -EPIPE, "%d", sent.result);
    io_close(rig->io, pair.handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    free(bytes);
    rig_shut(rig);
}

// More gathered sends in one batch than there is storage for, each with its own bytes.
static void many_gathered_sends_in_one_batch(void) {
    enum { COUNT = 40, ROUNDS = 20, TOTAL = COUNT * ROUNDS }; // 800 > RING_MESSAGES_MAX
    struct io_options options = rig_options(1);
    options.submissions = 1024;
    options.completions = 2048;
    struct rig *rig = rig_open(&options);
    struct pair pairs[COUNT];
    rig_pairs(rig, 0, pairs, COUNT);
    char texts[TOTAL][16];
    for (uint32_t i = 0; i < TOTAL; i++) {
        snprintf(texts[i], sizeof texts[i], "%02u.%08u.", i / COUNT, i);
        struct span pieces[2] = {{(uint8_t *)texts[i], 3}, {(uint8_t *)texts[i] + 3, 9}};
        io_sendmsg(rig->io, pairs[i % COUNT].handle, pieces, 2);
        memset(pieces, 0, sizeof pieces);
    }
    for (uint32_t i = 0; i < TOTAL; i++) {
        expect(rig_get(rig, IO_SENDMSG).result == 12, "send");
    }
    for (uint32_t i = 0; i < TOTAL; i++) {
        client_expect(pairs[i % COUNT].client, texts[i], 12);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        rig_close(rig, &pairs[i]);
    }
    rig_shut(rig);
}

static void as_many_pieces_as_allowed(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    uint8_t *bytes = pattern_make(SEND_PIECES_MAX * 1000);
    struct span pieces[SEND_PIECES_MAX];
    for (uint32_t i = 0; i < SEND_PIECES_MAX; i++) {
        pieces[i] = (struct span){bytes + i * 1000, 1000};
    }
    io_sendmsg(rig->io, pair.handle, pieces, SEND_PIECES_MAX);
    expect(rig_get(rig, IO_SENDMSG).result == SEND_PIECES_MAX * 1000, "send");
    client_expect(pair.client, bytes, SEND_PIECES_MAX * 1000);
    free(bytes);
    rig_close(rig, &pair);
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"a_send_waits_for_a_slow_reader", a_send_waits_for_a_slow_reader},
    {"a_gathered_send_waits_for_a_slow_reader", a_gathered_send_waits_for_a_slow_reader},
    {"a_cancelled_send_counts_exactly", a_cancelled_send_counts_exactly},
    {"a_cancelled_gathered_send_counts_exactly", a_cancelled_gathered_send_counts_exactly},
    {"the_peer_resets_in_mid_send", the_peer_resets_in_mid_send},
    {"many_gathered_sends_in_one_batch", many_gathered_sends_in_one_batch},
    {"as_many_pieces_as_allowed", as_many_pieces_as_allowed},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
