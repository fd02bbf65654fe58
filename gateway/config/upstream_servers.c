// An upstream's servers: by address, by name or by the path of a Unix socket.
#include "gateway/config/sections.h"
#include "gateway/config/value.h"

#include <stdio.h>

enum {
    HTTP_PORT = 80,
    HTTPS_PORT = 443,
    LABEL_BYTES_MAX = 63, // RFC 1035 2.3.4
};

static bool begins_with(struct span text, const char *start) {
    struct span wanted = span_text(start);
    return text.length >= wanted.length && span_equal(span_first(text, wanted.length), wanted);
}

static bool is_label_byte(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

static bool is_number(struct span text) {
    uint64_t unused;
    uint32_t zeros = 0;
    while (zeros + 1 < text.length && text.data[zeros] == '0') {
        zeros++;
    }
    return value_count(span_from(text, zeros), &unused);
}

// A host name: labels of letters, digits, `-` and `_`. One whose last label is a number is not
// one, but an address that is wrong (RFC 1123 2.1).
static bool is_name(struct span host) {
    bool is_complete = host.length > 0 && host.data[host.length - 1] == '.';
    struct span name = span_first(host, host.length - is_complete);
    uint32_t label_start = 0;
    for (uint32_t i = 0; i < name.length; i++) {
        uint32_t label_bytes = i - label_start;
        if (name.data[i] == '.' && label_bytes > 0) {
            label_start = i + 1;
        } else if (!is_label_byte(name.data[i]) || label_bytes == LABEL_BYTES_MAX) {
            return false;
        }
    }
    bool ends_well = label_start < name.length && !is_number(span_from(name, label_start));
    return ends_well && host.length <= RESOLVE_HOST_BYTES_MAX;
}

// NULL, or what is wrong with the port of a server by name.
static const char *name_read(struct span text, struct config_server *server) {
    int64_t colon = span_find(text, ':');
    uint64_t port;
    if (!value_count(span_from(text, (uint32_t)colon + 1), &port) || port == 0 ||
        port > UINT16_MAX) {
        return "has no port of 1 to 65535; write it such as http://orders.example:8000";
    }
    server->host = span_first(text, (uint32_t)colon);
    server->address.address = (struct address){.kind = ADDRESS_NONE, .port = (uint16_t)port};
    return NULL;
}

// `host:port`, the port may be missing. NULL, or what is wrong.
static const char *authority_read(struct config_reader *reader, struct span authority,
                                  struct config_server *server) {
    bool is_v6 = authority.length > 0 && authority.data[0] == '[';
    bool ends_v6 = authority.length > 0 && authority.data[authority.length - 1] == ']';
    bool has_port = is_v6 ? !ends_v6 : span_find(authority, ':') >= 0;
    struct span text = authority;
    if (!has_port) {
        char *whole = config_keep(reader, authority.length + 5u);
        if (whole == NULL) {
            return NULL; // said at the end
        }
        int length =
            snprintf(whole, authority.length + 5u, "%.*s:%d", (int)authority.length,
                     (const char *)authority.data, server->is_secure ? HTTPS_PORT : HTTP_PORT);
        text = span_make(whole, (uint32_t)length);
    }
    server->authority = authority;
    const char *problem = value_address(text, &server->address);
    if (problem == NULL && server->address.address.kind == ADDRESS_IP) {
        return NULL;
    }
    if (!is_v6 && is_name(span_first(text, (uint32_t)span_find(text, ':')))) {
        return name_read(text, server);
    }
    return "has no address or name behind ://; write it such as http://10.0.0.5:8000 or "
           "http://orders.example:8000";
}

const char *config_server_read(struct config_reader *reader, struct span text,
                               struct config_server *server) {
    if (begins_with(text, "unix:")) {
        const char *problem = value_address(text, &server->address);
        server->authority = span_text("localhost");
        return problem;
    }
    server->is_secure = begins_with(text, "https://");
    if (!server->is_secure && !begins_with(text, "http://")) {
        return "is no server; write http://host:port, https://host:port or unix:/path";
    }
    struct span authority = span_from(text, server->is_secure ? 8 : 7);
    if (span_find(authority, '/') >= 0) {
        return "holds a path; write http://host:port, since requests keep their own path";
    }
    return authority_read(reader, authority, server);
}

static bool server_is_equal(const struct config_server *a, const struct config_server *b) {
    return value_address_is_equal(&a->address, &b->address) && span_equal(a->host, b->host);
}

void config_servers_read(struct config_reader *reader, const struct config_node *list,
                         struct config_upstream *upstream) {
    if (list == NULL || !schema_is_short(reader, "servers", list, UPSTREAM_SERVERS_MAX)) {
        return;
    }
    if (list->child_count == 0) {
        config_error(reader, list->place,
                     "`servers` is empty; add one such as \"http://10.0.0.5:8000\"");
        return;
    }
    struct config_server *servers =
        config_keep(reader, sizeof(struct config_server) * list->child_count);
    if (servers == NULL) {
        return;
    }
    uint32_t count = 0;
    for (const struct config_node *node = list->child; node != NULL; node = node->next) {
        if (!schema_is_kind(reader, "servers[]", node, CONFIG_NODE_SCALAR)) {
            continue;
        }
        servers[count] = (struct config_server){.place = node->place};
        const char *problem = config_server_read(reader, node->text, &servers[count]);
        if (problem != NULL) {
            config_error(reader, node->place, "`servers[]` is %s, which %s",
                         config_quote(node->text).text, problem);
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (server_is_equal(&servers[i], &servers[count])) {
                config_error(reader, node->place, "`servers[]` has %s twice; remove one",
                             config_quote(node->text).text);
            }
        }
        count++;
    }
    upstream->servers = servers;
    upstream->server_count = count;
}
