// Which certificate is for which host (RFC 6125 6.4): its alternative names, or where it has none
// its common name; a first label of `*` stands for one label.
#include "gateway/tls/library.h"

#include <stdlib.h>
#include <strings.h>
#include <time.h>

enum { NAMES_BYTES_MAX = 16 << 10, HOST_BYTES_MAX = 255 };

// Adds a name to `names`, of which `used` bytes are taken, and leaves room for the empty one.
static uint32_t name_add(char *names, uint32_t used, const char *name) {
    uint32_t length = (uint32_t)strlen(name);
    if (length == 0 || length > HOST_BYTES_MAX || used + length + 2 > NAMES_BYTES_MAX) {
        return used; // found by no client, or the certificate of too many
    }
    for (uint32_t i = 0; i < length; i++) {
        bool is_upper = name[i] >= 'A' && name[i] <= 'Z';
        names[used + i] = (char)(name[i] + (is_upper ? 'a' - 'A' : 0));
    }
    return used + length + 1;
}

static bool expiry_read(struct tls_certificate *certificate, const WOLFSSL_X509 *x509) {
    struct tm time = {.tm_year = 0};
    const WOLFSSL_ASN1_TIME *until = wolfSSL_X509_get_notAfter(x509);
    bool is_read = until != NULL && wolfSSL_ASN1_TIME_to_tm(until, &time) == WOLFSSL_SUCCESS;
    certificate->expiry_s = is_read ? (int64_t)timegm(&time) : 0;
    return is_read;
}

bool tls_certificate_read(struct tls_certificate *certificate, struct span pem) {
    WOLFSSL_X509 *x509 =
        wolfSSL_X509_load_certificate_buffer(pem.data, (int)pem.length, WOLFSSL_FILETYPE_PEM);
    char *names = calloc(1, NAMES_BYTES_MAX);
    bool is_read = x509 != NULL && names != NULL && expiry_read(certificate, x509);
    uint32_t used = 0;
    const char *name = is_read ? wolfSSL_X509_get_next_altname(x509) : NULL;
    // Bounded: a certificate is at most FILE_BYTES_MAX, each name a part of it.
    while (name != NULL) {
        used = name_add(names, used, name);
        name = wolfSSL_X509_get_next_altname(x509);
    }
    if (is_read && used == 0) {
        const char *common = wolfSSL_X509_get_subjectCN(x509);
        used = common == NULL ? 0 : name_add(names, used, common);
    }
    wolfSSL_X509_free(x509);
    if (!is_read) {
        free(names);
        return false;
    }
    char *fitting = realloc(names, used + 1);
    certificate->names = fitting == NULL ? names : fitting;
    return true;
}

static bool name_fits(const char *name, const char *host) {
    const char *dot = strchr(host, '.');
    bool is_any = name[0] == '*' && name[1] == '.' && dot != NULL && dot != host;
    return is_any ? strcasecmp(name + 1, dot) == 0 : strcasecmp(name, host) == 0;
}

static bool certificate_fits(const struct tls_certificate *certificate, const char *host) {
    for (const char *name = certificate->names; *name != 0; name += strlen(name) + 1) {
        if (name_fits(name, host)) {
            return true;
        }
    }
    return false;
}

const struct tls_certificate *tls_certificate_choose(const struct tls_context *context,
                                                     struct span hello) {
    char host[HOST_BYTES_MAX + 1] = {0};
    unsigned int length = HOST_BYTES_MAX;
    bool is_named = context->count > 1 && hello.length > 0 &&
                    wolfSSL_SNI_GetFromBuffer(hello.data, hello.length, WOLFSSL_SNI_HOST_NAME,
                                              (unsigned char *)host, &length) == WOLFSSL_SUCCESS;
    host[is_named ? length : 0] = 0;
    for (uint32_t i = 0; is_named && i < context->count; i++) {
        if (certificate_fits(&context->certificates[i], host)) {
            return &context->certificates[i];
        }
    }
    return &context->certificates[0];
}
