// A client by the library and a server by ours, over memory, for the tests of
// the handshake.
#pragma once
#include "gateway/tls/library.h"

#include "gateway/tls/handshake.h"
#include "tests/unit/gateway/tls/tls_certificates.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { PIPE_BYTES = 1 << 17 };

struct pipe {
    uint8_t bytes[PIPE_BYTES];
    uint32_t at;
    uint32_t end;
};

static inline void pipe_put(struct pipe *pipe, const void *bytes, uint32_t length) {
    cr_assert_leq(pipe->end + length, PIPE_BYTES);
    memcpy(pipe->bytes + pipe->end, bytes, length);
    pipe->end += length;
}

static inline int pipe_receive(WOLFSSL *session, char *target, int length, void *pointer);
static inline int pipe_send(WOLFSSL *session, char *bytes, int length, void *pointer);

struct ends {
    struct pipe up;   // client to server
    struct pipe down; // server to client
    WOLFSSL *client;
    struct tls_handshake server;
    struct tls_record record;
    bool is_client_done;
    bool is_server_done;
    uint32_t piece; // the most bytes fed to the server at once
    uint32_t room;  // and taken from it
    const char *reason;
};

static inline int pipe_receive(WOLFSSL *session, char *target, int length, void *pointer) {
    (void)session;
    struct pipe *pipe = &((struct ends *)pointer)->down;
    uint32_t left = pipe->end - pipe->at;
    uint32_t part = left < (uint32_t)length ? left : (uint32_t)length;
    if (part == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    memcpy(target, pipe->bytes + pipe->at, part);
    pipe->at += part;
    return (int)part;
}

static inline int pipe_send(WOLFSSL *session, char *bytes, int length, void *pointer) {
    (void)session;
    pipe_put(&((struct ends *)pointer)->up, bytes, (uint32_t)length);
    return length;
}

// Of the server: its contexts and this worker's tickets. Of the client: its
// context.
struct world {
    struct tls_context *ec;
    struct tls_context *rsa;
    struct tls_tickets tickets;
    WOLFSSL_CTX *client;
    WOLFSSL_CTX *client_12; // one that knows no TLS 1.3, or it would take TLS 1.2 for an attack
};

static inline struct tls_context *world_context(const char *certificate, const char *key,
                                                enum tls_version version_min) {
    struct tls_context_options options = {
        .first = {.certificate = span_text(certificate), .key = span_text(key)},
        .version_min = version_min};
    struct tls_context *context;
    const char *reason;
    cr_assert_eq(tls_context_open(&context, &options, &reason), 0, "%s", reason);
    return context;
}

static inline WOLFSSL_CTX *client_context(WOLFSSL_METHOD *method) {
    WOLFSSL_CTX *client = wolfSSL_CTX_new(method);
    cr_assert_not_null(client);
    wolfSSL_CTX_set_verify(client, WOLFSSL_VERIFY_NONE, NULL);
    wolfSSL_CTX_SetIORecv(client, pipe_receive);
    wolfSSL_CTX_SetIOSend(client, pipe_send);
    wolfSSL_CTX_UseSessionTicket(client);
    return client;
}

static inline void world_open(struct world *world) {
    static const uint8_t seed[TLS_TICKET_SEED_BYTES] = {1, 2, 3};
    cr_assert_eq(tls_library_open(), 0);
    world->ec = world_context(ec_certificate, ec_key, TLS_VERSION_12);
    world->rsa = world_context(rsa_certificate, rsa_key, TLS_VERSION_12);
    tls_tickets_init(&world->tickets, seed, 0);
    world->client = client_context(wolfSSLv23_client_method());
    world->client_12 = client_context(wolfTLSv1_2_client_method());
}

static inline void world_close(struct world *world) {
    tls_tickets_fini(&world->tickets);
    wolfSSL_CTX_free(world->client);
    wolfSSL_CTX_free(world->client_12);
    tls_context_close(&world->ec);
    tls_context_close(&world->rsa);
    tls_library_close();
}

static inline struct ends *ends_open(struct world *world, const struct tls_context *context,
                                     const char *suite) {
    struct ends *ends = calloc(1, sizeof(*ends));
    cr_assert_not_null(ends);
    ends->piece = PIPE_BYTES;
    ends->room = PIPE_BYTES;
    bool is_13 = suite == NULL || strncmp(suite, "TLS13", 5) == 0;
    ends->client = wolfSSL_new(is_13 ? world->client : world->client_12);
    cr_assert_not_null(ends->client);
    wolfSSL_SetIOReadCtx(ends->client, ends);
    wolfSSL_SetIOWriteCtx(ends->client, ends);
    if (suite != NULL) {
        cr_assert_eq(wolfSSL_set_cipher_list(ends->client, suite), WOLFSSL_SUCCESS);
    }
    cr_assert_eq(tls_handshake_open(&ends->server, context, &world->tickets, span_empty()), 0);
    return ends;
}

static inline void ends_close(struct ends *ends) {
    wolfSSL_free(ends->client);
    if (ends->server.session != NULL) {
        tls_handshake_close(&ends->server);
    }
    tls_record_fini(&ends->record);
    free(ends);
}

// One call of each side. False when the server refused.
static inline bool ends_step(struct ends *ends) {
    if (!ends->is_client_done && wolfSSL_connect(ends->client) == WOLFSSL_SUCCESS) {
        ends->is_client_done = true;
    }
    if (ends->is_server_done) {
        return true;
    }
    uint32_t have = ends->up.end - ends->up.at;
    static uint8_t target[PIPE_BYTES];
    struct tls_handshake_step step = {
        .received =
            span_make(ends->up.bytes + ends->up.at, have < ends->piece ? have : ends->piece),
        .target = {.data = target, .length = ends->room},
    };
    enum tls_handshake_result result = tls_handshake_feed(&ends->server, &step);
    cr_assert(result != TLS_HANDSHAKE_MORE || step.consumed == step.received.length);
    pipe_put(&ends->down, target, step.written);
    ends->up.at += step.consumed;
    ends->reason = step.reason;
    ends->is_server_done = result == TLS_HANDSHAKE_DONE;
    if (result == TLS_HANDSHAKE_FAULT) {
        cr_assert_eq(step.fault, fault_get(FAULT_tls_handshake));
    }
    return result != TLS_HANDSHAKE_FAULT;
}

static inline bool ends_shake(struct ends *ends) {
    for (uint32_t i = 0; i < 20000 && !(ends->is_client_done && ends->is_server_done); i++) {
        if (!ends_step(ends)) {
            return false;
        }
    }
    return ends->is_client_done && ends->is_server_done;
}

// Out of the library, which is left.
static inline void ends_finish(struct ends *ends) {
    cr_assert_eq(tls_handshake_finish(&ends->server, &ends->record), 0);
    tls_handshake_close(&ends->server);
    cr_assert_null(ends->server.session);
}

static inline void ends_expect_up(struct ends *ends, const char *text) {
    struct span_mut received = {.data = ends->up.bytes + ends->up.at,
                                .length = ends->up.end - ends->up.at};
    struct tls_opened opened = tls_record_open(&ends->record, received);
    cr_assert_eq(opened.kind, TLS_OPENED_DATA, "%d %s", opened.kind,
                 opened.fault == NULL ? "" : opened.fault->name);
    cr_assert(span_is(span_make(opened.data.data, opened.data.length), text));
    ends->up.at += opened.consumed;
}

static inline void ends_send_down(struct ends *ends, const char *text) {
    struct span piece = span_text(text);
    struct span_mut target = {.data = ends->down.bytes + ends->down.end,
                              .length = PIPE_BYTES - ends->down.end};
    int64_t written = tls_record_seal(&ends->record, &piece, 1, target);
    cr_assert_geq(written, 0);
    ends->down.end += (uint32_t)written;
}

static inline void ends_expect_down(struct ends *ends, const char *text) {
    char got[256];
    int length = wolfSSL_read(ends->client, got, sizeof(got));
    cr_assert_eq(length, (int)strlen(text), "%d %d", length,
                 wolfSSL_get_error(ends->client, length));
    cr_assert_arr_eq(got, text, strlen(text));
}

static inline void ends_echo(struct ends *ends) {
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(wolfSSL_write(ends->client, "up", 2), 2);
        ends_expect_up(ends, "up");
        ends_send_down(ends, "down");
        ends_expect_down(ends, "down");
    }
}
