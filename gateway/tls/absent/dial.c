// In place of gateway/tls/dial.c where Holdfast is built without wolfSSL: no dialer is ever opened,
// so nothing else here is ever called.
#include "gateway/tls/dial.h"

#include <errno.h>

int tls_dialer_open(struct tls_dialer **dialer, const struct tls_dialer_options *options,
                    const char **reason) {
    (void)options; // refused whatever they say
    *dialer = NULL;
    *reason = "this holdfast was built without TLS; write http://, or build with -DHOLDFAST_TLS=ON";
    return -EINVAL;
}

void tls_dialer_close(struct tls_dialer **dialer) {
    check(*dialer == NULL);
}

int tls_dial_begin(struct tls_dial *dial, const struct tls_dialer *dialer, const char *host) {
    (void)dial;
    (void)dialer;
    (void)host;
    check(false);
    return -ENOTSUP;
}

enum tls_dial_result tls_dial_shake(struct tls_dial *dial, struct tls_dial_step *step) {
    (void)dial;
    (void)step;
    check(false);
    return TLS_DIAL_FAULT;
}

enum tls_dial_result tls_dial_read(struct tls_dial *dial, struct tls_dial_step *step, uint8_t *text,
                                   uint32_t *length) {
    (void)dial;
    (void)step;
    (void)text;
    (void)length;
    check(false);
    return TLS_DIAL_FAULT;
}

uint64_t tls_dial_room(uint64_t text_bytes) {
    return text_bytes;
}

int64_t tls_dial_write(struct tls_dial *dial, const struct span *pieces, uint32_t piece_count,
                       struct span_mut target) {
    (void)dial;
    (void)pieces;
    (void)piece_count;
    (void)target;
    check(false);
    return -ENOTSUP;
}

void tls_dial_fini(struct tls_dial *dial) {
    (void)dial; // it has nothing
}
