#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/random.h>

#include "tests/sim/tls_end.h"

#include <stdlib.h>

#include "core/base/prng.h"
#include "gateway/tls/tls.h"

enum { VERSIONS = 2 }; // 1.3 (or, to a server without it, 1.2), and 1.2 alone

struct tls_ends {
    WOLFSSL_CTX *contexts[VERSIONS];
    WOLFSSL_SESSION *sessions[VERSIONS];
};

struct tls_end {
    struct tls_end_options options;
    struct tls_ends *ends;
    WOLFSSL *session;
    int error;    // the library's, of the newest call
    bool is_kept; // its session is there for others
};

static struct prng chance; // of both ends' libraries: one world at a time

void tls_end_chance(uint64_t seed) {
    prng_init(&chance, seed);
}

// In place of the library's own, which asks the kernel: a seed of the simulator replays.
int wc_GenerateSeed(OS_Seed *os, byte *output, word32 size) {
    (void)os; // where the kernel's would be read from
    for (word32 i = 0; i < size; i++) {
        output[i] = (byte)prng_next(&chance);
    }
    return 0;
}

static int end_receive(WOLFSSL *session, char *target, int length, void *pointer) {
    (void)session; // the end knows it
    const struct tls_end *end = pointer;
    uint32_t count = end->options.receive(end->options.context, target, (uint32_t)length);
    return count == 0 ? WOLFSSL_CBIO_ERR_WANT_READ : (int)count;
}

static int end_send(WOLFSSL *session, char *bytes, int length, void *pointer) {
    (void)session; // as above
    const struct tls_end *end = pointer;
    end->options.send(end->options.context, bytes, (uint32_t)length);
    return length;
}

static WOLFSSL_CTX *context_open(WOLFSSL_METHOD *method) {
    WOLFSSL_CTX *context = wolfSSL_CTX_new(method);
    check(context != NULL);
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, NULL); // nobody has signed ours
    wolfSSL_CTX_set_session_cache_mode(context, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_SetIORecv(context, end_receive);
    wolfSSL_CTX_SetIOSend(context, end_send);
    check(wolfSSL_CTX_UseSessionTicket(context) == WOLFSSL_SUCCESS);
    return context;
}

struct tls_ends *tls_ends_open(void) {
    struct tls_ends *ends = calloc(1, sizeof *ends);
    check(ends != NULL);
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1}; // TLS 1.2 has no say
    ends->contexts[0] = context_open(wolfSSLv23_client_method());
    check(wolfSSL_CTX_set_groups(ends->contexts[0], groups, 2) == WOLFSSL_SUCCESS);
    ends->contexts[1] = context_open(wolfTLSv1_2_client_method());
    return ends;
}

void tls_ends_close(struct tls_ends **ends) {
    for (uint32_t i = 0; i < VERSIONS; i++) {
        wolfSSL_SESSION_free((*ends)->sessions[i]); // NULL is accepted
        wolfSSL_CTX_free((*ends)->contexts[i]);
    }
    free(*ends);
    *ends = NULL;
}

struct tls_end *tls_end_open(struct tls_ends *ends, const struct tls_end_options *options) {
    static const char name[] = "gateway.test";
    char protocol[] = "http/1.1"; // the library takes no const
    struct tls_end *end = calloc(1, sizeof *end);
    check(end != NULL);
    *end = (struct tls_end){.options = *options, .ends = ends};
    end->session = wolfSSL_new(ends->contexts[options->is_old]);
    check(end->session != NULL);
    wolfSSL_SetIOReadCtx(end->session, end);
    wolfSSL_SetIOWriteCtx(end->session, end);
    bool is_set = wolfSSL_UseSNI(end->session, WOLFSSL_SNI_HOST_NAME, name, sizeof name - 1) ==
                      WOLFSSL_SUCCESS &&
                  wolfSSL_UseALPN(end->session, protocol, sizeof protocol - 1,
                                  WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS;
    check(is_set);
    if (options->is_resumed && ends->sessions[options->is_old] != NULL) {
        // One that has become too old is no error: the handshake is a whole one then.
        (void)wolfSSL_set_session(end->session, ends->sessions[options->is_old]);
    }
    return end;
}

void tls_end_close(struct tls_end **end) {
    wolfSSL_free((*end)->session);
    free(*end);
    *end = NULL;
}

// What the library says of a call that did not succeed. Its tables and its queue of errors are the
// thread's: the gateway's threads, which are this one, may find neither.
static enum tls_end_result result_of(struct tls_end *end, int result) {
    end->error = result > 0 ? 0 : wolfSSL_get_error(end->session, result);
    wolfSSL_ERR_clear_error();
    switch (end->error) {
    case 0:
        return TLS_END_DONE;
    case WOLFSSL_ERROR_WANT_READ:
        return TLS_END_WAITS;
    case WOLFSSL_ERROR_ZERO_RETURN:
        return TLS_END_ENDED;
    case FATAL_ERROR:
        return TLS_END_ALERTED;
    default:
        return TLS_END_FAILED;
    }
}

enum tls_end_result tls_end_shake(struct tls_end *end) {
    int result = wolfSSL_connect(end->session);
    enum tls_end_result done = result_of(end, result == WOLFSSL_SUCCESS ? 1 : result);
    tls_memory_trim();
    return done;
}

bool tls_end_is_resumed(const struct tls_end *end) {
    return wolfSSL_session_reused(end->session) == 1;
}

void tls_end_send(struct tls_end *end, const void *bytes, uint32_t length) {
    int sent = wolfSSL_write(end->session, bytes, (int)length);
    check(result_of(end, sent) == TLS_END_DONE && sent == (int)length);
}

enum tls_end_result tls_end_receive(struct tls_end *end, void *bytes, uint32_t length,
                                    uint32_t *count) {
    int received = wolfSSL_read(end->session, bytes, (int)length);
    enum tls_end_result done = result_of(end, received);
    *count = received > 0 ? (uint32_t)received : 0;
    if (done == TLS_END_DONE && !end->is_kept) { // by now the gateway's ticket has come
        end->is_kept = true;
        WOLFSSL_SESSION **kept = &end->ends->sessions[end->options.is_old];
        wolfSSL_SESSION_free(*kept);
        *kept = wolfSSL_get1_session(end->session);
    }
    return done;
}

void tls_end_update(struct tls_end *end) {
    check(!end->options.is_old);
    check(wolfSSL_update_keys(end->session) == WOLFSSL_SUCCESS);
}

void tls_end_say_end(struct tls_end *end) {
    (void)wolfSSL_shutdown(end->session); // says that the other side has not yet
    wolfSSL_ERR_clear_error();
}

uint32_t tls_end_alert(const struct tls_end *end) {
    WOLFSSL_ALERT_HISTORY history;
    check(wolfSSL_get_alert_history(end->session, &history) == WOLFSSL_SUCCESS);
    return (uint32_t)history.last_rx.code;
}

const char *tls_end_reason(const struct tls_end *end) {
    return wolfSSL_ERR_reason_error_string((unsigned long)-(long)end->error);
}
