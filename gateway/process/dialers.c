// What services by https are asked with: from the bytes of a configuration to what connections use,
// at start and at reload.
#include <stdio.h>

#include "gateway/process/files.h"
#include "gateway/process/process.h"
#include "gateway/tls/dial.h"

static int dialer_open(struct tls_dialer **dialer, const struct config_upstream_tls *tls,
                       const char **reason) {
    struct tls_dialer_options options = {
        .ca = tls->ca, .certificate = tls->certificate, .key = tls->key};
    *reason = NULL;
    if (tls_library_open() != 0) {
        *reason = "this wolfSSL cannot be used; build with another one";
        return -1;
    }
    return tls_dialer_open(dialer, &options, reason);
}

void dialers_check(const struct config *config, const char *file, struct config_errors *errors) {
    bool is_system_judged = false;
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        const struct config_upstream_tls *tls = &config->upstreams[i].tls;
        if (!tls->is_present || (tls->is_system_ca && is_system_judged)) {
            continue;
        }
        is_system_judged = is_system_judged || tls->is_system_ca;
        struct tls_dialer *dialer = NULL;
        const char *reason;
        if (dialer_open(&dialer, tls, &reason) != 0) {
            char text[CONFIG_ERROR_BYTES];
            (void)snprintf(text, sizeof text, "https: %s",
                           reason == NULL ? "out of memory; give the process more"
                                          : reason); // cut is fine
            files_error_add(errors, file, tls->place, text);
        }
        tls_dialer_close(&dialer);
    }
}

bool site_dialers_open(struct site *site) {
    for (uint32_t i = 0; i < site->config->upstream_count; i++) {
        const struct config_upstream_tls *tls = &site->config->upstreams[i].tls;
        const char *reason;
        if (!tls->is_present) {
            continue;
        }
        // 140 certificates: read once, however many upstreams trust them.
        struct tls_dialer **dialer = tls->is_system_ca ? &site->system_dialer : &site->dialers[i];
        if (*dialer == NULL && dialer_open(dialer, tls, &reason) != 0) {
            return false;
        }
        site->dialers[i] = *dialer;
    }
    return true;
}

void site_dialers_close(struct site *site) {
    for (uint32_t i = 0; i < UPSTREAMS_MAX; i++) {
        if (site->dialers[i] != site->system_dialer) {
            tls_dialer_close(&site->dialers[i]);
        }
    }
    tls_dialer_close(&site->system_dialer);
}
