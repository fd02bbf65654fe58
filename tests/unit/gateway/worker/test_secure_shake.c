// Handshakes that wait for their turn: what a turn may spend on them is taken by others, and the
// bytes, the client or the deadline do not wait.
#include "tests/unit/gateway/tls/tls_ends.h"
#include "tests/unit/gateway/worker/clients_test.h"

struct tls_rig {
    struct rig *rig;
    struct secures secures;
    struct tls_context *contexts[LISTENERS_MAX];
    WOLFSSL_CTX *client_context;
};

static void tls_rig_open(struct tls_rig *test) {
    static const uint8_t seed[TLS_TICKET_SEED_BYTES] = {1, 2, 3};
    memset(test, 0, sizeof *test);
    cr_assert_eq(tls_library_open(), 0);
    test->contexts[0] = world_context(ec_certificate, ec_key, TLS_VERSION_12);
    test->rig = rig_open();
    struct secures_options options = {.connection_max = CONNS, .ticket_seed = seed};
    secures_memory_size(&options);
    struct memory *ranges[] = {&options.table, &options.peers, &options.shakes, &options.space,
                               &options.book};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = conn_test_reserve(ranges[i]->length);
    }
    secures_init(&test->secures, &options); // from here on the library's memory is this one
    test->client_context = client_context(wolfSSLv23_client_method());
    test->secures.contexts = (struct tls_context *const *)test->contexts;
    test->rig->clients.secures = &test->secures;
}

static void tls_rig_close(struct tls_rig *test) {
    rig_close(test->rig);
    cr_assert_eq(test->secures.shake_count, 0);
    cr_assert_eq(test->secures.ready_count, 0);
    wolfSSL_CTX_free(test->client_context);
    secures_fini(&test->secures);
    tls_memory_trim();
    tls_memory_set(NULL);
    tls_context_close(&test->contexts[0]);
    tls_library_close();
}

// A client by the library, whose first flight lies in `up`.
static struct ends *client_make(struct tls_rig *test) {
    struct ends *ends = calloc(1, sizeof *ends);
    cr_assert_not_null(ends);
    ends->client = wolfSSL_new(test->client_context);
    cr_assert_not_null(ends->client);
    wolfSSL_SetIOReadCtx(ends->client, ends);
    wolfSSL_SetIOWriteCtx(ends->client, ends);
    cr_assert_neq(wolfSSL_connect(ends->client), WOLFSSL_SUCCESS);
    cr_assert_gt(ends->up.end, 0);
    return ends;
}

static void client_free(struct ends *ends) {
    wolfSSL_free(ends->client);
    free(ends);
}

// The others have had every step of this turn.
static void steps_spend(struct tls_rig *test) {
    test->secures.steps_left = 0;
}

// A turn begins: who waits has its steps.
static void steps_turn(struct tls_rig *test) {
    secure_turn(&test->rig->clients);
    turn(test->rig);
}

static void says(struct tls_rig *test, link_id id, struct ends *ends) {
    peer_sends(test->rig, id, ends->up.bytes + ends->up.at, ends->up.end - ends->up.at);
    ends->up.at = ends->up.end;
}

// What the server sends, whole, to the client, who goes on.
static void hears(struct tls_rig *test, link_id id, struct ends *ends) {
    struct fake_slot *slot = fake_at(&test->rig->io, id);
    cr_assert(slot->is_sending, "nothing is being sent");
    uint32_t length = slot->sent_bytes;
    pipe_put(&ends->down, slot->sent, length);
    slot->sent_bytes = 0;
    fake_sent(&test->rig->io, id, (int32_t)length);
    turn(test->rig);
    ends->is_client_done = wolfSSL_connect(ends->client) == WOLFSSL_SUCCESS;
}

static bool is_waiting(const struct tls_rig *test, link_id id) {
    uint32_t index = link_slot_at(&test->rig->clients.link, id)->owner;
    uint32_t shake = test->secures.table[index].shake;
    return shake != 0 && test->secures.shakes[shake].is_ready;
}

static link_id waiting_open(struct tls_rig *test, struct ends *ends) {
    link_id id = rig_accept(test->rig);
    steps_spend(test);
    says(test, id, ends);
    cr_assert(is_waiting(test, id));
    cr_assert_eq(test->secures.ready_count, 1);
    return id;
}

Test(secure_shake, more_than_a_turn_may_step_wait_for_the_next_one) {
    struct tls_rig test;
    tls_rig_open(&test);
    struct ends *ends = client_make(&test);
    link_id ids[TLS_STEPS_TURN_MAX + 1];
    for (uint32_t i = 0; i <= TLS_STEPS_TURN_MAX; i++) {
        ids[i] = rig_accept(test.rig);
    }
    secure_turn(&test.rig->clients);
    for (uint32_t i = 0; i <= TLS_STEPS_TURN_MAX; i++) {
        ends->up.at = 0; // they all say the same
        says(&test, ids[i], ends);
        cr_assert_eq(is_waiting(&test, ids[i]), i == TLS_STEPS_TURN_MAX);
        cr_assert_eq(fake_at(&test.rig->io, ids[i])->is_sending, i < TLS_STEPS_TURN_MAX);
    }
    cr_assert(secures_are_busy(&test.secures));
    steps_turn(&test);
    cr_assert_not(secures_are_busy(&test.secures));
    cr_assert(fake_at(&test.rig->io, ids[TLS_STEPS_TURN_MAX])->is_sending);
    cr_assert_eq(test.secures.shake_count, TLS_STEPS_TURN_MAX + 1);
    client_free(ends);
    tls_rig_close(&test);
}

Test(secure_shake, what_came_while_it_waited_is_read_when_its_turn_was) {
    struct tls_rig test;
    tls_rig_open(&test);
    struct ends *ends = client_make(&test);
    link_id id = waiting_open(&test, ends);
    steps_turn(&test);
    hears(&test, id, ends);
    cr_assert(ends->is_client_done);
    cr_assert_eq(wolfSSL_write(ends->client, GET, sizeof GET - 1), (int)sizeof GET - 1);

    // The first bytes of its last flight have come, and then there is no step left for them.
    steps_spend(&test);
    peer_sends(test.rig, id, ends->up.bytes + ends->up.at, 10);
    ends->up.at += 10;
    cr_assert(is_waiting(&test, id));
    fake_polled(&test.rig->io, id, IO_POLL_IN, true); // the rest, and its request
    turn(test.rig);
    cr_assert_not(fake_at(&test.rig->io, id)->is_receiving, "one flight at a time");

    steps_turn(&test);
    cr_assert_not(is_waiting(&test, id));
    cr_assert(fake_at(&test.rig->io, id)->is_receiving, "no poll event comes again");
    secure_turn(&test.rig->clients);
    says(&test, id, ends);
    cr_assert_eq(test.rig->counters.values[COUNTER_tls_handshakes], 1);
    cr_assert_eq(test.secures.shake_count, 0);
    cr_assert(fake_at(&test.rig->io, id)->is_sending, "the request is answered");
    client_free(ends);
    tls_rig_close(&test);
}

Test(secure_shake, one_whose_connection_ends_while_it_waits_gives_its_place_back) {
    struct tls_rig test;
    tls_rig_open(&test);
    struct ends *ends = client_make(&test);
    link_id id = waiting_open(&test, ends);
    uint32_t index = link_slot_at(&test.rig->clients.link, id)->owner;
    conn_kill(&test.rig->clients.conns, index, FAULT_killed);
    turn(test.rig);
    cr_assert_eq(test.secures.ready_count, 0);
    cr_assert_eq(test.secures.shake_count, 0);
    steps_turn(&test); // its turn would have come
    cr_assert_eq(test.secures.steps_left, TLS_STEPS_TURN_MAX);
    finish(test.rig, id);
    cr_assert_eq(test.rig->gone, 1);
    client_free(ends);
    tls_rig_close(&test);
}

Test(secure_shake, a_client_that_left_while_it_waited_is_seen_behind_its_turn) {
    struct tls_rig test;
    tls_rig_open(&test);
    struct ends *ends = client_make(&test);
    link_id id = waiting_open(&test, ends);
    fake_polled(&test.rig->io, id, IO_POLL_IN | IO_POLL_HANGUP, true);
    turn(test.rig);
    cr_assert(is_waiting(&test, id));
    steps_turn(&test);
    hears(&test, id, ends);
    cr_assert(fake_received(&test.rig->io, id, 0, false));
    turn(test.rig);
    cr_assert_eq(state_of(test.rig, id), CONN_ENDED);
    cr_assert_eq(test.secures.shake_count, 0);
    finish(test.rig, id);
    cr_assert_eq(test.rig->counters.faults[FAULT_peer_vanished], 1);
    client_free(ends);
    tls_rig_close(&test);
}

Test(secure_shake, the_deadline_counts_while_it_waits) {
    struct tls_rig test;
    tls_rig_open(&test);
    struct ends *ends = client_make(&test);
    link_id id = waiting_open(&test, ends);
    wait(test.rig, 9000);
    cr_assert(is_waiting(&test, id));
    wait(test.rig, 1100);
    cr_assert_eq(state_of(test.rig, id), CONN_ENDED);
    cr_assert_eq(test.secures.ready_count, 0);
    cr_assert_eq(test.secures.shake_count, 0);
    finish(test.rig, id);
    cr_assert_eq(test.rig->counters.faults[FAULT_handshake_timeout], 1);
    client_free(ends);
    tls_rig_close(&test);
}
