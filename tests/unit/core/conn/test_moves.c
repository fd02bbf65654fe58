// Every arrow of the state machine is taken by a small scenario, and every scenario takes its own;
// an arrow that no scenario takes has no reason to be allowed.
#include "core/conn/internal.h"
#include "tests/unit/core/conn/conn_owner.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length)                                                                         \
    "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " #length "\r\n\r\n"
#define UPGRADE(path) "GET " path " HTTP/1.1\r\n" HANDSHAKE_FIELDS

static void order_close(struct owner *owner, enum fault_id fault) {
    conn_close(&owner->test->conns, owner->test->index,
               &(struct conn_close_options){.fault = fault});
}

static void end(struct owner *owner) {
    conn_on_end(&owner->test->conns, owner->test->index);
}

static void cut(struct owner *owner) {
    conn_kill(&owner->test->conns, owner->test->index, FAULT_killed);
}

static void head_to_verdict(struct owner *owner) {
    owner_receive_text(owner, GET("/later"));
}

static void head_to_discard(struct owner *owner) {
    owner_receive_text(owner, "x /\r\n");
}

static void head_to_flush(struct owner *owner) {
    owner->is_deaf = true;
    owner_receive_text(owner, GET("/"));
    end(owner);
}

static void verdict_to_head(struct owner *owner) {
    owner_receive_text(owner, GET("/"));
}

static void verdict_to_body(struct owner *owner) {
    owner_receive_text(owner, POST("/take", 3));
}

static void verdict_to_open(struct owner *owner) {
    owner_receive_text(owner, UPGRADE("/"));
}

static void verdict_to_discard(struct owner *owner) {
    owner_receive_text(owner, POST("/", 3));
}

static void verdict_to_flush(struct owner *owner) {
    owner_receive_text(owner, "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
}

static void verdict_to_ended(struct owner *owner) {
    owner_receive_text(owner, GET("/later"));
    cut(owner);
}

static void body_to_reply(struct owner *owner) {
    owner_receive_text(owner, POST("/take", 1) "a");
}

static void body_to_discard(struct owner *owner) {
    owner_receive_text(owner,
                       "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx");
}

static void body_to_ended(struct owner *owner) {
    owner_receive_text(owner, POST("/take", 3) "a");
    end(owner);
}

static void reply_to_flush(struct owner *owner) {
    owner_receive_text(owner, "POST /take HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\n\r\na");
}

static void reply_to_ended(struct owner *owner) { // no memory for the reply
    owner_receive_text(owner, POST("/take", 1));
    owner->test->conns.entries.limit = 0;
    owner_receive_text(owner, "a");
}

static void verdict_to_relay(struct owner *owner) {
    owner_receive_text(owner, GET("/relay"));
}

static void relay_to_head(struct owner *owner) {
    verdict_to_relay(owner);
    conn_relay_end(&owner->test->conns, owner->test->index, true);
}

static void relay_to_open(struct owner *owner) {
    owner_receive_text(owner, UPGRADE("/relay"));
    conn_upgrade(&owner->test->conns, owner->test->index, 1, span_empty());
}

static void relay_to_discard(struct owner *owner) {
    owner_receive_text(owner, POST("/relay", 3));
    conn_relay_end(&owner->test->conns, owner->test->index, true);
}

static void relay_to_flush(struct owner *owner) {
    owner->is_deaf = true;
    verdict_to_relay(owner);
    owner_put(owner, "a");
    conn_relay_cut(&owner->test->conns, owner->test->index, FAULT_internal_error);
}

static void relay_to_ended(struct owner *owner) {
    verdict_to_relay(owner);
    conn_relay_cut(&owner->test->conns, owner->test->index, FAULT_internal_error);
}

static void open_to_closing(struct owner *owner) {
    owner_receive_text(owner, UPGRADE("/"));
    order_close(owner, FAULT_draining);
}

static void open_to_discard(struct owner *owner) {
    owner_receive_text(owner, UPGRADE("/"));
    owner_receive(owner, "\x83", 1);
}

static void open_to_flush(struct owner *owner) {
    owner_receive_text(owner, UPGRADE("/"));
    owner_receive(owner, "\x88\x80\0\0\0\0", 6);
}

static void open_to_ended(struct owner *owner) {
    owner_receive_text(owner, UPGRADE("/"));
    end(owner);
}

static void closing_to_discard(struct owner *owner) {
    open_to_closing(owner);
    owner_receive(owner, "\x83", 1);
}

static void closing_to_flush(struct owner *owner) {
    owner->is_deaf = true;
    owner_receive_text(owner, UPGRADE("/"));
    conn_test_send(owner->test);
    order_close(owner, FAULT_draining);
    end(owner);
}

static void closing_to_ended(struct owner *owner) {
    open_to_closing(owner);
    conn_test_wait(owner->test, CLOSE_WAIT_MS + WHEEL_TICK_MS);
}

static void discard_to_flush(struct owner *owner) {
    owner->is_deaf = true;
    owner_receive_text(owner, "x /\r\n");
    end(owner);
}

static void discard_to_ended(struct owner *owner) {
    owner_receive_text(owner, "x /\r\n");
    end(owner);
}

static const struct {
    enum conn_state from, to;
    void (*run)(struct owner *owner);
} moves[] = {
    {CONN_FREE, CONN_HEAD, head_to_verdict},
    {CONN_HEAD, CONN_VERDICT, head_to_verdict},
    {CONN_HEAD, CONN_DISCARD, head_to_discard},
    {CONN_HEAD, CONN_FLUSH, head_to_flush},
    {CONN_HEAD, CONN_ENDED, end},
    {CONN_VERDICT, CONN_HEAD, verdict_to_head},
    {CONN_VERDICT, CONN_BODY, verdict_to_body},
    {CONN_VERDICT, CONN_RELAY, verdict_to_relay},
    {CONN_VERDICT, CONN_OPEN, verdict_to_open},
    {CONN_VERDICT, CONN_DISCARD, verdict_to_discard},
    {CONN_VERDICT, CONN_FLUSH, verdict_to_flush},
    {CONN_VERDICT, CONN_ENDED, verdict_to_ended},
    {CONN_BODY, CONN_REPLY, body_to_reply},
    {CONN_BODY, CONN_DISCARD, body_to_discard},
    {CONN_BODY, CONN_ENDED, body_to_ended},
    {CONN_REPLY, CONN_HEAD, body_to_reply},
    {CONN_REPLY, CONN_FLUSH, reply_to_flush},
    {CONN_REPLY, CONN_ENDED, reply_to_ended},
    {CONN_RELAY, CONN_HEAD, relay_to_head},
    {CONN_RELAY, CONN_OPEN, relay_to_open},
    {CONN_RELAY, CONN_DISCARD, relay_to_discard},
    {CONN_RELAY, CONN_FLUSH, relay_to_flush},
    {CONN_RELAY, CONN_ENDED, relay_to_ended},
    {CONN_OPEN, CONN_CLOSING, open_to_closing},
    {CONN_OPEN, CONN_DISCARD, open_to_discard},
    {CONN_OPEN, CONN_FLUSH, open_to_flush},
    {CONN_OPEN, CONN_ENDED, open_to_ended},
    {CONN_CLOSING, CONN_DISCARD, closing_to_discard},
    {CONN_CLOSING, CONN_FLUSH, closing_to_flush},
    {CONN_CLOSING, CONN_ENDED, closing_to_ended},
    {CONN_DISCARD, CONN_FLUSH, discard_to_flush},
    {CONN_DISCARD, CONN_ENDED, discard_to_ended},
    {CONN_FLUSH, CONN_ENDED, open_to_flush},
    {CONN_ENDED, CONN_FREE, end},
};

static bool is_seen(const struct trace *trace, enum conn_state from, enum conn_state to) {
    for (uint64_t i = 0; i < trace->count; i++) {
        const struct trace_record *record = &trace->records[i];
        if (record->kind == TRACE_CONN_MOVE && record->b == ((uint32_t)from << 8 | to)) {
            return true;
        }
    }
    return false;
}

Test(moves, each_is_taken_by_its_scenario) {
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        struct owner *owner = owner_open();
        struct conn_test *test = owner->test;
        moves[i].run(owner);
        conn_test_release(test, test->index);
        expect(is_seen(&test->trace, moves[i].from, moves[i].to), "%s to %s was not taken",
               conn_state_name(moves[i].from), conn_state_name(moves[i].to));
        owner_close(owner);
    }
}

Test(moves, no_other_is_allowed) {
    for (int from = 0; from < CONN_STATE_COUNT; from++) {
        for (int to = 0; to < CONN_STATE_COUNT; to++) {
            bool has_scenario = false;
            for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
                has_scenario |= (int)moves[i].from == from && (int)moves[i].to == to;
            }
            expect(conn_may_move((enum conn_state)from, (enum conn_state)to) == has_scenario,
                   "%s to %s: allowed without a scenario, or the reverse",
                   conn_state_name((enum conn_state)from), conn_state_name((enum conn_state)to));
        }
    }
}

Test(moves, every_state_has_a_name) {
    for (int state = 0; state < CONN_STATE_COUNT; state++) {
        cr_assert_neq(conn_state_name((enum conn_state)state)[0], '?');
    }
    cr_assert_str_eq(conn_state_name(CONN_STATE_COUNT), "?");
}
