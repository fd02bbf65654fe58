// What servers by https are asked with: authorities, and a certificate of our own.
#include "gateway/config/sections.h"

// Where Debian, Alpine and Arch have the system's authorities.
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

static const struct config_server *secure_find(const struct config_upstream *upstream) {
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        if (upstream->servers[i].is_secure) {
            return &upstream->servers[i];
        }
    }
    return NULL;
}

// Once for all upstreams.
static void system_ca_read(struct config_reader *reader, struct config_place place,
                           struct config *config) {
    struct span lent = span_empty();
    if (config->system_ca.length > 0) {
        return;
    }
    int status = reader->source->load(reader->source->context, SYSTEM_CA, &lent);
    if (status < 0 || lent.length == 0) {
        config_error(reader, place,
                     "a server is asked by https, and the system's authorities " SYSTEM_CA
                     " cannot be read; install ca-certificates, or write `ca: FILE`");
        return;
    }
    uint8_t *copy = config_keep(reader, lent.length);
    if (copy != NULL) {
        memcpy(copy, lent.data, lent.length);
        config->system_ca = span_make(copy, lent.length);
    }
}

void config_upstream_tls_read(struct config_reader *reader,
                              const struct config_upstream_tls_section *section,
                              struct config *config, struct config_upstream *upstream) {
    const struct config_server *server = secure_find(upstream);
    const struct config_node *said = section->ca != NULL            ? section->ca
                                     : section->certificate != NULL ? section->certificate
                                                                    : section->key;
    if (server == NULL) {
        if (said != NULL && upstream->server_count > 0) {
            config_error(reader, said->place,
                         "`ca`, `certificate` and `key` have no meaning without a server by "
                         "https; write https://host:port, or remove them");
        }
        return;
    }
    struct config_upstream_tls *tls = &upstream->tls;
    *tls = (struct config_upstream_tls){.place = server->place, .is_present = true};
    if ((section->certificate == NULL) != (section->key == NULL)) {
        config_error(reader, said->place,
                     "`certificate` and `key` go together; write both, or none");
    }
    config_file_keep(reader, "certificate", section->certificate, &tls->certificate);
    config_file_keep(reader, "key", section->key, &tls->key);
    tls->key_path = section->key == NULL ? span_empty() : section->key->text;
    if (section->ca != NULL) {
        tls->place = section->ca->place;
        config_file_keep(reader, "ca", section->ca, &tls->ca);
    } else {
        system_ca_read(reader, server->place, config);
        tls->ca = config->system_ca;
    }
    tls->is_system_ca = said == NULL;
}
