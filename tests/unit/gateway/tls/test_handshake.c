// Handshakes with the library's own client, then the way out of the library:
// every suite, pieces, pipelined data, handshakes in turns, tickets, new keys,
// and what is refused.
#include "tests/unit/gateway/tls/tls_ends.h"

struct suite {
    const char *name;
    bool is_rsa;
};

static const struct suite suites[] = {
    {"TLS13-AES128-GCM-SHA256", false},       {"TLS13-AES256-GCM-SHA384", false},
    {"TLS13-CHACHA20-POLY1305-SHA256", true}, {"ECDHE-ECDSA-AES128-GCM-SHA256", false},
    {"ECDHE-ECDSA-AES256-GCM-SHA384", false}, {"ECDHE-ECDSA-CHACHA20-POLY1305", false},
    {"ECDHE-RSA-AES128-GCM-SHA256", true},    {"ECDHE-RSA-AES256-GCM-SHA384", true},
    {"ECDHE-RSA-CHACHA20-POLY1305", true},
};

enum { SUITES = sizeof(suites) / sizeof(suites[0]), SUITES_13 = 3 };

static struct world world;

static struct ends *suite_open(uint32_t i) {
    struct ends *ends = ends_open(&world, suites[i].is_rsa ? world.rsa : world.ec, suites[i].name);
    return ends;
}

TestSuite(handshake, .timeout = 60);

Test(handshake, every_suite_then_records_without_the_library) {
    world_open(&world);
    for (uint32_t i = 0; i < SUITES; i++) {
        struct ends *ends = suite_open(i);
        cr_assert(ends_shake(ends), "%s: %s", suites[i].name, ends->reason);
        cr_assert_eq(ends->up.at, ends->up.end);
        ends_finish(ends);
        cr_assert_eq(ends->record.version, i < SUITES_13 ? TLS_VERSION_13 : TLS_VERSION_12);
        ends_echo(ends);
        ends_close(ends);
    }
    world_close(&world);
}

// However the bytes come and however little room there is for the answer.
Test(handshake, in_pieces) {
    static const uint32_t pieces[] = {1, 2, 7, 100};
    world_open(&world);
    for (uint32_t i = 0; i < SUITES; i++) {
        struct ends *ends = suite_open(i);
        ends->piece = pieces[i % 4];
        ends->room = pieces[(i + 1) % 4];
        cr_assert(ends_shake(ends), "%s: %s", suites[i].name, ends->reason);
        ends_finish(ends);
        ends_echo(ends);
        ends_close(ends);
    }
    world_close(&world);
}

// The request that comes with the client's Finished is not eaten by the
// library.
Test(handshake, pipelined_data_behind_finished) {
    world_open(&world);
    for (uint32_t i = 0; i < SUITES_13; i++) {
        struct ends *ends = suite_open(i);
        while (wolfSSL_connect(ends->client) != WOLFSSL_SUCCESS) {
            cr_assert(ends_step(ends));
        }
        ends->is_client_done = true;
        cr_assert_not(ends->is_server_done); // Finished still lies in the pipe
        cr_assert_eq(wolfSSL_write(ends->client, "GET / HTTP/1.1", 14), 14);
        cr_assert(ends_shake(ends));
        ends_finish(ends);
        ends_expect_up(ends, "GET / HTTP/1.1");
        ends_echo(ends);
        ends_close(ends);
    }
    world_close(&world);
}

// The capture has no connection of its own: handshakes of all suites take
// turns, byte by byte.
Test(handshake, interleaved_on_one_thread) {
    world_open(&world);
    struct ends *ends[SUITES * 2];
    for (uint32_t i = 0; i < SUITES * 2; i++) {
        ends[i] = suite_open(i % SUITES);
        ends[i]->piece = 1 + i * 5;
    }
    bool is_busy = true;
    for (uint32_t k = 0; k < 20000 && is_busy; k++) {
        is_busy = false;
        for (uint32_t i = 0; i < SUITES * 2; i++) {
            cr_assert(ends_step(ends[i]), "%s: %s", suites[i % SUITES].name, ends[i]->reason);
            is_busy |= !ends[i]->is_client_done || !ends[i]->is_server_done;
        }
    }
    cr_assert_not(is_busy);
    for (uint32_t i = 0; i < SUITES * 2; i++) {
        ends_finish(ends[i]);
    }
    for (uint32_t i = 0; i < SUITES * 2; i++) {
        ends_echo(ends[i]);
        ends_close(ends[i]);
    }
    world_close(&world);
}

// What the peer did during the handshake of another is nothing to this one.
Test(handshake, a_failure_in_between_leaves_others_alone) {
    world_open(&world);
    struct ends *good = suite_open(0);
    good->piece = 50;
    ends_step(good);
    struct ends *bad = suite_open(1);
    uint8_t noise[64] = {22, 3, 1, 0, 59, 2};
    pipe_put(&bad->up, noise, sizeof(noise));
    bad->is_client_done = true;
    while (ends_step(bad) && bad->up.at < bad->up.end) {
    }
    cr_assert_not_null(bad->reason);
    ends_close(bad);
    cr_assert(ends_shake(good));
    ends_finish(good);
    ends_echo(good);
    ends_close(good);
    world_close(&world);
}

static void up_expect_nothing(struct ends *ends) {
    struct span_mut received = {.data = ends->up.bytes + ends->up.at,
                                .length = ends->up.end - ends->up.at};
    struct tls_opened opened = tls_record_open(&ends->record, received);
    cr_assert_eq(opened.kind, TLS_OPENED_NOTHING);
    ends->up.at += opened.consumed;
}

// The library's client asks for new keys and gets them; ours, too, and the
// client follows.
Test(handshake, key_updates_both_ways_with_the_library) {
    world_open(&world);
    for (uint32_t i = 0; i < SUITES_13; i++) {
        struct ends *ends = suite_open(i);
        cr_assert(ends_shake(ends));
        ends_finish(ends);
        for (uint32_t k = 0; k < 3; k++) {
            cr_assert_eq(wolfSSL_update_keys(ends->client), WOLFSSL_SUCCESS);
            up_expect_nothing(ends);
            cr_assert(tls_record_owes(&ends->record));
            ends_send_down(ends, "new"); // behind our answer
            cr_assert_not(tls_record_owes(&ends->record));
            ends_expect_down(ends, "new");
            ends_echo(ends);

            ends->record.out.owes_update = 1; // as when the keys are worn: unasked
            ends_echo(ends);
        }
        ends_close(ends);
    }
    world_close(&world);
}

Test(handshake, close_notify_with_the_library) {
    world_open(&world);
    for (uint32_t i = 0; i < SUITES; i++) {
        struct ends *ends = suite_open(i);
        cr_assert(ends_shake(ends));
        ends_finish(ends);
        ends_echo(ends);
        (void)wolfSSL_shutdown(ends->client); // says that the other side has not yet
        struct span_mut received = {.data = ends->up.bytes + ends->up.at,
                                    .length = ends->up.end - ends->up.at};
        cr_assert_eq(tls_record_open(&ends->record, received).kind, TLS_OPENED_CLOSED);
        struct span_mut target = {.data = ends->down.bytes + ends->down.end, .length = 64};
        ends->down.end += tls_record_alert(&ends->record, TLS_ALERT_CLOSE_NOTIFY, target);
        cr_assert_eq(wolfSSL_shutdown(ends->client), WOLFSSL_SUCCESS);
        ends_close(ends);
    }
    world_close(&world);
}

// 1.3: the ticket comes with the handshake, but the client reads it with the
// first data.
static WOLFSSL_SESSION *session_take(uint32_t suite) {
    struct ends *ends = suite_open(suite);
    cr_assert(ends_shake(ends));
    cr_assert_not(tls_handshake_is_resumed(&ends->server));
    ends_finish(ends);
    ends_echo(ends);
    WOLFSSL_SESSION *session = wolfSSL_get1_session(ends->client);
    cr_assert_not_null(session);
    ends_close(ends);
    return session;
}

static bool resumes(uint32_t suite, WOLFSSL_SESSION *session) {
    struct ends *ends = suite_open(suite);
    cr_assert_eq(wolfSSL_set_session(ends->client, session), WOLFSSL_SUCCESS);
    cr_assert(ends_shake(ends), "%s", ends->reason);
    bool is_resumed = tls_handshake_is_resumed(&ends->server);
    ends_finish(ends);
    ends_echo(ends);
    ends_close(ends);
    return is_resumed;
}

// Of this worker, of another one, of the epoch before; not of an older one, nor
// of another seed.
Test(handshake, tickets) {
    for (uint32_t i = 0; i < SUITES; i += 3) {
        world_open(&world);
        WOLFSSL_SESSION *session = session_take(i);
        cr_assert(resumes(i, session), "%s", suites[i].name);
        static const uint8_t seed[TLS_TICKET_SEED_BYTES] = {1, 2, 3};
        tls_tickets_init(&world.tickets, seed, 0); // as another worker begins
        cr_assert(resumes(i, session));
        tls_tickets_advance(&world.tickets, TLS_TICKET_EPOCH_MS);
        cr_assert(resumes(i, session));
        // TLS 1.2: having refused a ticket the library leaves out the extended master secret, which
        // its own client takes for an attack (OpenSSL's does not: tests/system).
        if (i < SUITES_13) {
            tls_tickets_advance(&world.tickets, 2 * (uint64_t)TLS_TICKET_EPOCH_MS);
            cr_assert_not(resumes(i, session));
            static const uint8_t other[TLS_TICKET_SEED_BYTES] = {1, 2, 4};
            tls_tickets_init(&world.tickets, other, 0);
            cr_assert_not(resumes(i, session));
        }
        wolfSSL_SESSION_free(session);
        world_close(&world);
    }
}

Test(handshake, protocols) {
    world_open(&world);
    struct ends *ends = suite_open(0);
    char both[] = "h2,http/1.1";
    wolfSSL_UseALPN(ends->client, both, sizeof(both) - 1, WOLFSSL_ALPN_FAILED_ON_MISMATCH);
    cr_assert(ends_shake(ends), "%s", ends->reason);
    char *name = NULL;
    unsigned short length = 0;
    cr_assert_eq(wolfSSL_ALPN_GetProtocol(ends->client, &name, &length), WOLFSSL_SUCCESS);
    cr_assert(span_is(span_make(name, length), "http/1.1"));
    ends_close(ends);

    ends = suite_open(0);
    char other[] = "h2";
    wolfSSL_UseALPN(ends->client, other, sizeof(other) - 1, WOLFSSL_ALPN_FAILED_ON_MISMATCH);
    cr_assert_not(ends_shake(ends));
    ends_close(ends);
    world_close(&world);
}

// The record layer has AEAD suites only, so none other is agreed upon.
Test(handshake, point_11_other_suites_and_versions_are_refused) {
    static const char *refused[] = {"ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA",
                                    "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-CHACHA20-POLY1305"};
    world_open(&world);
    for (uint32_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct ends *ends = ends_open(&world, world.rsa, refused[i]);
        cr_assert_not(ends_shake(ends), "%s", refused[i]);
        cr_assert_not_null(ends->reason);
        // An alert in the clear: 21, version, 2 bytes, fatal.
        cr_assert_eq(ends->down.end, 7);
        cr_assert_eq(ends->down.bytes[0], 21);
        cr_assert_eq(ends->down.bytes[5], 2);
        ends_close(ends);
    }
    struct tls_context *newest = world_context(ec_certificate, ec_key, TLS_VERSION_13);
    struct ends *ends = ends_open(&world, newest, suites[3].name);
    cr_assert_not(ends_shake(ends));
    ends_close(ends);
    ends = ends_open(&world, newest, suites[0].name);
    cr_assert(ends_shake(ends));
    ends_close(ends);
    tls_context_close(&newest);
    world_close(&world);
}

// The key of tls_certificates.h in the form of SEC 1, and a stranger's in both forms.
static const char own_key_sec1[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIGu6p6JDYO5hmHVqFUOlQ9b+JIrXK7NpHLBdvm6lIZbLoAoGCCqGSM49\n"
    "AwEHoUQDQgAE4Epu5WHEP3qwTYC4bWcR/MpEyo5v+7yB2NHrxGbFb/i+xtbKN+ey\n"
    "QDpZSjHtUL4uNESKvivb30fN45kZ4LfN3Q==\n"
    "-----END EC PRIVATE KEY-----\n";

static const char other_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNCo94MenIpVrZof9\n"
                                "tOPVkDzlObuS1wcihwUfKOn9G3GhRANCAAQJo2MKoqqUMWcy/W1ACY7glkN26DNV\n"
                                "NWMrJB1vEtTvTm31JnDmEQSZe17eeVALQ+JTZB7CoG2BnwzJAeHZrDNS\n"
                                "-----END PRIVATE KEY-----\n";

static const char other_key_sec1[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIDQqPeDHpyKVa2aH/bTj1ZA85Tm7ktcHIocFHyjp/RtxoAoGCCqGSM49\n"
    "AwEHoUQDQgAECaNjCqKqlDFnMv1tQAmO4JZDdugzVTVjKyQdbxLU705t9SZw5hEE\n"
    "mXte3nlQC0PiU2QewqBtgZ8MyQHh2awzUg==\n"
    "-----END EC PRIVATE KEY-----\n";

Test(handshake, an_ec_key_is_the_certificate_s_or_refused) {
    cr_assert_eq(tls_library_open(), 0);
    const struct {
        const char *key;
        bool is_own;
    } rows[] = {{ec_key, true}, {own_key_sec1, true}, {other_key, false}, {other_key_sec1, false}};
    for (uint32_t i = 0; i < 4; i++) {
        struct tls_context_options options = {
            .first = {.certificate = span_text(ec_certificate), .key = span_text(rows[i].key)},
            .version_min = TLS_VERSION_12};
        struct tls_context *context;
        const char *reason = NULL;
        cr_assert_eq(tls_context_open(&context, &options, &reason) == 0, rows[i].is_own, "row %u",
                     i);
        cr_assert(rows[i].is_own || strstr(reason, "not the certificate's") != NULL);
        tls_context_close(&context);
    }
    tls_library_close();
}

Test(handshake, contexts_say_what_is_wrong) {
    cr_assert_eq(tls_library_open(), 0);
    const char *rows[][2] = {
        {"nonsense", ec_key}, {ec_certificate, "nonsense"}, {ec_certificate, rsa_key}, {"", ""}};
    for (uint32_t i = 0; i < 4; i++) {
        struct tls_context_options options = {
            .first = {.certificate = span_text(rows[i][0]), .key = span_text(rows[i][1])},
            .version_min = TLS_VERSION_12};
        struct tls_context *context;
        const char *reason = NULL;
        cr_assert_lt(tls_context_open(&context, &options, &reason), 0);
        cr_assert_null(context);
        cr_assert_not_null(reason);
    }
    tls_library_close();
}
