// `forward` of an entry of `auth`: a service that is asked who a client is. The service becomes an
// upstream of the configuration, so that it has connections, health and metrics like any other.
#include "gateway/config/sections.h"
#include "gateway/config/value.h"

#include <stddef.h>
#include <stdio.h>

enum {
    TIMEOUT_MS = 5000,
    CONNECT_MS_MAX = 2000,
    CACHE_MS_MAX = 3600 * 1000, // what a service has taken back is let in for as long
    ENTRIES = 1024,
    UPSTREAM_NAME_BYTES_MAX = 64, // as of other upstreams
};

struct forward_section {
    const struct config_node *url, *headers, *claims, *pass;
    struct config_upstream_tls_section tls;
    uint64_t cache_ms, timeout_ms;
    uint32_t entries;
};

#define AT(member) .offset = offsetof(struct forward_section, member)
static const struct schema_key forward_keys[] = {
    {.name = "url", .type = SCHEMA_SCALAR, AT(url), .is_required = true},
    {.name = "cache", .type = SCHEMA_MS, AT(cache_ms), .maximum = CACHE_MS_MAX, .word = "off"},
    {.name = "entries",
     .type = SCHEMA_COUNT,
     AT(entries),
     .minimum = 1,
     .maximum = FORWARD_ENTRIES_MAX},
    {.name = "timeout",
     .type = SCHEMA_MS,
     AT(timeout_ms),
     .minimum = CONFIG_TIME_MS_MIN,
     .maximum = TIME_MS_MAX},
    {.name = "headers", .type = SCHEMA_LIST, AT(headers)},
    {.name = "claims", .type = SCHEMA_MAP, AT(claims)},
    {.name = "pass", .type = SCHEMA_LIST, AT(pass)},
    {.name = "ca", .type = SCHEMA_SCALAR, AT(tls.ca)},
    {.name = "certificate", .type = SCHEMA_SCALAR, AT(tls.certificate)},
    {.name = "key", .type = SCHEMA_SCALAR, AT(tls.key)},
};
#undef AT
static const struct schema forward_schema = {.name = "forward",
                                             .title = "in `forward`",
                                             .prefix = "forward.",
                                             .keys = forward_keys,
                                             .key_count =
                                                 sizeof(forward_keys) / sizeof(forward_keys[0])};

// Fields that frame a message, belong to one hop, or are written by us.
static bool is_ours(struct span name) {
    static const char *const names[] = {"connection", "keep-alive",     "proxy-connection", "te",
                                        "trailer",    "upgrade",        "expect",           "host",
                                        "forwarded",  "content-length", "transfer-encoding"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_is_nocase(name, names[i])) {
            return true;
        }
    }
    struct span prefix = span_text("x-forwarded-");
    return name.length >= prefix.length &&
           span_equal_nocase(span_first(name, prefix.length), prefix);
}

bool config_passed_name_read(struct config_reader *reader, const char *key,
                             const struct config_node *node) {
    if (!schema_is_kind(reader, key, node, CONFIG_NODE_SCALAR)) {
        return false;
    }
    bool is_name = config_is_token(node->text) && node->text.length <= AUTH_NAME_BYTES_MAX &&
                   !is_ours(node->text);
    if (!is_name) {
        static_assert(AUTH_NAME_BYTES_MAX == 64, "the message says 64");
        config_error(reader, node->place,
                     "`%s` is %s, which is no header that may be named here; write one of 1 to 64 "
                     "bytes that belongs to no single connection, such as X-User",
                     key, config_quote(node->text).text);
    }
    return is_name;
}

// Which headers of a request the service is sent.
static void headers_read(struct config_reader *reader, const struct config_node *list,
                         struct config_forward *forward) {
    static const struct span usual[] = {{(const uint8_t *)"Authorization", 13},
                                        {(const uint8_t *)"Cookie", 6}};
    forward->sent = usual;
    forward->sent_count = 2;
    if (list == NULL || !schema_is_short(reader, "forward.headers", list, FORWARD_FIELDS_MAX)) {
        return;
    }
    struct span *sent = config_keep(reader, sizeof(struct span) * (list->child_count + 1u));
    if (sent == NULL) {
        return;
    }
    uint8_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (config_passed_name_read(reader, "forward.headers[]", node)) {
            sent[count++] = node->text;
        }
    }
    forward->sent = sent;
    forward->sent_count = count;
}

// The row of that header of the answer, new if need be. NULL: there are too many.
static struct config_forward_field *field_of(struct config_reader *reader,
                                             struct config_forward_field *fields,
                                             const struct config_node *node,
                                             struct config_forward *forward) {
    for (uint32_t i = 0; i < forward->field_count; i++) {
        if (span_equal_nocase(fields[i].header, node->text)) {
            return &fields[i];
        }
    }
    if (forward->field_count == FORWARD_FIELDS_MAX) {
        config_error(reader, node->place,
                     "`forward` names more than %u headers of an answer; remove some",
                     FORWARD_FIELDS_MAX);
        return NULL;
    }
    fields[forward->field_count].header = node->text;
    return &fields[forward->field_count++];
}

static void fields_read(struct config_reader *reader, const struct forward_section *section,
                        struct config_forward *forward) {
    struct config_forward_field *fields =
        config_keep(reader, sizeof(struct config_forward_field) * FORWARD_FIELDS_MAX);
    if (fields == NULL) {
        return;
    }
    forward->fields = fields;
    const struct config_node *key = section->claims == NULL ? NULL : section->claims->child;
    for (; key != NULL; key = key->next->next) {
        if (key->kind == CONFIG_NODE_BAD ||
            !config_passed_name_read(reader, "forward.claims.NAME", key->next)) {
            continue;
        }
        struct config_forward_field *field = field_of(reader, fields, key->next, forward);
        if (field != NULL && field->claim.length > 0) {
            config_error(reader, key->next->place,
                         "%s is two claims; name each header once in `claims`",
                         config_quote(key->next->text).text);
        } else if (field != NULL) {
            field->claim = key->text;
        }
    }
    const struct config_node *node = section->pass == NULL ? NULL : section->pass->child;
    for (; node != NULL; node = node->next) {
        struct config_forward_field *field = config_passed_name_read(reader, "forward.pass[]", node)
                                                 ? field_of(reader, fields, node, forward)
                                                 : NULL;
        if (field != NULL) {
            field->passes = true;
        }
    }
}

static bool is_target(struct span text) {
    bool is_whole = text.length > 0 && text.data[0] == '/' && text.length <= TARGET_BYTES_MAX;
    for (uint32_t i = 0; is_whole && i < text.length; i++) {
        is_whole = text.data[i] > 0x20 && text.data[i] < 0x7f && text.data[i] != '#';
    }
    return is_whole;
}

static uint32_t scheme_bytes(struct span text) {
    static const char *const schemes[] = {"http://", "https://"};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t length = (uint32_t)strlen(schemes[i]);
        if (text.length > length && span_is(span_first(text, length), schemes[i])) {
            return length;
        }
    }
    return 0;
}

// http[s]://host[:port]/path
static bool url_read(struct config_reader *reader, const struct config_node *node,
                     struct config_server *server, struct span *target) {
    struct span text = node->text;
    uint32_t scheme = scheme_bytes(text);
    int64_t slash = span_find(span_from(text, scheme), '/');
    uint32_t split = slash < 0 ? text.length : scheme + (uint32_t)slash;
    *target = slash < 0 ? span_text("/") : span_from(text, split);
    *server = (struct config_server){.place = node->place};
    const char *problem = scheme == 0 ? "is no URL of a service; write http://host:port/path or "
                                        "https://host:port/path"
                                      : config_server_read(reader, span_first(text, split), server);
    if (problem == NULL && !is_target(*target)) {
        problem = "holds a byte that no path may; write it escaped";
    }
    if (problem != NULL) {
        config_error(reader, node->place, "`forward.url` is %s, which %s", config_quote(text).text,
                     problem);
    }
    return problem == NULL;
}

// One more upstream behind those of the file; its name can stand in none of these.
static void upstream_add(struct config_reader *reader, struct span name,
                         const struct forward_section *section, struct config_forward *forward,
                         struct config *config) {
    struct config_server *server = config_keep(reader, sizeof *server);
    struct config_upstream *upstreams =
        config_keep(reader, sizeof(struct config_upstream) * (config->upstream_count + 1u));
    char *text = config_keep(reader, UPSTREAM_NAME_BYTES_MAX + 1);
    if (server == NULL || upstreams == NULL || text == NULL ||
        !url_read(reader, section->url, server, &forward->target)) {
        return;
    }
    int length = snprintf(text, UPSTREAM_NAME_BYTES_MAX + 1, "auth:%.*s", (int)name.length,
                          (const char *)name.data);
    if (!config_is_token(name) || length > UPSTREAM_NAME_BYTES_MAX) {
        config_error(reader, section->url->place,
                     "the name %s of its `auth` is no token of at most 59 bytes; write letters, "
                     "digits and `-`",
                     config_quote(name).text);
        return;
    }
    if (config->upstream_count == UPSTREAMS_MAX) {
        config_error(reader, section->url->place,
                     "there are more than %u upstreams with this service; remove some",
                     UPSTREAMS_MAX);
        return;
    }
    if (config->upstream_count > 0) {
        memcpy(upstreams, config->upstreams,
               sizeof(struct config_upstream) * config->upstream_count);
    }
    uint64_t timeout_ms = section->timeout_ms;
    upstreams[config->upstream_count] = (struct config_upstream){
        .name = span_make(text, (uint32_t)length),
        .servers = server,
        .server_count = 1,
        .connect_ms = timeout_ms < CONNECT_MS_MAX ? timeout_ms : CONNECT_MS_MAX,
        .response_ms = timeout_ms,
        .idle_ms = timeout_ms,
        .retry_ms = 1000, // everybody waits outside meanwhile
        .resolve_ms = 30000,
        .connections = 256,
        .queue = 1024,
        .failures = 5};
    config_upstream_tls_read(reader, &section->tls, config, &upstreams[config->upstream_count]);
    forward->upstream = (uint16_t)config->upstream_count;
    config->upstreams = upstreams;
    config->upstream_count++;
}

void config_auth_forward_read(struct config_reader *reader, const struct config_node *map,
                              struct config_auth *auth, struct config *config) {
    struct forward_section section = {.timeout_ms = TIMEOUT_MS, .entries = ENTRIES};
    auth->kind = CONFIG_AUTH_FORWARD;
    auth->place = map->place;
    schema_read(reader, &forward_schema, map, &section);
    auth->forward.cache_ms = section.cache_ms;
    auth->forward.entries = section.entries;
    headers_read(reader, section.headers, &auth->forward);
    fields_read(reader, &section, &auth->forward);
    if (section.url != NULL) {
        upstream_add(reader, auth->name, &section, &auth->forward, config);
    }
}
