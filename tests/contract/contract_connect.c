// Connections that the io begins: how they come about, how they do not, and what passes on them.
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>

enum { TOKEN = 99, GENERATION = 8 };

// A socket that was told to connect; `peer` is the io's until it has.
static struct io_handle begin(struct rig *rig, const struct server *server, struct io_peer *peer) {
    io_socket(rig->io, 0, ADDRESS_IP, false, TOKEN, 7);
    struct io_completion made = rig_get(rig, IO_SOCKET);
    expect(made.result >= 0 && made.slot == TOKEN && made.generation == 7, "%d", made.result);
    struct io_handle handle = {.slot = (uint32_t)made.result, .generation = GENERATION};
    io_peer_encode(&server->address, peer);
    io_connect(rig->io, handle, peer);
    return handle;
}

static void expect_connected(struct rig *rig, struct io_handle handle, int32_t result) {
    struct io_completion connected = rig_get(rig, IO_CONNECT);
    expect(connected.result == result && connected.generation == GENERATION && !connected.more,
           "%d", connected.result);
    expect(connected.slot == handle.slot, "slot %u", connected.slot);
}

static void close_and_expect(struct rig *rig, struct io_handle handle) {
    io_close(rig->io, handle);
    struct io_completion closed = rig_get(rig, IO_CLOSE);
    expect(closed.result == 0 && closed.slot == handle.slot, "%d", closed.result);
}

static struct rig *rig_small(void) {
    struct io_options options = rig_options(1);
    return rig_open(&options);
}

// A connection whose other end is `*client`.
static struct pair connected_pair(struct rig *rig, struct server *server) {
    *server = server_open(SERVER_TAKES);
    struct io_peer peer;
    struct pair pair = {.handle = begin(rig, server, &peer)};
    expect_connected(rig, pair.handle, 0);
    pair.client = server_accept(server);
    return pair;
}

static void bytes_go_both_ways_on_what_was_connected(void) {
    struct rig *rig = rig_small();
    struct server server;
    struct pair pair = connected_pair(rig, &server);
    io_send(rig->io, pair.handle, span_text("question"));
    expect(rig_get(rig, IO_SEND).result == 8, "send");
    client_expect(pair.client, "question", 8);
    io_poll(rig->io, pair.handle);
    client_send(pair.client, "answer", 6);
    struct io_completion polled = rig_get(rig, IO_POLL);
    expect(polled.more && (polled.result & IO_POLL_IN) != 0, "%d", polled.result);
    uint8_t bytes[8];
    io_receive(rig->io, pair.handle, (struct span_mut){bytes, sizeof bytes});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 6 && memcmp(bytes, "answer", 6) == 0, "%d", received.result);
    rig_close_polled(rig, &pair);
    server_close(&server);
    rig_shut(rig);
}

static void two_connections_to_one_server_are_two(void) {
    struct rig *rig = rig_small();
    struct server server = server_open(SERVER_TAKES);
    struct io_peer peer;
    struct io_handle first = begin(rig, &server, &peer);
    expect_connected(rig, first, 0);
    struct client first_client = server_accept(&server);
    struct io_handle second = begin(rig, &server, &peer);
    expect_connected(rig, second, 0);
    struct client second_client = server_accept(&server);
    expect(first.slot != second.slot, "one slot for two sockets");
    io_send(rig->io, second, span_text("2"));
    expect(rig_get(rig, IO_SEND).result == 1, "send");
    io_send(rig->io, first, span_text("1"));
    expect(rig_get(rig, IO_SEND).result == 1, "send");
    client_expect(first_client, "1", 1);
    client_expect(second_client, "2", 1);
    close_and_expect(rig, first);
    client_expect_end(first_client);
    client_expect_quiet(second_client, 20);
    close_and_expect(rig, second);
    client_close(first_client);
    client_close(second_client);
    server_close(&server);
    rig_shut(rig);
}

static void nobody_listens(void) {
    struct rig *rig = rig_small();
    struct server server = server_open(SERVER_REFUSES);
    struct io_peer peer;
    struct io_handle handle = begin(rig, &server, &peer);
    expect_connected(rig, handle, -ECONNREFUSED);
    close_and_expect(rig, handle);
    server_close(&server);
    rig_shut(rig);
}

static void nobody_answers_until_it_is_cancelled(void) {
    struct rig *rig = rig_small();
    struct server server = server_open(SERVER_SILENT);
    struct io_peer peer;
    struct io_handle handle = begin(rig, &server, &peer);
    rig_expect_none(rig, IO_CONNECT, 50);
    io_connect_cancel(rig->io, handle);
    expect_connected(rig, handle, -ECANCELED);
    expect(rig_get(rig, IO_CANCEL).result == 0, "cancel");
    close_and_expect(rig, handle);
    server_close(&server);
    rig_shut(rig);
}

static void a_cancel_behind_the_answer_finds_nothing(void) {
    struct rig *rig = rig_small();
    struct server server;
    struct pair pair = connected_pair(rig, &server);
    io_connect_cancel(rig->io, pair.handle);
    expect(rig_get(rig, IO_CANCEL).result == -ENOENT, "cancel");
    close_and_expect(rig, pair.handle);
    client_expect_end(pair.client);
    client_close(pair.client);
    server_close(&server);
    rig_shut(rig);
}

static void the_other_end_resets(void) {
    struct rig *rig = rig_small();
    struct server server;
    struct pair pair = connected_pair(rig, &server);
    io_poll(rig->io, pair.handle);
    rig_expect_none(rig, IO_POLL, 10);
    client_reset(pair.client);
    struct io_completion polled = rig_get(rig, IO_POLL);
    expect((polled.result & (IO_POLL_HANGUP | IO_POLL_ERROR)) != 0, "%d", polled.result);
    uint8_t bytes[8];
    io_receive(rig->io, pair.handle, (struct span_mut){bytes, sizeof bytes});
    expect(rig_get(rig, IO_RECEIVE).result == -ECONNRESET, "receive");
    io_send(rig->io, pair.handle, span_text("late"));
    int32_t sent = rig_get(rig, IO_SEND).result;
    expect(sent == -EPIPE || sent == -ECONNRESET, "%d", sent);
    io_cancel_then_close(rig->io, pair.handle);
    expect(rig_get(rig, IO_CLOSE).result == 0, "close");
    int32_t cancelled = rig_get(rig, IO_CANCEL).result; // the poll may have ended by itself
    expect(cancelled == (polled.more ? 0 : -ENOENT), "%d", cancelled);
    while (polled.more) {
        polled = rig_get(rig, IO_POLL);
    }
    server_close(&server);
    rig_shut(rig);
}

static void the_other_end_finishes_behind_its_bytes(void) {
    struct rig *rig = rig_small();
    struct server server;
    struct pair pair = connected_pair(rig, &server);
    client_send(pair.client, "all", 3);
    client_finish(pair.client);
    uint8_t bytes[8];
    io_receive(rig->io, pair.handle, (struct span_mut){bytes, sizeof bytes});
    struct io_completion received = rig_get(rig, IO_RECEIVE);
    expect(received.result == 3 && memcmp(bytes, "all", 3) == 0, "%d", received.result);
    io_receive(rig->io, pair.handle, (struct span_mut){bytes, sizeof bytes});
    expect(rig_get(rig, IO_RECEIVE).result == 0, "the end");
    io_send(rig->io, pair.handle, span_text("and still")); // its other direction is open
    expect(rig_get(rig, IO_SEND).result == 9, "send");
    client_expect(pair.client, "and still", 9);
    close_and_expect(rig, pair.handle);
    client_expect_end(pair.client);
    client_close(pair.client);
    server_close(&server);
    rig_shut(rig);
}

static void a_socket_connects_once(void) {
    struct rig *rig = rig_small();
    struct server server;
    struct pair pair = connected_pair(rig, &server);
    struct io_peer peer;
    io_peer_encode(&server.address, &peer);
    io_connect(rig->io, pair.handle, &peer);
    expect_connected(rig, pair.handle, -EISCONN);
    close_and_expect(rig, pair.handle);
    io_connect(rig->io, pair.handle, &peer);
    expect_connected(rig, pair.handle, -EBADF);
    client_close(pair.client);
    server_close(&server);
    rig_shut(rig);
}

static const struct contract_test tests[] = {
    {"bytes_go_both_ways_on_what_was_connected", bytes_go_both_ways_on_what_was_connected},
    {"two_connections_to_one_server_are_two", two_connections_to_one_server_are_two},
    {"nobody_listens", nobody_listens},
    {"nobody_answers_until_it_is_cancelled", nobody_answers_until_it_is_cancelled},
    {"a_cancel_behind_the_answer_finds_nothing", a_cancel_behind_the_answer_finds_nothing},
    {"the_other_end_resets", the_other_end_resets},
    {"the_other_end_finishes_behind_its_bytes", the_other_end_finishes_behind_its_bytes},
    {"a_socket_connects_once", a_socket_connects_once},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
