#include "gateway/tls/client.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/tls/library.h"

struct tls_client {
    WOLFSSL_CTX *context;
    WOLFSSL *session;
};

const char *tls_client_reason(int error) {
    static const struct {
        int error;
        const char *reason;
    } rows[] = {
        {ASN_NO_SIGNER_E, "nobody that is trusted here has signed its certificate"},
        {ASN_SELF_SIGNED_E, "its certificate is signed by itself"},
        {ASN_AFTER_DATE_E, "its certificate has expired"},
        {ASN_BEFORE_DATE_E, "its certificate is not valid yet"},
        {DOMAIN_NAME_MISMATCH, "its certificate is for another name"},
        {ASN_SIG_CONFIRM_E, "its certificate's signature is wrong"},
        {UNKNOWN_ALPN_PROTOCOL_NAME_E, "it does not speak HTTP/1.1 there"},
        {UNKNOWN_RECORD_TYPE, "no TLS is spoken there"},
        {VERSION_ERROR, "it speaks another version of TLS, or none"},
        {SOCKET_ERROR_E, "the connection ended in the handshake"},
        {SOCKET_PEER_CLOSED_E, "the connection ended in the handshake"},
        {WOLFSSL_ERROR_WANT_READ, "the handshake was not done in time"},
        {WOLFSSL_ERROR_WANT_WRITE, "the handshake was not done in time"},
        {FATAL_ERROR, "it refused the handshake with an alert"},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].error == error) {
            return rows[i].reason;
        }
    }
    return NULL;
}

static const char *reason_of(int error) {
    const char *known = tls_client_reason(error);
    return known != NULL ? known : wolfSSL_ERR_reason_error_string((unsigned long)error);
}

static const char *session_prepare(struct tls_client *client, int file,
                                   const struct tls_client_options *options) {
    char protocol[] = "http/1.1"; // the library takes no const
    client->context = wolfSSL_CTX_new(wolfTLS_client_method());
    if (client->context == NULL) {
        return "out of memory";
    }
    // Said in any case: Debian's library looks at no certificate unless it is asked to.
    wolfSSL_CTX_set_verify(
        client->context, options->is_unverified ? WOLFSSL_VERIFY_NONE : WOLFSSL_VERIFY_PEER, NULL);
    if (!options->is_unverified &&
        wolfSSL_CTX_load_verify_locations(client->context, options->ca_file, NULL) !=
            WOLFSSL_SUCCESS) {
        return "the authorities that are trusted here cannot be read";
    }
    client->session = wolfSSL_new(client->context);
    if (client->session == NULL) {
        return "out of memory";
    }
    bool is_ready = wolfSSL_set_fd(client->session, file) == WOLFSSL_SUCCESS &&
                    wolfSSL_UseSNI(client->session, WOLFSSL_SNI_HOST_NAME, options->host,
                                   (unsigned short)strlen(options->host)) == WOLFSSL_SUCCESS &&
                    wolfSSL_UseALPN(client->session, protocol, sizeof protocol - 1,
                                    WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS &&
                    (options->is_unverified ||
                     wolfSSL_check_domain_name(client->session, options->host) == WOLFSSL_SUCCESS);
    return is_ready ? NULL : "the handshake cannot be prepared";
}

struct tls_client *tls_client_open(int file, const struct tls_client_options *options,
                                   const char **reason) {
    struct tls_client *client = calloc(1, sizeof *client);
    *reason = client == NULL ? "out of memory" : session_prepare(client, file, options);
    if (*reason == NULL && wolfSSL_connect(client->session) != WOLFSSL_SUCCESS) {
        *reason = reason_of(wolfSSL_get_error(client->session, 0));
    }
    if (*reason == NULL) {
        return client;
    }
    if (client != NULL) {
        wolfSSL_free(client->session);
        client->session = NULL;
    }
    tls_client_close(client);
    return NULL;
}

void tls_client_close(struct tls_client *client) {
    if (client == NULL) {
        return;
    }
    if (client->session != NULL) {
        (void)wolfSSL_shutdown(client->session); // whoever is gone misses nothing
        wolfSSL_free(client->session);
    }
    wolfSSL_CTX_free(client->context);
    free(client);
}

const char *tls_client_version(struct tls_client *client) {
    return wolfSSL_get_version(client->session);
}

const char *tls_client_cipher(struct tls_client *client) {
    return wolfSSL_get_cipher(client->session);
}

bool tls_client_has_bytes(struct tls_client *client) {
    return wolfSSL_pending(client->session) > 0;
}

static int error_of(struct tls_client *client, int result) {
    int error = wolfSSL_get_error(client->session, result);
    bool is_waiting = error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE;
    return is_waiting ? -EAGAIN : -ECONNRESET;
}

int64_t tls_client_receive(struct tls_client *client, struct span_mut target) {
    int count = wolfSSL_read(client->session, target.data, (int)target.length);
    if (count > 0) {
        return count;
    }
    int error = wolfSSL_get_error(client->session, count);
    bool is_end = error == WOLFSSL_ERROR_ZERO_RETURN || error == SOCKET_PEER_CLOSED_E;
    return is_end ? 0 : error_of(client, count);
}

int tls_client_send(struct tls_client *client, struct span bytes) {
    while (bytes.length > 0) { // each pass sends some of them
        int count = wolfSSL_write(client->session, bytes.data, (int)bytes.length);
        if (count <= 0) {
            return error_of(client, count);
        }
        bytes = span_from(bytes, (uint32_t)count);
    }
    return 0;
}
