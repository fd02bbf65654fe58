// Both record layers behind one door: what a client sends is read, what is sealed the client reads,
// in every suite; new keys both ways, close_notify, and what is forged, of no sense or too long.
#include "gateway/tls/session.h"
#include "tests/unit/gateway/tls/tls_ends.h"

static const char *const suites[] = {
    "TLS13-AES128-GCM-SHA256",        "TLS13-AES256-GCM-SHA384",
    "TLS13-CHACHA20-POLY1305-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",  "ECDHE-ECDSA-CHACHA20-POLY1305",
};

enum { SUITES = sizeof(suites) / sizeof(suites[0]), SUITES_13 = 3, TEXT_BYTES = 40000 };

static struct world world;
static struct tls_session session;
static uint8_t text[TEXT_BYTES];
static uint8_t got[TEXT_BYTES + 1];
static uint8_t sealed[PIPE_BYTES];

static struct ends *session_open(uint32_t suite, enum tls_layer layer) {
    struct ends *ends = ends_open(&world, world.ec, suites[suite]);
    ends->server.layer = layer;
    cr_assert(ends_shake(ends), "%s", ends->reason);
    cr_assert_eq(tls_session_begin(&session, &ends->server), 0);
    tls_handshake_close(&ends->server);
    return ends;
}

static void session_close(struct ends *ends) {
    tls_session_fini(&session);
    ends_close(ends);
}

// Calls `test` with every layer and suite.
static void each(uint32_t suite_count, void (*test)(struct ends *ends)) {
    for (uint32_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = (uint8_t)(i * 7);
    }
    world_open(&world);
    for (uint32_t i = 0; i < 2 * suite_count; i++) {
        struct ends *ends = session_open(i / 2, i % 2 == 0 ? TLS_LAYER_COMPACT : TLS_LAYER_LIBRARY);
        test(ends);
        session_close(ends);
    }
    world_close(&world);
}

// All records that came up; what they held is in `got`. The last result.
static struct tls_opened up_read(struct ends *ends, uint32_t *length) {
    struct tls_opened opened = {.kind = TLS_OPENED_MORE};
    *length = 0;
    while (ends->up.at < ends->up.end) {
        struct span_mut received = {.data = ends->up.bytes + ends->up.at,
                                    .length = ends->up.end - ends->up.at};
        opened = tls_session_open(&session, received);
        if (opened.kind == TLS_OPENED_MORE || opened.kind == TLS_OPENED_FAULT) {
            return opened;
        }
        ends->up.at += opened.consumed;
        if (opened.data.length > 0) {
            memcpy(got + *length, opened.data.data, opened.data.length);
            *length += opened.data.length;
        }
    }
    return opened;
}

static void down_send(struct ends *ends, const struct span *pieces, uint32_t count,
                      uint32_t bytes) {
    struct span_mut target = {.data = sealed,
                              .length = (uint32_t)tls_session_sealed_bytes(&session, bytes)};
    int64_t written = tls_session_seal(&session, pieces, count, target);
    cr_assert_geq(written, 0);
    if (ends->down.at == ends->down.end) {
        ends->down.at = ends->down.end = 0; // the session ticket was read
    }
    pipe_put(&ends->down, sealed, (uint32_t)written);
}

static void alert_send(struct ends *ends, enum tls_alert alert) {
    struct span_mut target = {.data = sealed, .length = TLS_SESSION_CONTROL_BYTES_MAX};
    pipe_put(&ends->down, sealed, tls_session_alert(&session, alert, target));
}

static void expect_down(struct ends *ends, uint32_t bytes) {
    uint32_t read = 0;
    while (read < bytes) {
        int part = wolfSSL_read(ends->client, got + read, (int)(bytes + 1 - read));
        cr_assert_gt(part, 0, "%d", wolfSSL_get_error(ends->client, part));
        read += (uint32_t)part;
    }
    cr_assert_eq(read, bytes);
    cr_assert_arr_eq(got, text, bytes);
}

static void sizes(struct ends *ends) {
    static const uint32_t lengths[] = {1, 125, 1000, 16383, 16384, 16385, TEXT_BYTES};
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint32_t length;
        ends->up.at = ends->up.end = 0;
        cr_assert_eq(wolfSSL_write(ends->client, text, (int)lengths[i]), (int)lengths[i]);
        cr_assert_eq(up_read(ends, &length).kind, TLS_OPENED_DATA);
        cr_assert_eq(length, lengths[i]);
        cr_assert_arr_eq(got, text, length);
        struct span pieces[] = {span_make(text, 1), span_empty(),
                                span_make(text + 1, lengths[i] - 1)};
        down_send(ends, pieces, 3, lengths[i]);
        expect_down(ends, lengths[i]);
    }
}

Test(session, sizes, .timeout = 60) {
    each(SUITES, sizes);
}

static void in_bytes(struct ends *ends) {
    cr_assert_eq(wolfSSL_write(ends->client, text, 100), 100);
    uint32_t whole = ends->up.end - ends->up.at;
    uint8_t record[256];
    memcpy(record, ends->up.bytes + ends->up.at, whole);
    for (uint32_t have = 0; have < whole; have++) {
        struct tls_opened opened =
            tls_session_open(&session, (struct span_mut){.data = record, .length = have});
        cr_assert_eq(opened.kind, TLS_OPENED_MORE);
        cr_assert_eq(opened.wanted, have < TLS_RECORD_HEAD_BYTES ? TLS_RECORD_HEAD_BYTES : whole);
    }
    struct tls_opened opened =
        tls_session_open(&session, (struct span_mut){.data = record, .length = whole});
    cr_assert_eq(opened.kind, TLS_OPENED_DATA);
    cr_assert_arr_eq(opened.data.data, text, 100);
}

Test(session, a_record_that_comes_byte_by_byte, .timeout = 60) {
    each(SUITES, in_bytes);
}

static void new_keys(struct ends *ends) {
    uint32_t length;
    for (uint32_t i = 0; i < 3; i++) {
        ends->up.at = ends->up.end = 0;
        cr_assert_eq(wolfSSL_update_keys(ends->client), WOLFSSL_SUCCESS);
        cr_assert_eq(wolfSSL_write(ends->client, text, 50), 50);
        cr_assert_eq(up_read(ends, &length).kind, TLS_OPENED_DATA);
        cr_assert_eq(length, 50);
        cr_assert(tls_session_owes(&session), "the client asked for ours");
        down_send(ends, NULL, 0, 0);
        cr_assert(!tls_session_owes(&session));
        cr_assert_gt(ends->down.end, 0);
        cr_assert_leq(wolfSSL_read(ends->client, got, sizeof(got)), 0, "no data in it");
        struct span piece = span_make(text, 50);
        down_send(ends, &piece, 1, 50);
        expect_down(ends, 50);
    }
}

Test(session, new_keys_both_ways, .timeout = 60) {
    each(SUITES_13, new_keys);
}

// Their answers are not sent meanwhile. What is sent at the end the client can read.
static void new_keys_without_end(struct ends *ends) {
    uint32_t length;
    ends->up.at = ends->up.end = 0;
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(wolfSSL_update_keys(ends->client), WOLFSSL_SUCCESS);
    }
    struct tls_opened opened = up_read(ends, &length);
    cr_assert_eq(opened.kind, TLS_OPENED_FAULT);
    cr_assert_eq(opened.fault, fault_get(FAULT_tls_flood));
    alert_send(ends, opened.alert);
    int result = wolfSSL_read(ends->client, got, sizeof(got));
    int error = wolfSSL_get_error(ends->client, result);
    cr_assert(error == FATAL_ERROR || error == WOLFSSL_ERROR_WANT_READ, "%d", error);
}

Test(session, keys_changed_without_end_are_a_flood, .timeout = 60) {
    each(SUITES_13, new_keys_without_end);
}

static void end_of_theirs(struct ends *ends) {
    uint32_t length;
    (void)wolfSSL_shutdown(ends->client); // says that we have not yet
    cr_assert_eq(up_read(ends, &length).kind, TLS_OPENED_CLOSED);
    pipe_put(&ends->up, "what follows is ignored", 23);
    cr_assert_eq(up_read(ends, &length).kind, TLS_OPENED_CLOSED);
    struct span piece = span_make(text, 50);
    down_send(ends, &piece, 1, 50); // one direction closes, not both
    cr_assert_gt(ends->down.end, 50);
}

Test(session, the_clients_end, .timeout = 60) {
    each(SUITES, end_of_theirs);
}

static void end_of_ours(struct ends *ends) {
    alert_send(ends, TLS_ALERT_CLOSE_NOTIFY);
    int read = wolfSSL_read(ends->client, got, sizeof(got));
    cr_assert_eq(wolfSSL_get_error(ends->client, read), WOLFSSL_ERROR_ZERO_RETURN);
    struct span piece = span_make(text, 50);
    struct span_mut target = {.data = sealed, .length = sizeof(sealed)};
    cr_assert_lt(tls_session_seal(&session, &piece, 1, target), 0, "nothing follows");
    uint32_t end = ends->down.end;
    alert_send(ends, TLS_ALERT_CLOSE_NOTIFY);
    cr_assert_eq(ends->down.end, end, "it is said once");
}

Test(session, our_end, .timeout = 60) {
    each(SUITES, end_of_ours);
}

static void expect_fault(struct ends *ends, enum fault_id fault) {
    uint32_t length;
    struct tls_opened opened = up_read(ends, &length);
    cr_assert_eq(opened.kind, TLS_OPENED_FAULT);
    cr_assert_eq(opened.fault->id, fault, "%s", opened.fault->name);
    cr_assert_neq(opened.alert, TLS_ALERT_NONE);
    alert_send(ends, opened.alert);
    int read = wolfSSL_read(ends->client, got, sizeof(got));
    cr_assert_leq(read, 0);
    cr_assert_eq(wolfSSL_get_error(ends->client, read), FATAL_ERROR, "the alert is understood");
}

static void forged(struct ends *ends) {
    cr_assert_eq(wolfSSL_write(ends->client, text, 50), 50);
    ends->up.bytes[ends->up.end - 1] ^= 1;
    expect_fault(ends, FAULT_tls_record_forged);
}

Test(session, one_bit_altered, .timeout = 60) {
    each(SUITES, forged);
}

static void replayed(struct ends *ends) {
    cr_assert_eq(wolfSSL_write(ends->client, text, 50), 50);
    uint32_t whole = ends->up.end - ends->up.at;
    pipe_put(&ends->up, ends->up.bytes + ends->up.at, whole);
    expect_fault(ends, FAULT_tls_record_forged);
}

Test(session, a_record_twice, .timeout = 60) {
    each(SUITES, replayed);
}

static void too_long(struct ends *ends) {
    static const uint8_t head[] = {23, 3, 3, 0x48, 0x80};
    pipe_put(&ends->up, head, sizeof(head));
    expect_fault(ends, FAULT_tls_record_length);
}

Test(session, a_head_of_more_than_a_record, .timeout = 60) {
    each(SUITES, too_long);
}
