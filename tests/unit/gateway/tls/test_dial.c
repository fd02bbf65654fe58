// The client's side of TLS against our own server's, over memory.
#include "gateway/tls/dial.h"

#include "gateway/tls/tls.h"
#include "tests/unit/expect.h"
#include "tests/unit/gateway/tls/tls_certificates.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

enum { PIPE_BYTES = 1 << 20 };

struct dial_pipe {
    uint8_t bytes[PIPE_BYTES];
    uint32_t at, end;
};

struct rig {
    struct dial_pipe up, down; // to the server, to the client
    struct tls_context *context;
    struct tls_dialer *dialer;
    struct tls_dial dial;
    struct tls_tickets tickets;
    struct tls_handshake server;
    struct tls_session session;
    uint32_t piece; // the most bytes that the client gets at once
    const char *reason;
};

static struct rig *rig_open(const char *authority, const char *host) {
    struct rig *rig = calloc(1, sizeof *rig);
    cr_assert_not_null(rig);
    cr_assert_eq(tls_library_open(), 0);
    struct tls_context_options server = {
        .first = {.certificate = span_text(ec_certificate), .key = span_text(ec_key)},
        .version_min = TLS_VERSION_12,
        .layer = TLS_LAYER_LIBRARY};
    cr_assert_eq(tls_context_open(&rig->context, &server, &rig->reason), 0, "%s", rig->reason);
    struct tls_dialer_options client = {.ca = span_text(authority)};
    cr_assert_eq(tls_dialer_open(&rig->dialer, &client, &rig->reason), 0, "%s", rig->reason);
    cr_assert_eq(tls_dial_begin(&rig->dial, rig->dialer, host), 0);
    static const uint8_t seed[TLS_TICKET_SEED_BYTES] = {1, 2, 3};
    tls_tickets_init(&rig->tickets, seed, 0);
    cr_assert_eq(tls_handshake_open(&rig->server, rig->context, &rig->tickets, span_empty()), 0);
    rig->piece = PIPE_BYTES;
    return rig;
}

static void rig_close(struct rig *rig) {
    tls_dial_fini(&rig->dial);
    tls_dial_fini(&rig->dial); // again: nothing is left
    if (rig->server.session != NULL) {
        tls_handshake_close(&rig->server);
    } else {
        tls_session_fini(&rig->session);
    }
    tls_tickets_fini(&rig->tickets);
    tls_dialer_close(&rig->dialer);
    tls_context_close(&rig->context);
    tls_library_close();
    free(rig);
}

static void server_step(struct rig *rig) {
    struct tls_handshake_step step = {
        .received = span_make(rig->up.bytes + rig->up.at, rig->up.end - rig->up.at),
        .target = {.data = rig->down.bytes + rig->down.end, .length = PIPE_BYTES - rig->down.end}};
    if (rig->server.is_done) {
        return;
    }
    (void)tls_handshake_feed(&rig->server, &step);
    rig->up.at += step.consumed;
    rig->down.end += step.written;
}

// What the client may get next.
static struct tls_dial_step client_step(struct rig *rig) {
    uint32_t left = rig->down.end - rig->down.at;
    uint32_t part = left < rig->piece ? left : rig->piece;
    return (struct tls_dial_step){
        .received = span_make(rig->down.bytes + rig->down.at, part),
        .target = {.data = rig->up.bytes + rig->up.end, .length = PIPE_BYTES - rig->up.end}};
}

static void client_took(struct rig *rig, const struct tls_dial_step *before,
                        const struct tls_dial_step *after) {
    rig->down.at += before->received.length - after->received.length;
    rig->up.end += after->written;
    rig->reason = after->reason;
}

static enum tls_dial_result shake(struct rig *rig) {
    for (uint32_t i = 0; i < 100000; i++) {
        struct tls_dial_step step = client_step(rig);
        struct tls_dial_step before = step;
        enum tls_dial_result result = tls_dial_shake(&rig->dial, &step);
        client_took(rig, &before, &step);
        if (result != TLS_DIAL_MORE) {
            server_step(rig);
            return result;
        }
        cr_assert_eq(step.received.length, 0, "MORE has taken everything");
        if (rig->down.at == rig->down.end) {
            server_step(rig);
        }
    }
    cr_assert(false, "no end");
    return TLS_DIAL_FAULT;
}

static void shake_well(struct rig *rig) {
    enum tls_dial_result result = shake(rig);
    cr_assert_eq(result, TLS_DIAL_DONE, "%s", rig->reason);
    cr_assert(rig->server.is_done);
    cr_assert_eq(tls_session_begin(&rig->session, &rig->server), 0);
    rig->server.session = NULL;
}

static void server_say(struct rig *rig, const char *text, uint32_t length) {
    struct span piece = span_make(text, length);
    struct span_mut room = {.data = rig->down.bytes + rig->down.end,
                            .length = PIPE_BYTES - rig->down.end};
    int64_t bytes = tls_session_seal(&rig->session, &piece, 1, room);
    cr_assert(bytes > 0);
    rig->down.end += (uint32_t)bytes;
}

// Reads what there is; returns the last result.
static enum tls_dial_result read_all(struct rig *rig, uint8_t *target, uint32_t *length) {
    static uint8_t text[TLS_TEXT_BYTES_MAX];
    *length = 0;
    enum tls_dial_result result = TLS_DIAL_MORE;
    for (uint32_t i = 0; i < 1000000; i++) {
        struct tls_dial_step step = client_step(rig);
        struct tls_dial_step before = step;
        uint32_t part;
        result = tls_dial_read(&rig->dial, &step, text, &part);
        client_took(rig, &before, &step);
        memcpy(target + *length, text, part);
        *length += part;
        bool is_over = result == TLS_DIAL_MORE && rig->down.at == rig->down.end;
        if (is_over || result == TLS_DIAL_ENDED || result == TLS_DIAL_FAULT) {
            return result;
        }
    }
    return result;
}

Test(dial, a_handshake_whole_and_byte_by_byte) {
    for (uint32_t piece = 1; piece <= PIPE_BYTES; piece *= 32) {
        struct rig *rig = rig_open(ec_certificate, "gateway.test");
        rig->piece = piece;
        shake_well(rig);
        rig_close(rig);
    }
}

Test(dial, texts_of_every_size_in_pieces_of_every_size) {
    static uint8_t sent[200000];
    static uint8_t got[sizeof sent];
    for (uint32_t i = 0; i < sizeof sent; i++) {
        sent[i] = (uint8_t)(i * 7);
    }
    static const uint32_t sizes[] = {1, 16383, 16384, 16385, 200000};
    static const uint32_t pieces[] = {1, 5, 1000, PIPE_BYTES};
    for (uint32_t i = 0; i < 5; i++) {
        for (uint32_t j = 0; j < 4; j++) {
            struct rig *rig = rig_open(ec_certificate, "gateway.test");
            shake_well(rig);
            rig->piece = pieces[j];
            server_say(rig, (const char *)sent, sizes[i]);
            uint32_t length;
            cr_assert_eq(read_all(rig, got, &length), TLS_DIAL_MORE);
            cr_assert_eq(length, sizes[i]);
            cr_assert_eq(memcmp(sent, got, length), 0);
            rig_close(rig);
        }
    }
}

Test(dial, what_is_written_is_read_by_the_server) {
    struct rig *rig = rig_open(ec_certificate, "gateway.test");
    shake_well(rig);
    static char body[40000];
    memset(body, 'b', sizeof body);
    struct span pieces[] = {span_text("head "), span_make(body, sizeof body)};
    uint64_t room = tls_dial_room(5 + sizeof body);
    uint8_t *target = malloc(room);
    int64_t bytes = tls_dial_write(&rig->dial, pieces, 2,
                                   (struct span_mut){.data = target, .length = (uint32_t)room});
    cr_assert(bytes > (int64_t)sizeof body && bytes <= (int64_t)room);
    uint32_t text_bytes = 0;
    for (uint32_t at = 0; at < bytes;) {
        struct tls_opened opened = tls_session_open(
            &rig->session, (struct span_mut){.data = target + at, .length = (uint32_t)bytes - at});
        cr_assert_eq(opened.kind, TLS_OPENED_DATA);
        cr_assert_eq(opened.data.data[0], text_bytes == 0 ? 'h' : 'b');
        text_bytes += opened.data.length;
        at += opened.consumed;
    }
    cr_assert_eq(text_bytes, 5 + sizeof body);
    free(target);
    rig_close(rig);
}

Test(dial, certificates_that_are_not_to_be_trusted) {
    static const struct {
        const char *authority, *host, *reason;
    } rows[] = {
        {ec_certificate, "other.test", "its certificate is for another name"},
        {ec_certificate, "127.0.0.1", "its certificate is for another name"},
        {rsa_certificate, "gateway.test", NULL}, // the same name, but another key signs
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_open(rows[i].authority, rows[i].host);
        cr_assert_eq(shake(rig), TLS_DIAL_FAULT, "row %u", i);
        bool is_it = rows[i].reason == NULL || strcmp(rig->reason, rows[i].reason) == 0;
        expect(rig->reason != NULL && is_it, "row %u: %s", i, rig->reason);
        rig_close(rig);
    }
}

Test(dial, a_byte_that_was_changed_is_a_fault_and_no_text) {
    static uint8_t got[100];
    for (uint32_t i = 0; i < 30; i++) {
        struct rig *rig = rig_open(ec_certificate, "gateway.test");
        shake_well(rig);
        uint32_t length;
        cr_assert_eq(read_all(rig, got, &length), TLS_DIAL_MORE); // tickets, if there are any
        uint32_t start = rig->down.end;
        server_say(rig, "secret", 6);
        uint32_t at = start + i;
        if (at >= rig->down.end || at - start == 3 || at - start == 4) {
            rig_close(rig); // a length that grows waits for more
            continue;
        }
        rig->down.bytes[at] ^= 1;
        enum tls_dial_result result = read_all(rig, got, &length);
        expect(length == 0 && (result == TLS_DIAL_FAULT || at - start < 3), "byte %u: %d", i,
               (int)result);
        rig_close(rig);
    }
}

Test(dial, the_end_that_tls_says) {
    struct rig *rig = rig_open(ec_certificate, "gateway.test");
    shake_well(rig);
    server_say(rig, "last", 4);
    rig->down.end += tls_session_alert(&rig->session, TLS_ALERT_CLOSE_NOTIFY,
                                       (struct span_mut){.data = rig->down.bytes + rig->down.end,
                                                         .length = TLS_SESSION_CONTROL_BYTES_MAX});
    static uint8_t got[100];
    uint32_t length;
    cr_assert_eq(read_all(rig, got, &length), TLS_DIAL_ENDED);
    cr_assert_eq(length, 4);
    rig_close(rig);
}

Test(dial, options_that_are_none) {
    struct tls_dialer *dialer;
    const char *reason;
    cr_assert_eq(tls_library_open(), 0);
    struct tls_dialer_options options = {.ca = span_text("junk")};
    cr_assert_eq(tls_dialer_open(&dialer, &options, &reason), -EINVAL);
    cr_assert(dialer == NULL && strstr(reason, "authorities") != NULL);
    options = (struct tls_dialer_options){.ca = span_text(ec_certificate),
                                          .certificate = span_text(ec_certificate),
                                          .key = span_text(rsa_key)};
    cr_assert_eq(tls_dialer_open(&dialer, &options, &reason), -EINVAL);
    cr_assert(dialer == NULL && strstr(reason, "key") != NULL);
    tls_dialer_close(&dialer);
    tls_library_close();
}
