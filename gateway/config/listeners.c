// listeners, admin and trusted: addresses.
#include "gateway/config/sections.h"
#include "gateway/config/value.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct listener_section {
    const struct config_node *address;
    const struct config_node *tls;
    const struct config_node *proxy_protocol;
};

static const struct schema_key listener_keys[] = {
    {.name = "address",
     .type = SCHEMA_SCALAR,
     .offset = offsetof(struct listener_section, address),
     .is_required = true},
    {.name = "tls", .type = SCHEMA_MAP, .offset = offsetof(struct listener_section, tls)},
    {.name = "proxy_protocol",
     .type = SCHEMA_MAP,
     .offset = offsetof(struct listener_section, proxy_protocol)},
};
static const struct schema listener_schema = {.name = "listener",
                                              .title = "in a listener",
                                              .prefix = "listeners[].",
                                              .keys = listener_keys,
                                              .key_count = 3};

struct proxy_section {
    const struct config_node *trusted;
};
static const struct schema_key proxy_keys[] = {
    {.name = "trusted",
     .type = SCHEMA_LIST,
     .offset = offsetof(struct proxy_section, trusted),
     .is_required = true},
};
static const struct schema proxy_schema = {.name = "proxy_protocol",
                                           .title = "in a listener's `proxy_protocol`",
                                           .prefix = "proxy_protocol.",
                                           .keys = proxy_keys,
                                           .key_count = 1};

struct admin_section {
    const struct config_node *address;
    const struct config_node *token_file;
};

static const struct schema_key admin_keys[] = {
    {.name = "address",
     .type = SCHEMA_SCALAR,
     .offset = offsetof(struct admin_section, address),
     .is_required = true},
    {.name = "token_file",
     .type = SCHEMA_SCALAR,
     .offset = offsetof(struct admin_section, token_file)},
};
static const struct schema admin_schema = {
    .name = "admin", .title = "in `admin`", .prefix = "admin.", .keys = admin_keys, .key_count = 2};

static bool address_read(struct config_reader *reader, const char *name,
                         const struct config_node *node, struct config_address *address) {
    const char *problem = value_address(node->text, address);
    if (problem != NULL) {
        config_error(reader, node->place, "`%s` is %s, which %s", name,
                     config_quote(node->text).text, problem);
    }
    return problem == NULL;
}

// Ranges of addresses. 0: there are none, or an error was added.
static uint32_t ranges_read(struct config_reader *reader, const char *name,
                            const struct config_node *list, const struct address_range **items) {
    if (list == NULL || !schema_is_short(reader, name, list, TRUSTED_MAX)) {
        return 0;
    }
    struct address_range *ranges =
        config_keep(reader, sizeof(struct address_range) * (list->child_count + 1));
    char entry[64];
    snprintf(entry, sizeof(entry), "%s[]", name);
    uint32_t count = 0;
    for (const struct config_node *node = list->child; ranges != NULL && node != NULL;
         node = node->next) {
        if (!schema_is_kind(reader, entry, node, CONFIG_NODE_SCALAR)) {
            continue;
        }
        if (!address_range_parse(node->text, &ranges[count])) {
            config_error(reader, node->place,
                         "`%s` is %s, which is not an address range; write it such as "
                         "10.0.0.0/8 or \"fd00::/8\", without address bits behind the prefix",
                         entry, config_quote(node->text).text);
            continue;
        }
        count++;
    }
    *items = ranges;
    return count;
}

static void proxy_read(struct config_reader *reader, const struct config_node *map,
                       struct config_proxy *proxy) {
    if (map == NULL) {
        return;
    }
    struct proxy_section section = {.trusted = NULL};
    schema_read(reader, &proxy_schema, map, &section);
    proxy->trusted_count =
        ranges_read(reader, "proxy_protocol.trusted", section.trusted, &proxy->trusted);
    if (section.trusted != NULL && section.trusted->child_count == 0) {
        config_error(reader, section.trusted->place,
                     "`proxy_protocol.trusted` is empty, so that nobody could connect; write the "
                     "addresses of your load balancers, such as [10.0.0.0/8]");
    }
}

void config_listeners_read(struct config_reader *reader, const struct config_node *list,
                           struct config *config) {
    if (list == NULL || !schema_is_short(reader, "listeners", list, LISTENERS_MAX)) {
        return;
    }
    if (list->child_count == 0) {
        config_error(reader, list->place,
                     "`listeners` is empty; add one such as - address: 127.0.0.1:8080");
    }
    struct config_listener *listeners =
        config_keep(reader, sizeof(struct config_listener) * list->child_count);
    if (listeners == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        struct listener_section section = {0};
        if (!schema_is_kind(reader, "listeners[]", node, CONFIG_NODE_MAP)) {
            continue;
        }
        schema_read(reader, &listener_schema, node, &section);
        struct config_listener *listener = &listeners[count];
        config_tls_read(reader, section.tls, &listener->tls);
        proxy_read(reader, section.proxy_protocol, &listener->proxy);
        if (section.address != NULL &&
            address_read(reader, "listeners[].address", section.address, &listener->address)) {
            listener->place = section.address->place;
            count++;
        }
    }
    config->listeners = listeners;
    config->listener_count = count;
}

static bool is_white(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct span trim(struct span text) {
    while (text.length > 0 && is_white(text.data[0])) {
        text = span_from(text, 1);
    }
    while (text.length > 0 && is_white(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

// It is sent as `Authorization: Bearer TOKEN`, so it is one visible word.
static bool is_token(struct span token) {
    bool is_valid = token.length > 0 && token.length <= TOKEN_BYTES_MAX;
    for (uint32_t i = 0; i < token.length; i++) {
        is_valid = is_valid && token.data[i] > ' ' && token.data[i] < 0x7f;
    }
    return is_valid;
}

bool config_file_load(struct config_reader *reader, const char *name,
                      const struct config_node *node, struct span *bytes) {
    char path[CONFIG_TEXT_BYTES_MAX + 1];
    if (node->text.length == 0 || span_find(node->text, 0) >= 0) {
        config_error(reader, node->place, "`%s` names no file; write its path", name);
        return false;
    }
    memcpy(path, node->text.data, node->text.length);
    path[node->text.length] = 0;
    *bytes = span_empty();
    int status = reader->source->load(reader->source->context, path, bytes);
    if (status < 0) {
        config_error(reader, node->place,
                     "`%s` %s cannot be read: %s; create it, or correct the path", name,
                     config_quote(node->text).text, strerror(-status));
    }
    return status >= 0;
}

void config_file_keep(struct config_reader *reader, const char *name,
                      const struct config_node *node, struct span *bytes) {
    struct span lent;
    if (node == NULL || !config_file_load(reader, name, node, &lent)) {
        return;
    }
    uint8_t *copy = config_keep(reader, (uint64_t)lent.length + 1);
    if (copy != NULL) {
        memcpy(copy, lent.data, lent.length);
        *bytes = span_make(copy, lent.length);
    }
}

static void token_read(struct config_reader *reader, const struct config_node *node,
                       struct span *token) {
    struct span bytes;
    if (!config_file_load(reader, "admin.token_file", node, &bytes)) {
        return;
    }
    bytes = trim(bytes);
    if (!is_token(bytes)) {
        static_assert(TOKEN_BYTES_MAX == 256, "the message says 256");
        config_error(reader, node->place,
                     "`admin.token_file` %s holds no token; write one word of 1 to 256 visible "
                     "ASCII characters into it",
                     config_quote(node->text).text);
        return;
    }
    uint8_t *copy = config_keep(reader, bytes.length);
    if (copy != NULL) {
        memcpy(copy, bytes.data, bytes.length);
        *token = span_make(copy, bytes.length);
    }
}

void config_admin_read(struct config_reader *reader, const struct config_node *map,
                       struct config *config) {
    if (map == NULL) {
        return;
    }
    struct admin_section section = {0};
    schema_read(reader, &admin_schema, map, &section);
    if (section.token_file != NULL) {
        token_read(reader, section.token_file, &config->admin.token);
        config->admin.token_path = section.token_file->text;
    }
    if (section.address == NULL ||
        !address_read(reader, "admin.address", section.address, &config->admin.address)) {
        return;
    }
    config->admin.place = section.address->place;
    config->admin.is_present = true;
    if (!address_is_loopback(&config->admin.address.address) && section.token_file == NULL) {
        config_error(reader, section.address->place,
                     "`admin.address` is reachable from other machines and needs a token; add "
                     "`token_file`, or write 127.0.0.1");
    }
}

void config_trusted_read(struct config_reader *reader, const struct config_node *list,
                         struct config *config) {
    config->trusted_count = ranges_read(reader, "trusted", list, &config->trusted);
}
