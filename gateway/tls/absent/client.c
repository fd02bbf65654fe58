// In place of gateway/tls/client.c where Holdfast is built without wolfSSL.
#include "gateway/tls/client.h"

#include <errno.h>

struct tls_client *tls_client_open(int file, const struct tls_client_options *options,
                                   const char **reason) {
    (void)file;
    (void)options; // whatever they say
    *reason = "this holdfast was built without TLS; build with -DHOLDFAST_TLS=ON";
    return NULL;
}

void tls_client_close(struct tls_client *client) {
    check(client == NULL);
}

const char *tls_client_version(struct tls_client *client) {
    check(client == NULL); // there is none
    return "";
}

const char *tls_client_cipher(struct tls_client *client) {
    check(client == NULL); // there is none
    return "";
}

bool tls_client_has_bytes(struct tls_client *client) {
    check(client == NULL); // there is none
    return false;
}

int64_t tls_client_receive(struct tls_client *client, struct span_mut target) {
    check(client == NULL); // there is none
    (void)target;
    return -ENOTSUP;
}

int tls_client_send(struct tls_client *client, struct span bytes) {
    check(client == NULL); // there is none
    (void)bytes;
    return -ENOTSUP;
}
