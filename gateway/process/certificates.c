// Certificates and what else belongs to a listener: from the bytes of a configuration to what
// handshakes use, at start and at reload.
#include <stdio.h>

#include "core/base/check.h"
#include "gateway/process/files.h"
#include "gateway/process/process.h"

static struct tls_identity identity_of(const struct config_certificate *certificate) {
    return (struct tls_identity){.certificate = certificate->certificate,
                                 .key = certificate->key,
                                 .ocsp = certificate->ocsp};
}

// `*place`: where the certificate that is wrong was written.
static int context_open(struct tls_context **context, const struct config_tls *tls,
                        const char **reason, struct config_place *place) {
    bool is_newest = tls->version_min == CONFIG_TLS_13;
    bool is_kept = tls->record_layer == CONFIG_TLS_LIBRARY;
    struct tls_context_options options = {.first = identity_of(&tls->first),
                                          .client_ca = tls->client_ca,
                                          .client_is_optional = tls->client_is_optional,
                                          .version_min =
                                              is_newest ? TLS_VERSION_13 : TLS_VERSION_12,
                                          .layer = is_kept ? TLS_LAYER_LIBRARY : TLS_LAYER_COMPACT};
    *place = tls->place;
    int error = tls_context_open(context, &options, reason);
    for (uint32_t i = 0; error == 0 && i < tls->more_count; i++) {
        *place = tls->more[i].place;
        struct tls_identity identity = identity_of(&tls->more[i]);
        error = tls_context_add(*context, &identity, reason);
    }
    if (error != 0) {
        tls_context_close(context);
    }
    return error;
}

void certificates_check(const struct config *config, const char *file,
                        struct config_errors *errors) {
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_tls *tls = &config->listeners[i].tls;
        struct tls_context *context = NULL;
        const char *reason = NULL;
        struct config_place place = tls->place;
        if (!tls->is_present) {
            continue;
        }
        int error = tls_library_open();
        if (error != 0) {
            reason = "this wolfSSL cannot be used; build with another one";
        } else {
            error = context_open(&context, tls, &reason, &place);
        }
        if (error != 0) {
            char text[CONFIG_ERROR_BYTES];
            (void)snprintf(text, sizeof text, "`tls`: %s",
                           reason == NULL ? "out of memory; give the process more"
                                          : reason); // cut is fine
            files_error_add(errors, file, place, text);
        }
        tls_context_close(&context);
    }
}

int64_t certificates_expiry_s(const struct config_tls *tls) {
    struct tls_context *context = NULL;
    const char *reason;
    struct config_place place;
    if (context_open(&context, tls, &reason, &place) != 0) {
        return 0;
    }
    int64_t expiry_s = tls_context_expiry_s(context);
    tls_context_close(&context);
    return expiry_s;
}

// What was opened is what a later site's certificates belong to: addresses need a restart.
static void listeners_note(struct process *process, const struct config *config) {
    process->listener_count = config->listener_count;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        struct span text = config->listeners[i].address.text;
        check(text.length <= PROCESS_ADDRESS_BYTES_MAX);
        memcpy(process->listeners[i], text.data, text.length);
        process->listener_bytes[i] = text.length;
    }
}

static struct span listener_address(const struct process *process, uint32_t listener) {
    return span_make(process->listeners[listener], process->listener_bytes[listener]);
}

static const struct config_tls *tls_find(const struct config *config, struct span address) {
    for (uint32_t i = 0; i < config->listener_count; i++) {
        if (span_equal(config->listeners[i].address.text, address)) {
            return config->listeners[i].tls.is_present ? &config->listeners[i].tls : NULL;
        }
    }
    return NULL;
}

// The certificate serves without it.
static void staple_warn(const struct process *process, const struct site *site, uint32_t listener) {
    const char *complaint = tls_context_staple_complaint(site->tls[listener]);
    if (complaint != NULL) {
        log_event(process->log, LOG_LEVEL_WARN, "ocsp_file",
                  log_span("listener", listener_address(process, listener)),
                  log_text("text", complaint));
    }
}

bool site_tls_open(struct process *process, struct site *site, const struct site *former) {
    if (former == NULL) {
        listeners_note(process, site->config);
    }
    for (uint32_t i = 0; i < process->listener_count; i++) {
        const struct config_tls *tls = tls_find(site->config, listener_address(process, i));
        bool was_plain = former != NULL && former->tls[i] == NULL;
        if (was_plain) {
            continue; // so it stays until a restart
        }
        if (tls == NULL) {
            site->tls[i] = former == NULL ? NULL : tls_context_share(former->tls[i]);
            continue;
        }
        struct config_tls wanted = *tls;
        if (former != NULL) { // memory was laid out for it: another one needs a restart
            bool is_kept = tls_context_layer(former->tls[i]) == TLS_LAYER_LIBRARY;
            wanted.record_layer = is_kept ? CONFIG_TLS_LIBRARY : CONFIG_TLS_COMPACT;
        }
        const char *reason;
        struct config_place place;
        if (context_open(&site->tls[i], &wanted, &reason, &place) != 0) {
            return false;
        }
        staple_warn(process, site, i);
    }
    return true;
}

void site_proxies_set(const struct process *process, struct site *site) {
    const struct config *config = site->config;
    for (uint32_t i = 0; i < process->listener_count; i++) {
        for (uint32_t j = 0; j < config->listener_count; j++) {
            const struct config_listener *listener = &config->listeners[j];
            bool is_it = span_equal(listener->address.text, listener_address(process, i));
            if (is_it && listener->proxy.trusted_count > 0) {
                site->proxies[i] = &listener->proxy;
            }
        }
    }
}

void site_tls_close(struct site *site) {
    for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
        tls_context_close(&site->tls[i]);
    }
}

void site_tls_warn(const struct process *process) {
    for (uint32_t i = 0; i < process->listener_count; i++) {
        const struct config_tls *tls = &process->config->listeners[i].tls;
        bool is_asked = tls->is_present && tls->record_layer == CONFIG_TLS_COMPACT;
        if (is_asked && tls_context_layer(process->site->tls[i]) == TLS_LAYER_LIBRARY) {
            log_event(process->log, LOG_LEVEL_WARN, "record_layer",
                      log_span("listener", listener_address(process, i)),
                      log_text("text", "this wolfSSL does not give its keys out, so its own record "
                                       "layer is used: 64 KB a connection; build with one that has "
                                       "--enable-pkcallbacks and --enable-atomicuser"));
        }
    }
}

void site_tls_tell(struct process *process, const struct site *site) {
    struct admin_expiry expiries[LISTENERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < process->listener_count; i++) {
        if (site->tls[i] != NULL) {
            expiries[count++] = (struct admin_expiry){
                .listener = listener_address(process, i),
                .expiry_s = tls_context_expiry_s(site->tls[i]),
            };
        }
    }
    admin_expiries_set(process->admin, expiries, count);
}
