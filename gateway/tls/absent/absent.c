// In place of gateway/tls where Holdfast is built without wolfSSL. gateway/config refuses listeners
// with `tls` then, so no context is ever opened and nothing else here is ever called.
#include "gateway/tls/tls.h"

#include <errno.h>

static void never(void) {
    check(false);
}

int tls_library_open(void) {
    return 0;
}

bool tls_library_may_export(void) {
    return false;
}

void tls_library_close(void) {
}

void tls_memory_set(struct arena *arena) {
    (void)arena; // there is no library to take it
}

void tls_memory_trim(void) {
}

int tls_context_open(struct tls_context **context, const struct tls_context_options *options,
                     const char **reason) {
    (void)options; // refused whatever they say
    *context = NULL;
    *reason = "this holdfast was built without TLS; remove it, or build with -DHOLDFAST_TLS=ON";
    return -EINVAL;
}

void tls_context_close(struct tls_context **context) {
    check(*context == NULL);
}

int tls_context_add(struct tls_context *context, const struct tls_identity *identity,
                    const char **reason) {
    (void)context;
    (void)identity;
    *reason = NULL;
    never();
    return -ENOTSUP;
}

const char *tls_context_staple_complaint(const struct tls_context *context) {
    (void)context;
    return NULL;
}

int64_t tls_context_expiry_s(const struct tls_context *context) {
    (void)context;
    never();
    return 0;
}

enum tls_layer tls_context_layer(const struct tls_context *context) {
    (void)context;
    never();
    return TLS_LAYER_COMPACT;
}

struct tls_context *tls_context_share(struct tls_context *context) {
    check(context == NULL);
    return context;
}

void tls_tickets_init(struct tls_tickets *tickets, const uint8_t seed[TLS_TICKET_SEED_BYTES],
                      uint64_t begin_ms) {
    (void)tickets;
    (void)seed;
    (void)begin_ms;
    never();
}

void tls_tickets_fini(struct tls_tickets *tickets) {
    (void)tickets;
    never();
}

void tls_tickets_advance(struct tls_tickets *tickets, uint64_t now_ms) {
    (void)tickets;
    (void)now_ms;
    never();
}

bool tls_is_http(struct span received) {
    (void)received;
    never();
    return false;
}

uint32_t tls_hello_bytes(struct span received) {
    (void)received;
    never();
    return 0;
}

int tls_handshake_open(struct tls_handshake *handshake, const struct tls_context *context,
                       struct tls_tickets *tickets, struct span hello) {
    (void)hello;
    (void)handshake;
    (void)context;
    (void)tickets;
    never();
    return -ENOTSUP;
}

enum tls_handshake_result tls_handshake_feed(struct tls_handshake *handshake,
                                             struct tls_handshake_step *step) {
    (void)handshake;
    (void)step;
    never();
    return TLS_HANDSHAKE_FAULT;
}

int tls_session_begin(struct tls_session *session, struct tls_handshake *handshake) {
    (void)handshake;
    (void)session;
    never();
    return -ENOTSUP;
}

bool tls_handshake_peer(const struct tls_handshake *handshake, struct tls_peer *peer) {
    (void)handshake;
    (void)peer;
    never();
    return false;
}

bool tls_handshake_is_resumed(const struct tls_handshake *handshake) {
    (void)handshake;
    never();
    return false;
}

void tls_handshake_close(struct tls_handshake *handshake) {
    (void)handshake;
    never();
}

void tls_session_fini(struct tls_session *session) {
    (void)session;
    never();
}

struct tls_opened tls_session_open(struct tls_session *session, struct span_mut received) {
    (void)session;
    (void)received;
    never();
    return (struct tls_opened){.kind = TLS_OPENED_FAULT};
}

uint64_t tls_session_sealed_bytes(const struct tls_session *session, uint64_t text_bytes) {
    (void)session;
    never();
    return text_bytes;
}

int64_t tls_session_seal(struct tls_session *session, const struct span *pieces,
                         uint32_t piece_count, struct span_mut target) {
    (void)session;
    (void)pieces;
    (void)piece_count;
    (void)target;
    never();
    return -ENOTSUP;
}

bool tls_session_owes(const struct tls_session *session) {
    (void)session;
    never();
    return false;
}

uint32_t tls_session_alert(struct tls_session *session, enum tls_alert alert,
                           struct span_mut target) {
    (void)session;
    (void)alert;
    (void)target;
    never();
    return 0;
}
