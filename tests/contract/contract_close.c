// How a connection ends: FIN or RST, what the peer sees, what completes (P1, P2, P6).
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>

static struct rig *rig_pair(struct pair *pair) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    rig_pairs(rig, 0, pair, 1);
    return rig;
}

static void cancel_then_close_sends_the_end(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    io_poll(rig->io, pair.handle);
    rig_expect_none(rig, IO_POLL, 10);
    io_send(rig->io, pair.handle, span_text("goodbye"));
    expect(rig_get(rig, IO_SEND).result == 7, "send");
    io_cancel_then_close(rig->io, pair.handle);
    struct io_completion last = rig_get(rig, IO_POLL);
    expect(last.result == -ECANCELED && !last.more, "%d", last.result);
    rig_turn(rig, 10);
    uint32_t cancel_at = UINT32_MAX;
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        const struct io_completion *kept = &rig->kept[i];
        expect(kept->result == 0 && kept->generation == 1 && !kept->more, "%d", kept->result);
        expect(kept->slot == pair.handle.slot, "%u", kept->slot);
        if (kept->operation == IO_CANCEL) {
            cancel_at = i;
        }
        expect(kept->operation != IO_CLOSE || cancel_at < i, "the close came first");
    }
    expect(rig->kept_count == 2, "%u", rig->kept_count);
    rig->kept_count = 0;
    client_expect(pair.client, "goodbye", 7);
    client_expect_end(pair.client);
    client_close(pair.client);
    rig_shut(rig);
}

static void a_close_with_an_armed_poll_is_not_told(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    io_poll(rig->io, pair.handle);
    rig_expect_none(rig, IO_POLL, 10);
    io_close(rig->io, pair.handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    client_expect_quiet(pair.client, 50);
    io_cancel_then_close(rig->io,
                         pair.handle); // the cancel finds the poll, the close an empty slot
    expect(rig_get(rig, IO_CLOSE).result == -EBADF, "close");
    expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    expect(rig_get(rig, IO_POLL).result == -ECANCELED, "poll");
    client_expect_end(pair.client);
    client_close(pair.client);
    rig_shut(rig);
}

static void a_close_with_nothing_armed(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    io_send(rig->io, pair.handle, span_text("last"));
    expect(rig_get(rig, IO_SEND).result == 4, "send");
    io_close(rig->io, pair.handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    client_expect(pair.client, "last", 4);
    client_expect_end(pair.client);
    client_close(pair.client);
    io_cancel_then_close(rig->io, pair.handle); // neither poll nor socket
    expect(rig_get(rig, IO_CANCEL).result == -ENOENT, "cancel");
    expect(rig_get(rig, IO_CLOSE).result == -EBADF, "the close follows whatever the cancel finds");
    rig_shut(rig);
}

// Send and close prepared in one batch: what was sent arrives, then the end.
static void a_close_behind_a_send(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    io_poll(rig->io, pair.handle);
    struct span pieces[2] = {span_text("first "), span_text("second")};
    io_sendmsg(rig->io, pair.handle, pieces, 2);
    io_cancel_then_close(rig->io, pair.handle);
    expect(rig_get(rig, IO_SENDMSG).result == 12, "send");
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    expect(rig_get(rig, IO_POLL).result == -ECANCELED, "poll");
    client_expect(pair.client, "first second", 12);
    client_expect_end(pair.client);
    client_close(pair.client);
    rig_shut(rig);
}

// Why the caller drains before it closes.
static void unread_bytes_make_it_a_reset(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    client_send(pair.client, "unread", 6);
    io_close(rig->io, pair.handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    uint8_t byte;
    int64_t result = client_receive(pair.client, &byte, 1, RIG_WAIT_MS);
    expect(result == -ECONNRESET, "%lld", (long long)result);
    client_close(pair.client);
    rig_shut(rig);
}

static void data_and_end_in_one_batch(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    io_poll(rig->io, pair.handle);
    rig_turn(rig, 0);
    client_send(pair.client, "data", 4);
    client_finish(pair.client);
    struct io_completion polled = rig_get(rig, IO_POLL);
    expect((polled.result & IO_POLL_IN) != 0, "%d", polled.result);
    io_receive(rig->io, pair.handle, (struct span_mut){.data = NULL});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 4 && received.has_buffer, "%d", received.result);
    expect(received.is_socket_ready, "the end is not announced");
    io_buffer_give(rig->io, 0, received.buffer_id);
    io_receive(rig->io, pair.handle, (struct span_mut){.data = NULL});
    received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 0 && !received.has_buffer, "%d", received.result);
    rig_turn(rig, 10);
    while (rig_find(rig, IO_POLL, &polled)) {
        expect(polled.more, "the poll ended");
    }
    rig_close_polled(rig, &pair);
    rig_shut(rig);
}

static void data_and_reset_in_one_batch(void) {
    struct pair pair;
    struct rig *rig = rig_pair(&pair);
    io_poll(rig->io, pair.handle);
    rig_turn(rig, 0);
    client_send(pair.client, "data", 4);
    client_reset(pair.client);
    struct io_completion polled = rig_get(rig, IO_POLL);
    while ((polled.result & IO_POLL_ERROR) == 0) {
        expect(polled.result > 0 && polled.more, "%d", polled.result);
        polled = rig_get(rig, IO_POLL);
    }
    io_receive(rig->io, pair.handle, (struct span_mut){.data = NULL});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    if (received.has_buffer) { // what came before the reset is not lost
        expect(received.result == 4, "%d", received.result);
        io_buffer_give(rig->io, 0, received.buffer_id);
        io_receive(rig->io, pair.handle, (struct span_mut){.data = NULL});
        received = rig_get(rig, IO_RECEIVE);
    }
    expect(received.result == -ECONNRESET && !received.has_buffer, "%d", received.result);
    io_send(rig->io, pair.handle, span_text("to nobody"));
    struct io_completion sent = rig_get(rig, IO_SEND);
    expect(sent.result == -EPIPE || sent.result == -ECONNRESET, "%d", sent.result);
    bool has_ended = !polled.more;
    rig_turn(rig, 10);
    while (rig_find(rig, IO_POLL, &polled)) {
        expect(!has_ended, "completions after the final one");
        has_ended = !polled.more;
    }
    io_cancel_then_close(rig->io, pair.handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    struct io_completion cancel = rig_get(rig, IO_CANCEL);
    expect(cancel.result == (has_ended ? -ENOENT : 0), "%d", cancel.result);
    if (!has_ended) {
        expect(rig_get(rig, IO_POLL).result == -ECANCELED, "poll");
    }
    rig_shut(rig);
}

// Cancel and close stay in one submission whatever the queue holds already: otherwise the close
// would run first, and the peer would see no end.
static void the_pair_is_never_split(void) {
    enum { SUBMISSIONS = 8 };
    struct io_options options = rig_options(1);
    options.submissions = SUBMISSIONS;
    for (uint32_t filled = 0; filled <= 2 * SUBMISSIONS; filled++) {
        struct rig *rig = rig_open(&options);
        struct pair pairs[2];
        rig_pairs(rig, 0, pairs, 2);
        io_poll(rig->io, pairs[0].handle);
        rig_turn(rig, 0);
        uint8_t bytes[2 * SUBMISSIONS];
        for (uint32_t i = 0; i < filled; i++) {
            io_receive(rig->io, pairs[1].handle, (struct span_mut){bytes + i, 1});
        }
        io_cancel_then_close(rig->io, pairs[0].handle);
        expect(rig_get(rig, IO_CLOSE).result == 0, "close");
        expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
        expect(rig_get(rig, IO_POLL).result == -ECANCELED, "poll");
        client_expect_end(pairs[0].client);
        client_close(pairs[0].client);
        for (uint32_t i = 0; i < filled; i++) {
            expect(rig_get(rig, IO_RECEIVE).result == -EAGAIN, "receive");
        }
        rig_close(rig, &pairs[1]);
        rig_shut(rig);
    }
}

// Many at once, half of them by the peer: every client sees its bytes and the end.
static void many_closes(void) {
    enum { COUNT = 1000 };
    struct io_options options = rig_options(1);
    options.slots = 2 * COUNT;
    struct rig *rig = rig_open(&options);
    struct pair *pairs = calloc(COUNT, sizeof *pairs);
    rig_pairs(rig, 0, pairs, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        io_poll(rig->io, pairs[i].handle);
    }
    rig_turn(rig, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        io_send(rig->io, pairs[i].handle, span_text("bye"));
        if (i % 2 == 1) {
            client_finish(pairs[i].client);
        }
        io_cancel_then_close(rig->io, pairs[i].handle);
    }
    uint32_t ended = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        expect(rig_get(rig, IO_SEND).result == 3, "send");
        expect(rig_get(rig, IO_CLOSE).result == 0, "close");
        expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    }
    while (ended < COUNT) {
        ended += !rig_get(rig, IO_POLL).more;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        client_expect(pairs[i].client, "bye", 3);
        client_expect_end(pairs[i].client);
        client_close(pairs[i].client);
    }
    free(pairs);
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"cancel_then_close_sends_the_end", cancel_then_close_sends_the_end},
    {"a_close_with_an_armed_poll_is_not_told", a_close_with_an_armed_poll_is_not_told},
    {"a_close_with_nothing_armed", a_close_with_nothing_armed},
    {"a_close_behind_a_send", a_close_behind_a_send},
    {"unread_bytes_make_it_a_reset", unread_bytes_make_it_a_reset},
    {"data_and_end_in_one_batch", data_and_end_in_one_batch},
    {"data_and_reset_in_one_batch", data_and_reset_in_one_batch},
    {"the_pair_is_never_split", the_pair_is_never_split},
    {"many_closes", many_closes},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
