#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include "bench/secure.h"

#include <errno.h>

// Of the process, which has one thread.
static WOLFSSL_CTX *context;
static WOLFSSL_SESSION *session;
static bool resumes;

bool secure_is_built(void) {
    return true;
}

bool secure_init(bool does_resume) {
    resumes = does_resume;
    if (context != NULL) {
        return true;
    }
    if (wolfSSL_Init() != WOLFSSL_SUCCESS) {
        return false;
    }
    context = wolfSSL_CTX_new(wolfSSLv23_client_method());
    if (context == NULL) {
        return false;
    }
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1};
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, NULL);
    wolfSSL_CTX_set_session_cache_mode(context, WOLFSSL_SESS_CACHE_OFF);
    return wolfSSL_CTX_set_groups(context, groups, 2) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_UseSessionTicket(context) == WOLFSSL_SUCCESS;
}

void *secure_open(int fd) {
    WOLFSSL *secure = wolfSSL_new(context);
    if (secure == NULL) {
        return NULL;
    }
    bool is_set = wolfSSL_set_fd(secure, fd) == WOLFSSL_SUCCESS &&
                  wolfSSL_UseKeyShare(secure, WOLFSSL_ECC_X25519) == WOLFSSL_SUCCESS;
    if (is_set && resumes && session != NULL) {
        is_set = wolfSSL_set_session(secure, session) == WOLFSSL_SUCCESS;
    }
    if (!is_set) {
        wolfSSL_free(secure);
        return NULL;
    }
    wolfSSL_set_using_nonblock(secure, 1);
    return secure;
}

void secure_close(void *secure) {
    wolfSSL_free(secure);
}

enum secure_result secure_shake(void *secure, const char **reason) {
    if (secure == NULL) {
        *reason = "out of memory";
        return SECURE_FAILED;
    }
    int result = wolfSSL_connect(secure);
    if (result == WOLFSSL_SUCCESS) {
        return SECURE_DONE;
    }
    int error = wolfSSL_get_error(secure, result);
    if (error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE) {
        return SECURE_WAITS;
    }
    *reason = wolfSSL_ERR_reason_error_string((unsigned long)-(long)error);
    wolfSSL_ERR_clear_error();
    return SECURE_FAILED;
}

static ssize_t result_of(void *secure, int result) {
    if (result > 0) {
        return result;
    }
    int error = wolfSSL_get_error(secure, result);
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    bool waits = error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE;
    errno = waits ? EAGAIN : ECONNRESET;
    wolfSSL_ERR_clear_error();
    return -1;
}

ssize_t secure_receive(void *secure, uint8_t *bytes, size_t room) {
    int most = room > 1 << 20 ? 1 << 20 : (int)room;
    return result_of(secure, wolfSSL_read(secure, bytes, most));
}

ssize_t secure_send(void *secure, const uint8_t *bytes, size_t count) {
    int most = count > 1 << 20 ? 1 << 20 : (int)count;
    return result_of(secure, wolfSSL_write(secure, bytes, most));
}

void secure_keep(void *secure) {
    if (resumes && session == NULL) {
        session = wolfSSL_get1_session(secure);
    }
}
