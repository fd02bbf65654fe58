// In place of gateway/tls: bytes pass as they are, so that clients of either kind say the same.
// What stands around it runs unchanged: handshakes that wait for their turn, sealed blocks, sends
// of our own. A record is at most RECORD_BYTES, so that there are many. A piece that were sealed
// twice, cut short or overtaken, the clients' ledgers would see in what they read.
#include "gateway/tls/tls.h"

#include "core/base/check.h"
#include "tests/sim/sim_internal.h"

#include <stdlib.h>

enum {
    RECORD_BYTES = 100,
    HELLO_BYTES = 16, // fewer are half a handshake: it takes more than one step
};

struct tls_context {
    uint32_t holds;
};

void sim_tls_choose(struct sim *sim, bool is_drawn) {
    sim->tls = is_drawn ? "" : NULL;
}

bool sim_tls_repeats(void) {
    return true;
}

struct span sim_tls_pem(void) {
    return span_text("what stands for a certificate, and for its key");
}

int tls_library_open(void) {
    return 0;
}

void tls_library_close(void) {
}

bool tls_library_may_export(void) {
    return true;
}

void tls_memory_set(struct arena *arena) {
    (void)arena; // nothing is taken from it
}

void tls_memory_trim(void) {
}

int tls_context_open(struct tls_context **context, const struct tls_context_options *options,
                     const char **reason) {
    check(options->first.certificate.length > 0 && options->first.key.length > 0);
    *reason = NULL;
    *context = calloc(1, sizeof(**context));
    check(*context != NULL);
    (*context)->holds = 1;
    return 0;
}

int tls_context_add(struct tls_context *context, const struct tls_identity *identity,
                    const char **reason) {
    (void)context;
    (void)identity;
    *reason = NULL;
    return 0;
}

const char *tls_context_staple_complaint(const struct tls_context *context) {
    (void)context;
    return NULL;
}

int64_t tls_context_expiry_s(const struct tls_context *context) {
    (void)context;
    return 2000000000;
}

enum tls_layer tls_context_layer(const struct tls_context *context) {
    (void)context;
    return TLS_LAYER_COMPACT;
}

struct tls_context *tls_context_share(struct tls_context *context) {
    context->holds++;
    return context;
}

void tls_context_close(struct tls_context **context) {
    if (*context != NULL && --(*context)->holds == 0) {
        free(*context);
    }
    *context = NULL;
}

void tls_tickets_init(struct tls_tickets *tickets, const uint8_t seed[TLS_TICKET_SEED_BYTES],
                      uint64_t begin_ms) {
    (void)seed;
    *tickets = (struct tls_tickets){.begin_ms = begin_ms};
}

void tls_tickets_fini(struct tls_tickets *tickets) {
    memset(tickets, 0, sizeof(*tickets));
}

void tls_tickets_advance(struct tls_tickets *tickets, uint64_t now_ms) {
    check(now_ms >= tickets->begin_ms);
}

bool tls_is_http(struct span received) {
    (void)received; // all of it is
    return false;
}

uint32_t tls_hello_bytes(struct span received) {
    return received.length == 0 ? 1 : 0;
}

int tls_handshake_open(struct tls_handshake *handshake, const struct tls_context *context,
                       struct tls_tickets *tickets, struct span hello) {
    check(context->holds > 0 && hello.length > 0);
    *handshake = (struct tls_handshake){.tickets = tickets};
    return 0;
}

enum tls_handshake_result tls_handshake_feed(struct tls_handshake *handshake,
                                             struct tls_handshake_step *step) {
    check(!handshake->is_done && step->received.length > 0);
    step->consumed = 0;
    step->written = 0;
    if (step->received.length < HELLO_BYTES) {
        return TLS_HANDSHAKE_MORE;
    }
    handshake->is_done = true;
    return TLS_HANDSHAKE_DONE;
}

int tls_session_begin(struct tls_session *session, struct tls_handshake *handshake) {
    check(handshake->is_done);
    session->compact = (struct tls_record){.text_bytes_max = TLS_TEXT_BYTES_MAX};
    return 0;
}

bool tls_handshake_peer(const struct tls_handshake *handshake, struct tls_peer *peer) {
    (void)handshake;
    (void)peer;
    return false;
}

bool tls_handshake_is_resumed(const struct tls_handshake *handshake) {
    (void)handshake;
    return false;
}

void tls_handshake_close(struct tls_handshake *handshake) {
    memset(handshake, 0, sizeof(*handshake));
}

void tls_session_fini(struct tls_session *session) {
    memset(session, 0, sizeof(*session));
}

struct tls_opened tls_session_open(struct tls_session *session, struct span_mut received) {
    check(session->compact.in.state == TLS_RECORD_OPEN && received.length > 0);
    uint32_t part = received.length < RECORD_BYTES ? received.length : RECORD_BYTES;
    session->compact.in.sequence++;
    return (struct tls_opened){.kind = TLS_OPENED_DATA,
                               .alert = TLS_ALERT_NONE,
                               .data = {.data = received.data, .length = part},
                               .consumed = part,
                               .wanted = part};
}

uint64_t tls_session_sealed_bytes(const struct tls_session *session, uint64_t text_bytes) {
    (void)session;
    return text_bytes + TLS_RECORD_OVERHEAD_MAX;
}

int64_t tls_session_seal(struct tls_session *session, const struct span *pieces,
                         uint32_t piece_count, struct span_mut target) {
    check(session->compact.out.state == TLS_RECORD_OPEN);
    uint32_t at = 0;
    for (uint32_t i = 0; i < piece_count; i++) {
        check(at + pieces[i].length <= target.length);
        memcpy(target.data + at, pieces[i].data, pieces[i].length);
        at += pieces[i].length;
    }
    session->compact.out.sequence++;
    return at;
}

bool tls_session_owes(const struct tls_session *session) {
    (void)session;
    return false;
}

uint32_t tls_session_alert(struct tls_session *session, enum tls_alert alert,
                           struct span_mut target) {
    (void)alert;
    check(session->compact.out.state == TLS_RECORD_OPEN &&
          target.length >= TLS_SESSION_CONTROL_BYTES_MAX);
    session->compact.out.state = TLS_RECORD_CLOSED;
    return 0; // in the clear there is nothing that says so
}
