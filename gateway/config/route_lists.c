// A route's host, origins and subprotocols.
#include "gateway/config/channel_byte.h"
#include "gateway/config/origin_split.h"
#include "gateway/config/sections.h"

#include <string.h>

enum { HOST_BYTES_MAX = 253 }; // RFC 1035

static const char *origin_problem(struct span text, struct config_origin *origin) {
    if (span_is(text, "*")) {
        return "is no origin; list every origin, or leave `origins` out to let all of them in";
    }
    struct span without = span_first(text, text.length > 0 ? text.length - 1 : 0);
    if (!config_origin_split(text, origin)) {
        return config_origin_split(without, origin) && text.data[text.length - 1] == '/'
                   ? "ends in `/`, which no Origin header does; write it without"
                   : "is no origin; write scheme://host or scheme://host:port, such as "
                     "https://app.example.com";
    }
    return NULL;
}

void config_origins_read(struct config_reader *reader, const struct config_node *list,
                         struct config_origins *origins) {
    if (!schema_is_short(reader, "origins", list, ROUTE_ORIGINS_MAX)) {
        return;
    }
    struct config_origin *items =
        config_keep(reader, sizeof(struct config_origin) * list->child_count);
    if (items == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (!schema_is_kind(reader, "origins[]", node, CONFIG_NODE_SCALAR)) {
            continue;
        }
        const char *problem = origin_problem(node->text, &items[count]);
        if (problem != NULL) {
            config_error(reader, node->place, "`origins[]` is %s, which %s",
                         config_quote(node->text).text, problem);
            continue;
        }
        count++;
    }
    *origins = (struct config_origins){.items = items, .count = count};
}

bool config_is_token(struct span text) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        if (!byte_is_alphanumeric(byte) && memchr(others, byte, sizeof(others) - 1) == NULL) {
            return false;
        }
    }
    return text.length > 0;
}

void config_subprotocols_read(struct config_reader *reader, const struct config_node *list,
                              struct config_spans *subprotocols) {
    if (!schema_is_short(reader, "subprotocols", list, ROUTE_SUBPROTOCOLS_MAX)) {
        return;
    }
    struct span *items = config_keep(reader, sizeof(struct span) * list->child_count);
    if (items == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (!schema_is_kind(reader, "subprotocols[]", node, CONFIG_NODE_SCALAR)) {
            continue;
        }
        if (!config_is_token(node->text)) {
            config_error(reader, node->place,
                         "`subprotocols[]` is %s, which is no HTTP token; write a name without "
                         "spaces and separators",
                         config_quote(node->text).text);
            continue;
        }
        bool is_doubled = false;
        for (uint32_t i = 0; i < count; i++) {
            is_doubled |= span_equal(items[i], node->text);
        }
        if (is_doubled) {
            config_error(reader, node->place, "`subprotocols[]` has %s twice; remove one",
                         config_quote(node->text).text);
            continue;
        }
        items[count++] = node->text;
    }
    *subprotocols = (struct config_spans){.items = items, .count = count};
}

static const char *host_problem(struct span text) {
    if (text.length == 0 || text.length > HOST_BYTES_MAX) {
        return "is no host name of 1 to 253 bytes; write it such as app.example.com";
    }
    bool is_v6 = text.data[0] == '[';
    if (!is_v6 && span_find(text, ':') >= 0) {
        return "holds a `:`; write the host without scheme and port";
    }
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        if (byte == '*') {
            return "holds a `*`; write whole host names, one route each";
        }
        bool is_valid = byte_is_alphanumeric(byte) || byte == '-' || byte == '.' || byte == '_' ||
                        (is_v6 && (byte == ':' || byte == '[' || byte == ']'));
        if (!is_valid) {
            return "is no host name; write it such as app.example.com";
        }
    }
    return text.data[text.length - 1] == '.' ? "ends in a dot; write it without" : NULL;
}

bool config_host_read(struct config_reader *reader, const struct config_node *node,
                      struct span *host) {
    const char *problem = host_problem(node->text);
    if (problem != NULL) {
        config_error(reader, node->place, "`host` is %s, which %s", config_quote(node->text).text,
                     problem);
        return false;
    }
    uint8_t *lower = config_keep(reader, node->text.length);
    if (lower == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < node->text.length; i++) {
        uint8_t byte = node->text.data[i];
        lower[i] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    *host = span_make(lower, node->text.length);
    return true;
}
