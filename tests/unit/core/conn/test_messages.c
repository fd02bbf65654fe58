// Messages and control frames on an open connection.
#include "tests/unit/core/conn/conn_owner.h"

static struct owner *open_owner(void) {
    struct owner *owner = owner_open();
    owner_receive_text(owner, "GET /ws HTTP/1.1\r\n" HANDSHAKE_FIELDS);
    expect_state(owner->test, CONN_OPEN);
    owner->test->sent_bytes = 0;
    owner->log_bytes = 0;
    owner->log[0] = 0;
    return owner;
}

static void receive_frame(struct owner *owner, uint8_t first, const char *payload) {
    uint8_t frame[1024];
    owner_receive(owner, frame, frame_make(frame, first, payload, (uint32_t)strlen(payload)));
}

// A frame of `length` times `byte`, on the heap.
static uint8_t *large_frame(uint8_t first, uint8_t byte, uint32_t length, uint32_t *frame_bytes) {
    uint8_t *payload = malloc(length + 1);
    uint8_t *frame = malloc(length + FRAME_HEAD_BYTES_MAX);
    cr_assert(payload != NULL && frame != NULL);
    memset(payload, byte, length);
    *frame_bytes = frame_make(frame, first, payload, length);
    free(payload);
    return frame;
}

Test(messages, of_every_length_form_come_back) {
    static const uint32_t lengths[] = {0, 1, 125, 126, 127, 2047, 2048, 65535, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct owner *owner = open_owner();
        uint32_t frame_bytes;
        uint8_t *frame = large_frame(0x82, 'x', lengths[i], &frame_bytes);
        cr_assert(owner_receive(owner, frame, frame_bytes));
        uint8_t head[10];
        uint32_t head_bytes = ws_frame_head_encode(head, WS_BINARY, 0, lengths[i]);
        expect(owner->test->sent_bytes == head_bytes + lengths[i], "%u bytes", lengths[i]);
        cr_assert_arr_eq(owner->test->sent, head, head_bytes);
        for (uint32_t b = 0; b < lengths[i]; b++) {
            expect(owner->test->sent[head_bytes + b] == 'x', "byte %u of %u", b, lengths[i]);
        }
        cr_assert_eq(owner->test->conns.inputs.used, 0);
        cr_assert_eq(owner->test->counters.values[COUNTER_messages_in], 1);
        cr_assert_eq(owner->test->counters.values[COUNTER_message_bytes_in], lengths[i]);
        cr_assert_eq(owner->test->counters.values[COUNTER_messages_out], 1);
        free(frame);
        owner_close(owner);
    }
}

Test(messages, in_mid_frame_the_rest_is_received_into_the_messages_own_memory) {
    struct owner *owner = open_owner();
    uint32_t frame_bytes;
    uint8_t *frame = large_frame(0x82, 'x', 20000, &frame_bytes);
    cr_assert_eq(conn_receive_target(&owner->test->conns, owner->test->index).length, 0);
    owner_receive(owner, frame, 2048);
    struct span_mut target = conn_receive_target(&owner->test->conns, owner->test->index);
    cr_assert_eq(target.length, frame_bytes - 2048);
    conn_pause(&owner->test->conns, owner->test->index);
    cr_assert_not(conn_may_read(&owner->test->conns, owner->test->index));
    conn_unpause(&owner->test->conns, owner->test->index);
    owner_receive(owner, frame + 2048, frame_bytes - 2048 - 10);
    target = conn_receive_target(&owner->test->conns, owner->test->index);
    cr_assert_eq(target.length, 0); // so little comes in a buffer
    owner_receive(owner, frame + frame_bytes - 10, 10);
    cr_assert_eq(owner->test->sent_bytes, 4 + 20000);
    free(frame);
    owner_close(owner);
}

Test(messages, bytes_for_a_target_whose_connection_ended_are_nobodys) {
    struct owner *owner = open_owner();
    uint32_t frame_bytes;
    uint8_t *frame = large_frame(0x82, 'x', 20000, &frame_bytes);
    owner_receive(owner, frame, 2048);
    struct span_mut target = conn_receive_target(&owner->test->conns, owner->test->index);
    cr_assert_gt(target.length, 0);
    conn_kill(&owner->test->conns, owner->test->index, FAULT_killed);
    memset(target.data, 'x', target.length); // the kernel may still write there
    struct conn_event event =
        conn_feed_target(&owner->test->conns, owner->test->index, target.length);
    cr_assert_eq(event.kind, CONN_EVENT_NONE);
    free(frame);
    owner_close(owner);
}

Test(messages, a_ping_is_answered_while_a_large_message_is_arriving) {
    struct owner *owner = open_owner();
    uint32_t frame_bytes;
    uint8_t *frame = large_frame(0x02, 'x', 100000, &frame_bytes);
    owner_receive(owner, frame, frame_bytes); // the first fragment
    receive_frame(owner, 0x89, "now");
    conn_test_expect_sent(owner->test, "\x8a\x03now", 5);
    cr_assert_eq(owner->log_bytes, 0); // the message goes on
    receive_frame(owner, 0x80, "end");
    cr_assert_eq(owner->test->sent_bytes, 10 + 100003);
    free(frame);
    owner_close(owner);
}

Test(messages, a_ping_in_pieces_inside_a_message_in_pieces) {
    struct owner *owner = open_owner();
    uint8_t frames[100];
    uint32_t length = frame_make(frames, 0x01, "be", 2);
    length += frame_make(frames + length, 0x89, "ping", 4);
    length += frame_make(frames + length, 0x80, "tween", 5);
    for (uint32_t i = 0; i < length; i++) {
        cr_assert(owner_receive(owner, frames + i, 1));
    }
    conn_test_expect_sent(owner->test,
                          "\x8a\x04ping\x81\x07"
                          "between",
                          15);
    owner_close(owner);
}

Test(messages, a_burst_of_pings_is_answered_one_by_one) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    for (int i = 0; i < PONG_PENDING_MAX; i++) {
        receive_frame(owner, 0x89, "p");
    }
    conn_test_send(owner->test);
    cr_assert_eq(owner->test->sent_bytes, PONG_PENDING_MAX * 3);
    cr_assert_eq(owner->test->counters.values[COUNTER_pongs_coalesced], 0);
    owner_close(owner);
}

Test(messages, a_flood_of_pings_leaves_few_pongs_the_last_to_the_newest) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    receive_frame(owner, 0x81, "first");
    for (uint32_t i = 0; i < 1000; i++) {
        char text[8];
        snprintf(text, sizeof text, "%03u", i % 1000);
        receive_frame(owner, 0x89, text);
        uint32_t pongs = owner->test->conns.entries.used - 1;
        expect(pongs == (i < PONG_PENDING_MAX ? i + 1 : PONG_PENDING_MAX), "%u", pongs);
    }
    cr_assert_eq(owner->test->counters.values[COUNTER_pings_received], 1000);
    cr_assert_eq(owner->test->counters.values[COUNTER_pongs_coalesced], 1000 - PONG_PENDING_MAX);
    conn_test_send(owner->test);
    cr_assert_eq(owner->test->sent_bytes, 7 + PONG_PENDING_MAX * 5);
    cr_assert_eq(memcmp(owner->test->sent,
                        "\x81\x05"
                        "first\x8a\x03"
                        "000",
                        12),
                 0);
    cr_assert_str_eq((char *)owner->test->sent + owner->test->sent_bytes - 3, "999");
    owner_close(owner);
}

Test(messages, a_pong_that_is_being_sent_is_not_taken_back) {
    struct owner *owner = open_owner();
    owner->is_deaf = true;
    receive_frame(owner, 0x89, "a");
    struct span pieces[SEND_PIECES_MAX];
    cr_assert_eq(conn_gather(&owner->test->conns, owner->test->index, pieces), 1);
    for (int i = 0; i < 1000; i++) {
        receive_frame(owner, 0x89, "b");
    }
    cr_assert_eq(owner->test->conns.entries.used, 1 + PONG_PENDING_MAX);
    cr_assert_eq(pieces[0].data[2], 'a');
    conn_sent(&owner->test->conns, owner->test->index, pieces[0].length);
    conn_test_send(owner->test);
    cr_assert_eq(owner->test->sent_bytes, PONG_PENDING_MAX * 3);
    owner_close(owner);
}

Test(messages, a_pong_that_nobody_asked_for_changes_nothing) {
    struct owner *owner = open_owner();
    receive_frame(owner, 0x8a, "");
    receive_frame(owner, 0x8a, "12345678");
    expect_state(owner->test, CONN_OPEN);
    cr_assert_eq(owner->test->sent_bytes, 0);
    cr_assert_eq(owner->test->counters.values[COUNTER_pongs_received], 0);
    owner_close(owner);
}

Test(messages, several_in_one_piece_are_one_event_each) {
    struct owner *owner = open_owner();
    uint8_t frames[100];
    uint32_t length = frame_make(frames, 0x81, "1", 1);
    length += frame_make(frames + length, 0x82, "2", 1);
    length += frame_make(frames + length, 0x81, "3", 1);
    owner_receive(owner, frames, length);
    cr_assert_str_eq(owner->log, "message 1 1 1\nmessage 2 1 2\nmessage 1 1 3\n");
    owner_close(owner);
}

// --- limits

static void expect_message(uint32_t first, uint32_t second, bool is_fine) {
    struct owner *owner = open_owner();
    owner->is_silent = true;
    owner->test->settings[1].reader.message_bytes_max = 1000;
    uint32_t frame_bytes;
    uint8_t *frame = large_frame(second > 0 ? 0x01 : 0x81, 'x', first, &frame_bytes);
    owner_receive(owner, frame, frame_bytes);
    free(frame);
    if (second > 0) {
        frame = large_frame(0x80, 'x', second, &frame_bytes);
        owner_receive(owner, frame, frame_bytes);
        free(frame);
    }
    expect((owner->log_bytes > 0) == is_fine, "%u and %u bytes", first, second);
    if (!is_fine) {
        expect_state(owner->test, CONN_DISCARD);
        expect_fault(owner->test, FAULT_message_too_big);
        expect(memcmp(owner->test->sent, "\x88\x1f\x03\xf1", 4) == 0, "1009"); // and its text
    }
    owner_close(owner);
}

Test(messages, message_limit_at_n_minus_1_n_and_n_plus_1) {
    expect_message(999, 0, true);
    expect_message(1000, 0, true);
    expect_message(1001, 0, false);
    expect_message(500, 499, true);
    expect_message(500, 500, true);
    expect_message(500, 501, false);
}

Test(messages, one_announced_too_large_takes_no_memory) {
    struct owner *owner = open_owner();
    owner->test->settings[1].reader.message_bytes_max = 1000;
    owner_receive(owner, "\x82\xfe\x03\xe9", 4); // 1001 bytes follow: not waited for
    expect_fault(owner->test, FAULT_message_too_big);
    expect_state(owner->test, CONN_DISCARD);
    cr_assert_eq(owner->test->conns.inputs.used, 0);
    owner_close(owner);
}

static void expect_fragments(uint32_t count, bool is_fine) {
    struct owner *owner = open_owner();
    owner->test->settings[1].reader.fragments_max = 5;
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t opcode = i == 1 ? WS_TEXT : WS_CONTINUATION;
        receive_frame(owner, (uint8_t)(opcode | (i == count ? 0x80u : 0)), "x");
    }
    expect((owner->log_bytes > 0) == is_fine, "%u fragments", count);
    if (!is_fine) {
        expect_fault(owner->test, FAULT_fragments_too_many);
    }
    owner_close(owner);
}

Test(messages, fragment_limit_at_n_minus_1_n_and_n_plus_1) {
    expect_fragments(4, true);
    expect_fragments(5, true);
    expect_fragments(6, false);
}

Test(messages, of_a_kind_that_the_route_refuses_are_1003) {
    for (int is_text = 0; is_text <= 1; is_text++) {
        struct owner *owner = open_owner();
        owner->test->settings[1].refuses_text = is_text != 0;
        owner->test->settings[1].refuses_binary = is_text == 0;
        receive_frame(owner, is_text != 0 ? 0x82 : 0x81, "fine");
        cr_assert_neq(owner->log_bytes, 0);
        owner->test->sent_bytes = 0;
        receive_frame(owner, is_text != 0 ? 0x01 : 0x02, "not");
        receive_frame(owner, 0x80, "fine");
        expect_fault(owner->test, FAULT_message_kind);
        expect_state(owner->test, CONN_DISCARD);
        cr_assert_eq(memcmp(owner->test->sent + 2, "\x03\xeb", 2), 0);
        owner_close(owner);
    }
}
