// `tls` of a listener: files are read here, what is in them is judged by who opens them.
#include "gateway/config/sections.h"

#include <stddef.h>

struct tls_section {
    const struct config_node *certificate;
    const struct config_node *key;
    const struct config_node *ocsp_file;
    const struct config_node *certificates;
    const struct config_node *client_ca;
    uint8_t client_certificates;
    uint8_t record_layer;
    uint8_t minimum_version;
};

static const char *const layer_names[] = {
    [CONFIG_TLS_COMPACT] = "compact", [CONFIG_TLS_LIBRARY] = "library", NULL};
static const char *const client_names[] = {"required", "optional", NULL};
static const char *const version_names[] = {[CONFIG_TLS_12] = "1.2", [CONFIG_TLS_13] = "1.3", NULL};

enum { CERTIFICATE_KEYS = 3 };

// The first CERTIFICATE_KEYS of them are all that an entry of `certificates` has.
static const struct schema_key tls_keys[] = {
    {.name = "certificate",
     .type = SCHEMA_SCALAR,
     .offset = offsetof(struct tls_section, certificate),
     .is_required = true},
    {.name = "key",
     .type = SCHEMA_SCALAR,
     .offset = offsetof(struct tls_section, key),
     .is_required = true},
    {.name = "ocsp_file", .type = SCHEMA_SCALAR, .offset = offsetof(struct tls_section, ocsp_file)},
    {.name = "certificates",
     .type = SCHEMA_LIST,
     .offset = offsetof(struct tls_section, certificates)},
    {.name = "client_ca", .type = SCHEMA_SCALAR, .offset = offsetof(struct tls_section, client_ca)},
    {.name = "client_certificates",
     .type = SCHEMA_NAME,
     .offset = offsetof(struct tls_section, client_certificates),
     .names = client_names},
    {.name = "record_layer",
     .type = SCHEMA_NAME,
     .offset = offsetof(struct tls_section, record_layer),
     .names = layer_names},
    {.name = "minimum_version",
     .type = SCHEMA_NAME,
     .offset = offsetof(struct tls_section, minimum_version),
     .names = version_names},
};
static const struct schema tls_schema = {.name = "tls",
                                         .title = "in a listener's `tls`",
                                         .prefix = "tls.",
                                         .keys = tls_keys,
                                         .key_count = sizeof(tls_keys) / sizeof(tls_keys[0])};

static const struct schema certificate_schema = {.name = "certificate",
                                                 .title = "in `tls.certificates`",
                                                 .prefix = "tls.certificates[].",
                                                 .keys = tls_keys,
                                                 .key_count = CERTIFICATE_KEYS};

static struct config_certificate certificate_keep(struct config_reader *reader,
                                                  const struct tls_section *section,
                                                  struct config_place place) {
    struct config_certificate kept = {.place = place};
    config_file_keep(reader, "tls.certificate", section->certificate, &kept.certificate);
    config_file_keep(reader, "tls.key", section->key, &kept.key);
    kept.key_path = section->key == NULL ? span_empty() : section->key->text;
    config_file_keep(reader, "tls.ocsp_file", section->ocsp_file, &kept.ocsp);
    return kept;
}

static void certificates_read(struct config_reader *reader, const struct config_node *list,
                              struct config_tls *tls) {
    if (list == NULL ||
        !schema_is_short(reader, "tls.certificates", list, TLS_CERTIFICATES_MAX - 1)) {
        return;
    }
    struct config_certificate *more =
        config_keep(reader, sizeof(struct config_certificate) * list->child_count + 1);
    if (more == NULL) {
        return;
    }
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        struct tls_section section = {.certificate = NULL};
        if (schema_is_kind(reader, "tls.certificates[]", node, CONFIG_NODE_MAP)) {
            schema_read(reader, &certificate_schema, node, &section);
            more[tls->more_count++] = certificate_keep(reader, &section, node->place);
        }
    }
    tls->more = more;
}

void config_tls_read(struct config_reader *reader, const struct config_node *map,
                     struct config_tls *tls) {
    if (map == NULL) {
        return;
    }
    struct tls_section section = {.minimum_version = CONFIG_TLS_12};
    schema_read(reader, &tls_schema, map, &section);
    tls->is_present = true;
    tls->place = map->place;
    tls->version_min = section.minimum_version;
    tls->record_layer = section.record_layer;
    tls->first = certificate_keep(reader, &section, map->place);
    certificates_read(reader, section.certificates, tls);
    config_file_keep(reader, "tls.client_ca", section.client_ca, &tls->client_ca);
    tls->client_is_optional = section.client_certificates == 1;
    const struct config_node *certificates = config_node_find(map, "client_certificates");
    if (section.client_ca == NULL && certificates != NULL) {
        config_error(reader, certificates->place,
                     "`tls.client_certificates` needs `client_ca`: whose certificates they are; "
                     "add it");
    }
    bool has_ocsp = tls->first.ocsp.length > 0;
    for (uint32_t i = 0; i < tls->more_count; i++) {
        has_ocsp = has_ocsp || tls->more[i].ocsp.length > 0;
    }
    if (has_ocsp && section.client_ca != NULL) {
        config_error(reader, section.client_ca->place,
                     "`tls.client_ca` does not go with `ocsp_file`: wolfSSL would believe the "
                     "issuer of your own certificate about clients, too; remove one of them");
    }
}
