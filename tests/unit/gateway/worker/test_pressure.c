// Above worker_queue the largest holders meet their policy first, and no more than it takes; a
// drain reaches every connection.
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "tests/unit/gateway/worker/services_test.h"

enum { ARENA_BYTES = 16 << 20, CONNS = 200 };

struct rig {
    struct worker worker;
    struct conn_settings settings[5]; // 1 + policy
};

static struct rig *rig_open(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    cr_assert_not_null(rig);
    struct worker *worker = &rig->worker;
    arena_init(&worker->arena, conn_test_reserve(ARENA_BYTES),
               conn_test_reserve(arena_book_bytes(ARENA_BYTES)), ARENA_BYTES);
    for (uint32_t policy = OUTBOX_CLOSE; policy <= OUTBOX_CONFLATE; policy++) {
        rig->settings[1 + policy].bounds = (struct outbox_bounds){
            .queue_bytes_max = 1 << 30, .policy = (enum outbox_policy)policy};
    }
    struct conns *conns = &worker->clients.conns;
    *conns = (struct conns){.arena = &worker->arena,
                            .settings = rig->settings,
                            .counters = &worker->counters,
                            .trace = &worker->trace,
                            .round_trip = &worker->round_trip_ns,
                            .head_bytes_max = 8192,
                            .handshake_ms = 10000};
    conn_test_conns(conns, CONNS, 10000, 1000000);
    static const struct log_options quiet = {
        .name = "test", .ring_bytes = 1 << 16, .level = LOG_LEVEL_ERROR};
    worker->log = log_open(&quiet);
    worker->worker_queue_bytes = 1 << 30;
    services_make(worker, CONNS);
    return rig;
}

// An open connection under that policy, with `count` messages of 10,000 bytes of its own queued.
static uint32_t open_holder(struct rig *rig, enum outbox_policy policy, uint32_t count) {
    struct worker *worker = &rig->worker;
    struct conns *conns = &worker->clients.conns;
    uint32_t index = conn_open(conns);
    static const char request[] = "GET / HTTP/1.1\r\n" HANDSHAKE_FIELDS;
    uint8_t copy[sizeof request];
    memcpy(copy, request, sizeof request);
    struct span_mut bytes = {.data = copy, .length = sizeof request - 1};
    conn_feed(conns, index, &bytes);
    conn_upgrade(conns, index, (uint16_t)(1 + policy), span_empty());
    struct span pieces[SEND_PIECES_MAX];
    conn_gather(conns, index, pieces);
    conn_sent(conns, index, pieces[0].length);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *data;
        uint32_t payload = payload_reserve(&worker->arena, WS_BINARY, 10000, &data);
        memset(data, 'x', 10000);
        conn_send(conns, index, payload, 1 + i);
        payload_drop(&worker->arena, payload);
    }
    worker->clients.index_peak =
        index > worker->clients.index_peak ? index : worker->clients.index_peak;
    return index;
}

static struct conn *conn_of(struct rig *rig, uint32_t index) {
    return conn_at(&rig->worker.clients.conns, index);
}

static void rig_close(struct rig *rig) {
    struct conns *conns = &rig->worker.clients.conns;
    for (uint32_t index = 1; index <= CONNS; index++) {
        if (conn_at(conns, index)->state != CONN_FREE) {
            conn_kill(conns, index, FAULT_killed);
            conn_release(conns, index);
        }
    }
    cr_assert_eq(rig->worker.arena.used_bytes, 0);
    cr_assert_eq(conns->entries.used, 0);
    log_close(&rig->worker.log);
    free(rig);
}

Test(pressure, below_the_mark_nothing_happens) {
    struct rig *rig = rig_open();
    uint32_t index = open_holder(rig, OUTBOX_CLOSE, 10);
    rig->worker.worker_queue_bytes = worker_queue_held(&rig->worker);
    worker_relieve(&rig->worker);
    cr_assert_eq(conn_of(rig, index)->state, CONN_OPEN);
    rig_close(rig);
}

Test(pressure, from_the_mark_on_nobody_more_comes_in_and_who_is_in_stays) {
    struct rig *rig = rig_open();
    uint32_t index = open_holder(rig, OUTBOX_CLOSE, 10);
    uint64_t held = worker_queue_held(&rig->worker);
    uint64_t total = (held * 100 + MEMORY_MARK_PERCENT - 1) / MEMORY_MARK_PERCENT;
    rig->worker.worker_queue_bytes = total;
    worker_relieve(&rig->worker);
    cr_assert_not(rig->worker.stream.is_full);
    rig->worker.worker_queue_bytes = total - 1;
    worker_relieve(&rig->worker);
    cr_assert(rig->worker.stream.is_full);
    cr_assert_eq(conn_of(rig, index)->state, CONN_OPEN);
    rig->worker.worker_queue_bytes = total;
    worker_relieve(&rig->worker);
    cr_assert_not(rig->worker.stream.is_full);
    rig_close(rig);
}

Test(pressure, the_largest_goes_first_and_no_more_than_it_takes) {
    struct rig *rig = rig_open();
    uint32_t small = open_holder(rig, OUTBOX_CLOSE, 5);
    uint32_t large = open_holder(rig, OUTBOX_CLOSE, 20);
    uint32_t none = open_holder(rig, OUTBOX_CLOSE, 0);
    uint32_t middle = open_holder(rig, OUTBOX_CLOSE, 10);
    rig->worker.worker_queue_bytes = worker_queue_held(&rig->worker) - 1;
    worker_relieve(&rig->worker);
    cr_assert_eq(conn_of(rig, large)->state, CONN_CLOSING);
    cr_assert_eq(conn_of(rig, large)->fault, FAULT_memory_pressure);
    cr_assert_eq(conn_of(rig, middle)->state, CONN_OPEN);
    cr_assert_eq(conn_of(rig, small)->state, CONN_OPEN);
    cr_assert_leq(worker_queue_held(&rig->worker), rig->worker.worker_queue_bytes);
    rig->worker.worker_queue_bytes = 0;
    worker_relieve(&rig->worker);
    cr_assert_eq(conn_of(rig, middle)->state, CONN_CLOSING);
    cr_assert_eq(conn_of(rig, small)->state, CONN_CLOSING);
    cr_assert_eq(conn_of(rig, none)->state, CONN_OPEN); // it holds nothing
    cr_assert_eq(rig->worker.counters.values[COUNTER_dropped_closed], 35);
    rig_close(rig);
}

Test(pressure, the_other_policies_drop_what_waits_and_keep_the_connection) {
    static const enum counter_id counters[] = {
        [OUTBOX_DROP_OLDEST] = COUNTER_dropped_oldest,
        [OUTBOX_DROP_NEWEST] = COUNTER_dropped_newest,
        [OUTBOX_CONFLATE] = COUNTER_dropped_conflated,
    };
    for (uint32_t policy = OUTBOX_DROP_OLDEST; policy <= OUTBOX_CONFLATE; policy++) {
        struct rig *rig = rig_open();
        uint32_t index = open_holder(rig, (enum outbox_policy)policy, 10);
        rig->worker.worker_queue_bytes = 0;
        worker_relieve(&rig->worker);
        cr_assert_eq(conn_of(rig, index)->state, CONN_OPEN);
        cr_assert_eq(conn_of(rig, index)->outbox.queued_bytes, 0);
        cr_assert_eq(rig->worker.counters.values[counters[policy]], 10);
        rig_close(rig);
    }
}

Test(pressure, of_many_holders_a_turn_sheds_the_largest) {
    struct rig *rig = rig_open();
    uint32_t indices[100];
    for (uint32_t i = 0; i < 100; i++) { // 1 to 10 messages, the largest spread over all
        indices[i] = open_holder(rig, OUTBOX_CLOSE, 1 + i * 7 % 10);
    }
    rig->worker.worker_queue_bytes = 0;
    worker_relieve(&rig->worker);
    uint32_t closed = 0;
    uint32_t closed_least = UINT32_MAX;
    uint32_t open_most = 0;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t size = 1 + i * 7 % 10;
        if (conn_of(rig, indices[i])->state == CONN_CLOSING) {
            closed++;
            closed_least = size < closed_least ? size : closed_least;
        } else {
            open_most = size > open_most ? size : open_most;
        }
    }
    cr_assert_eq(closed, 64); // of one turn
    cr_assert_leq(open_most, closed_least);
    worker_relieve(&rig->worker);
    for (uint32_t i = 0; i < 100; i++) {
        expect(conn_of(rig, indices[i])->state == CONN_CLOSING, "%u", i);
    }
    rig_close(rig);
}

Test(drain, reaches_every_connection) {
    struct rig *rig = rig_open();
    struct worker *worker = &rig->worker;
    struct conns *conns = &worker->clients.conns;
    for (uint32_t i = 0; i < 100; i++) {
        open_holder(rig, OUTBOX_CLOSE, 0);
    }
    conns_drain(conns, 1000);
    worker->drain_cursor = 1;
    worker_drain_step(worker);
    cr_assert_eq(worker->drain_cursor, 0);
    conns_turn(conns, conns->now_us + 1100000);
    clients_expire(&worker->clients);
    cr_assert_eq(conns->open_count, 0);
    cr_assert_eq(worker->counters.close_codes_sent[12], 100);
    rig_close(rig);
}

Test(stop, cuts_what_is_left) {
    struct rig *rig = rig_open();
    uint32_t index = open_holder(rig, OUTBOX_CLOSE, 3);
    worker_stop(&rig->worker);
    cr_assert_eq(conn_of(rig, index)->state, CONN_ENDED);
    cr_assert_eq(conn_of(rig, index)->fault, FAULT_killed);
    rig_close(rig);
}
