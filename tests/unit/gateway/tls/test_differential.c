// The same bytes through the library's own record layer: the server's object is
// kept alive beside ours, with the same keys and numbers, and both must write
// and read the same, byte for byte.
#include "tests/unit/gateway/tls/tls_ends.h"

static const char *const suites[] = {
    "TLS13-AES128-GCM-SHA256",        "TLS13-AES256-GCM-SHA384",
    "TLS13-CHACHA20-POLY1305-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",  "ECDHE-ECDSA-CHACHA20-POLY1305",
};

enum { SUITES = sizeof(suites) / sizeof(suites[0]), SUITES_13 = 3 };

static struct world world;
static uint8_t text[40000];
static uint8_t ours[PIPE_BYTES];

// The kept object reads from `in` and writes to `out`.
static struct pipe in;
static struct pipe out;

static int kept_receive(WOLFSSL *session, char *target, int length, void *pointer) {
    (void)session;
    (void)pointer;
    uint32_t left = in.end - in.at;
    uint32_t part = left < (uint32_t)length ? left : (uint32_t)length;
    if (part == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    memcpy(target, in.bytes + in.at, part);
    in.at += part;
    return (int)part;
}

static int kept_send(WOLFSSL *session, char *bytes, int length, void *pointer) {
    (void)session;
    (void)pointer;
    pipe_put(&out, bytes, (uint32_t)length);
    return length;
}

static struct ends *kept_open(uint32_t i, WOLFSSL **kept) {
    struct ends *ends = ends_open(&world, world.ec, suites[i]);
    cr_assert(ends_shake(ends), "%s", ends->reason);
    cr_assert_eq(tls_handshake_finish(&ends->server, &ends->record), 0);
    *kept = (WOLFSSL *)ends->server.session;
    wolfSSL_SSLSetIORecv(*kept, kept_receive);
    wolfSSL_SSLSetIOSend(*kept, kept_send);
    in.at = in.end = 0;
    out.at = out.end = 0;
    return ends;
}

static void expect_written(const uint8_t *bytes, int64_t length, const char *name) {
    cr_assert_eq(length, out.end, "%s: %u and %ld", name, out.end, (long)length);
    cr_assert_arr_eq(bytes, out.bytes, out.end, "%s", name);
    out.end = 0;
}

Test(differential, what_is_sealed) {
    static const uint32_t sizes[] = {1, 2, 100, 1000, 16383, 16384, 16385, 40000, 5};
    for (uint32_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)(i * 13);
    }
    world_open(&world);
    for (uint32_t i = 0; i < SUITES; i++) {
        WOLFSSL *kept;
        struct ends *ends = kept_open(i, &kept);
        for (uint32_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            cr_assert_eq(wolfSSL_write(kept, text, (int)sizes[s]), (int)sizes[s]);
            struct span piece = span_make(text, sizes[s]);
            struct span_mut target = {.data = ours, .length = sizeof(ours)};
            expect_written(ours, tls_record_seal(&ends->record, &piece, 1, target), suites[i]);
        }
        (void)wolfSSL_shutdown(kept); // says that the other side has not yet
        struct span_mut target = {.data = ours, .length = sizeof(ours)};
        expect_written(ours, tls_record_alert(&ends->record, TLS_ALERT_CLOSE_NOTIFY, target),
                       suites[i]);
        ends_close(ends);
    }
    world_close(&world);
}

// Everything the client wrote goes to both.
static void both_read(struct ends *ends, WOLFSSL *kept, uint32_t expected) {
    static uint8_t theirs[40000];
    pipe_put(&in, ends->up.bytes + ends->up.at, ends->up.end - ends->up.at);
    uint32_t done = 0;
    while (ends->up.at < ends->up.end) {
        struct span_mut received = {.data = ends->up.bytes + ends->up.at,
                                    .length = ends->up.end - ends->up.at};
        struct tls_opened opened = tls_record_open(&ends->record, received);
        cr_assert(opened.kind == TLS_OPENED_DATA || opened.kind == TLS_OPENED_NOTHING);
        ends->up.at += opened.consumed;
        if (opened.data.length > 0) {
            memcpy(ours + done, opened.data.data, opened.data.length);
            done += opened.data.length;
        }
    }
    uint32_t read = 0;
    for (int length = 1; length > 0;) {
        length = wolfSSL_read(kept, theirs + read, (int)(sizeof(theirs) - read));
        read += length > 0 ? (uint32_t)length : 0;
    }
    cr_assert_eq(read, expected);
    cr_assert_eq(done, expected);
    cr_assert_arr_eq(ours, theirs, expected);
    in.at = in.end = 0;
}

Test(differential, what_is_opened) {
    static const uint32_t sizes[] = {1, 100, 16384, 16385, 39000};
    world_open(&world);
    for (uint32_t i = 0; i < SUITES; i++) {
        WOLFSSL *kept;
        struct ends *ends = kept_open(i, &kept);
        for (uint32_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            ends->up.at = ends->up.end = 0;
            cr_assert_eq(wolfSSL_write(ends->client, text, (int)sizes[s]), (int)sizes[s]);
            both_read(ends, kept, sizes[s]);
        }
        ends_close(ends);
    }
    world_close(&world);
}

Test(differential, new_keys) {
    world_open(&world);
    for (uint32_t i = 0; i < SUITES_13; i++) {
        WOLFSSL *kept;
        struct ends *ends = kept_open(i, &kept);
        for (uint32_t k = 0; k < 4; k++) {
            cr_assert_eq(wolfSSL_update_keys(ends->client), WOLFSSL_SUCCESS);
            cr_assert_eq(wolfSSL_write(ends->client, text, 50), 50);
            both_read(ends, kept, 50);
            struct span_mut target = {.data = ours, .length = sizeof(ours)};
            expect_written(ours, tls_record_seal(&ends->record, NULL, 0, target), suites[i]);
            // And what follows, under the new keys.
            cr_assert_eq(wolfSSL_write(kept, "x", 1), 1);
            struct span piece = span_text("x");
            int64_t length = tls_record_seal(&ends->record, &piece, 1, target);
            expect_written(ours, length, suites[i]);
        }
        ends_close(ends);
    }
    world_close(&world);
}

// One altered bit: both refuse, and say so in the same bytes (the library says it twice in one
// suite).
Test(differential, what_is_forged) {
    world_open(&world);
    for (uint32_t i = 0; i < SUITES; i++) {
        WOLFSSL *kept;
        struct ends *ends = kept_open(i, &kept);
        cr_assert_eq(wolfSSL_write(ends->client, text, 50), 50);
        ends->up.bytes[ends->up.end - 1] ^= 4;
        uint32_t length = ends->up.end - ends->up.at;
        pipe_put(&in, ends->up.bytes + ends->up.at, length);
        uint8_t got[64];
        cr_assert_leq(wolfSSL_read(kept, got, sizeof(got)), 0);
        struct tls_opened opened =
            tls_record_open(&ends->record, (struct span_mut){.data = ends->up.bytes + ends->up.at,
                                                             .length = length});
        cr_assert_eq(opened.kind, TLS_OPENED_FAULT);
        struct span_mut target = {.data = ours, .length = sizeof(ours)};
        int64_t written = tls_record_alert(&ends->record, opened.alert, target);
        cr_assert(out.end == written || out.end == 2 * written, "%s", suites[i]);
        cr_assert_arr_eq(ours, out.bytes, (size_t)written, "%s", suites[i]);
        out.end = 0;
        ends_close(ends);
    }
    world_close(&world);
}
