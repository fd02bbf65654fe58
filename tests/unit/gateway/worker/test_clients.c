// The path of bytes between a socket and its connection.
#include "tests/unit/gateway/worker/clients_test.h"

Test(clients, a_request_is_answered_and_the_next_one_read) {
    struct rig *rig = rig_open();
    link_id id = rig_accept(rig);
    for (int i = 0; i < 3; i++) {
        peer_says(rig, id, GET);
        cr_assert_not(fake_at(&rig->io, id)->is_receiving); // not before its reply is out
        peer_reads(rig, id);
        cr_assert_eq(state_of(rig, id), CONN_HEAD);
    }
    cr_assert_eq(rig->sent, 3);
    cr_assert_eq(rig->counters.values[COUNTER_bytes_in], 3 * (sizeof GET - 1));
    rig_close(rig);
}

Test(clients, messages_in_pieces_and_into_their_own_memory) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t length = 20000;
    uint8_t *frame = malloc(length + FRAME_HEAD_BYTES_MAX);
    static const uint8_t key[4] = {0};
    uint32_t head = ws_frame_head_encode_masked(frame, WS_BINARY, 0, length, key);
    memset(frame + head, 'x', length);
    peer_sends(rig, id, frame, head + length);
    cr_assert_eq(rig->messages, 1);
    peer_reads(rig, id);
    cr_assert_eq(rig->counters.values[COUNTER_messages_out], 1);
    free(frame);
    rig_close(rig);
}

Test(clients, bytes_behind_the_get_are_held_until_the_verdict) {
    struct rig *rig = rig_open();
    rig->is_slow = true;
    link_id id = rig_accept(rig);
    peer_says(rig, id, GET GET);
    cr_assert_eq(state_of(rig, id), CONN_VERDICT);
    fake_polled(&rig->io, id, IO_POLL_IN, true); // more is there: it waits in the socket
    turn(rig);
    cr_assert_not(fake_at(&rig->io, id)->is_receiving);
    struct http_reply reply = {.status = 200};
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    conn_reply(&rig->clients.conns, index, &reply);
    clients_pump(&rig->clients);
    peer_reads(rig, id);
    cr_assert_eq(state_of(rig, id), CONN_VERDICT); // of the second
    conn_reply(&rig->clients.conns, index, &reply);
    clients_pump(&rig->clients);
    peer_reads(rig, id);
    cr_assert(fake_at(&rig->io, id)->is_receiving); // what waited
    rig_close(rig);
}

Test(clients, who_has_answered_a_ping_is_kept_also_when_no_buffer_is_left_to_read_it) {
    struct rig *rig = rig_open();
    rig->settings[1].ping_ms = 1000;
    rig->settings[1].pong_ms = 500;
    link_id id = open_socket(rig);
    wait(rig, 1000 + WHEEL_TICK_MS);
    cr_assert_eq(rig->counters.values[COUNTER_pings_sent], 1);
    peer_reads(rig, id);
    wait(rig, 450);
    fake_polled(&rig->io, id, IO_POLL_IN, true); // and the receive does not end
    wait(rig, 200);
    cr_assert_eq(state_of(rig, id), CONN_OPEN);
    rig_close(rig);
}

Test(clients, a_paused_one_is_not_read_and_loses_nothing) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    fake_polled(&rig->io, id, IO_POLL_IN, true);
    turn(rig);
    conn_pause(&rig->clients.conns, index); // with a receive in flight
    static const uint8_t frames[] = {0x81, 0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'};
    fake_received(&rig->io, id, sizeof frames, true);
    memcpy(rig->io.buffers[0][0], frames, sizeof frames);
    turn(rig);
    cr_assert_eq(rig->messages, 0);
    cr_assert_not(fake_at(&rig->io, id)->is_receiving);
    conn_unpause(&rig->clients.conns, index);
    clients_pump(&rig->clients);
    cr_assert_eq(rig->messages, 2);
    cr_assert(fake_at(&rig->io, id)->is_receiving);
    rig_close(rig);
}

Test(clients, the_peers_end_and_errors_end_the_connection) {
    static const struct {
        int32_t result;
        enum fault_id fault;
    } rows[] = {{0, FAULT_peer_vanished},
                {-ECONNRESET, FAULT_peer_reset},
                {-EPIPE, FAULT_peer_reset},
                {-ETIMEDOUT, FAULT_transport_error}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_open();
        link_id id = open_socket(rig);
        fake_polled(&rig->io, id, IO_POLL_IN, true);
        turn(rig);
        fake_received(&rig->io, id, rows[i].result, false);
        turn(rig);
        finish(rig, id);
        cr_assert_eq(rig->gone, 1);
        cr_assert_eq(rig->counters.faults[rows[i].fault], 1);
        rig_close(rig);
    }
}

Test(clients, a_failed_send_ends_the_connection) {
    static const struct {
        int32_t result;
        enum fault_id fault;
    } rows[] = {{-EPIPE, FAULT_peer_reset},
                {-ECONNRESET, FAULT_peer_reset},
                {-ENOBUFS, FAULT_transport_error}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_open();
        link_id id = rig_accept(rig);
        peer_says(rig, id, GET);
        fake_sent(&rig->io, id, rows[i].result);
        turn(rig);
        finish(rig, id);
        cr_assert_eq(rig->counters.faults[rows[i].fault], 1);
        rig_close(rig);
    }
}

Test(clients, a_short_send_goes_on) {
    struct rig *rig = rig_open();
    link_id id = rig_accept(rig);
    peer_says(rig, id, GET);
    fake_sent(&rig->io, id, 10);
    turn(rig);
    peer_reads(rig, id);
    cr_assert_eq(state_of(rig, id), CONN_HEAD);
    rig_close(rig);
}

Test(clients, one_that_the_owner_does_not_want_is_closed_without_a_word) {
    struct rig *rig = rig_open();
    rig->refuses = true;
    link_id id = rig_accept(rig);
    cr_assert_eq(state_of(rig, id), CONN_ENDED);
    finish(rig, id);
    cr_assert_eq(rig->gone, 1);
    cr_assert_eq(rig->counters.faults[FAULT_connection_limit], 1);
    rig_close(rig);
}

// A client whose last receive filled a buffer.
static link_id open_burst(struct rig *rig) {
    link_id id = open_socket(rig);
    rig->bits[link_slot_at(&rig->clients.link, id)->owner] |= CLIENTS_BURSTS;
    return id;
}

static bool receives_lent(struct rig *rig, link_id id) {
    const struct fake_slot *slot = fake_at(&rig->io, id);
    return slot->is_receiving && slot->target.length == BURST_BYTES;
}

Test(clients, those_that_send_in_bursts_take_turns_and_the_dead_lose_theirs) {
    struct rig *rig = rig_open();
    enum { COUNT = BURSTS_MAX + 3 };
    link_id ids[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        ids[i] = open_burst(rig);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        fake_polled(&rig->io, ids[i], IO_POLL_IN, true);
        turn(rig);
        cr_assert_eq(receives_lent(rig, ids[i]), i < BURSTS_MAX, "client %u", i);
    }
    cr_assert_eq(rig->clients.burst_count, 3);
    conn_kill(&rig->clients.conns, link_slot_at(&rig->clients.link, ids[BURSTS_MAX])->owner,
              FAULT_killed);
    turn(rig);
    finish(rig, ids[BURSTS_MAX]);
    cr_assert(fake_received(&rig->io, ids[0], -EAGAIN, false)); // one place is free
    turn(rig);
    cr_assert(receives_lent(rig, ids[BURSTS_MAX + 1]));
    cr_assert_not(fake_at(&rig->io, ids[BURSTS_MAX + 2])->is_receiving);
    fake_polled(&rig->io, ids[0], IO_POLL_IN, true); // behind the one that waits longest
    turn(rig);
    cr_assert_not(fake_at(&rig->io, ids[0])->is_receiving);
    cr_assert(fake_received(&rig->io, ids[1], -EAGAIN, false));
    turn(rig);
    cr_assert(receives_lent(rig, ids[BURSTS_MAX + 2]));
    cr_assert(fake_received(&rig->io, ids[2], -EAGAIN, false));
    turn(rig);
    cr_assert(receives_lent(rig, ids[0]));
    rig_close(rig);
}

Test(clients, one_more_than_there_is_room_for_is_closed) {
    struct rig *rig = rig_open();
    for (uint32_t i = 0; i < CONNS; i++) {
        rig_accept(rig);
    }
    link_id id = rig_accept(rig);
    cr_assert_eq(link_slot_at(&rig->clients.link, id)->state, LINK_STOPPING);
    finish(rig, id);
    cr_assert_eq(rig->opened, CONNS);
    rig_close(rig);
}

Test(clients, a_send_in_flight_when_time_is_up_is_cancelled) {
    struct rig *rig = rig_open();
    rig->settings[0].stall_ms = 30000;
    link_id id = rig_accept(rig);
    peer_says(rig, id, GET);
    wait(rig, 30100);
    cr_assert(fake_at(&rig->io, id)->is_send_cancelling);
    finish(rig, id);
    cr_assert_eq(rig->counters.faults[FAULT_send_stalled], 1);
    rig_close(rig);
}

Test(clients, a_handle_of_a_connection_that_is_gone_is_dead) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    uint32_t generation = conn_at(&rig->clients.conns, index)->generation;
    cr_assert(clients_is_live(&rig->clients, index, generation));
    cr_assert_not(clients_is_live(&rig->clients, index, generation + 1));
    cr_assert_not(clients_is_live(&rig->clients, 0, 0));
    cr_assert_not(clients_is_live(&rig->clients, 5, 1)); // never opened
    conn_kill(&rig->clients.conns, index, FAULT_killed);
    turn(rig);
    finish(rig, id);
    cr_assert_not(clients_is_live(&rig->clients, index, generation));
    rig_accept(rig);
    cr_assert_not(clients_is_live(&rig->clients, index, generation));
    rig_close(rig);
}
