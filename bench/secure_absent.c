// Where the bench is built without wolfSSL: options_read refuses wss://, so nothing else is called.
#include "bench/secure.h"

#include <stdlib.h>

bool secure_is_built(void) {
    return false;
}

bool secure_init(bool does_resume) {
    (void)does_resume;
    return false;
}

void *secure_open(int fd) {
    (void)fd;
    return NULL;
}

void secure_close(void *secure) {
    (void)secure;
    abort();
}

enum secure_result secure_shake(void *secure, const char **reason) {
    (void)secure;
    *reason = "built without TLS";
    return SECURE_FAILED;
}

ssize_t secure_receive(void *secure, uint8_t *bytes, size_t room) {
    (void)secure;
    (void)bytes;
    (void)room;
    abort();
}

ssize_t secure_send(void *secure, const uint8_t *bytes, size_t count) {
    (void)secure;
    (void)bytes;
    (void)count;
    abort();
}

void secure_keep(void *secure) {
    (void)secure;
    abort();
}
