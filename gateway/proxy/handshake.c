// The opening handshake with a service (RFC 6455 4.1): what is asked for, and whether its 101 is an
// answer to that. A key of our own, so that no client knows the Sec-WebSocket-Accept in advance and
// makes a service that speaks no WebSocket send it.
#include "gateway/proxy/internal.h"

#include "core/base/check.h"
#include "core/base/digest.h"

uint64_t proxy_secret_next(struct proxy *proxy) {
    uint64_t number = proxy->secret_count++;
    return siphash(proxy->secret_key, span_make(&number, sizeof number));
}

static bool is_offered(const struct config_route *route, struct span name) {
    for (uint32_t i = 0; i < route->subprotocols.count; i++) {
        if (span_equal(route->subprotocols.items[i], name)) {
            return true;
        }
    }
    return route->subprotocols.count == 0; // a route without a list is for any
}

// What the client offers and the route lets through, as one list.
static void offers_put(struct http_writer *writer, const struct http_request *request,
                       const struct config_route *route) {
    struct http_list_cursor cursor = {.field = NULL};
    struct span name;
    while (http_subprotocol_next(request, &cursor, &name)) {
        if (is_offered(route, name)) {
            http_put(writer, span_text(writer->length > 0 ? ", " : ""));
            http_put(writer, name);
        }
    }
}

static uint32_t offers_bytes_max(const struct http_request *request) {
    uint32_t bytes = 0;
    struct http_list_cursor cursor = {.field = NULL};
    struct span name;
    while (http_subprotocol_next(request, &cursor, &name)) {
        bytes += name.length + 2;
    }
    return bytes;
}

uint32_t handshake_open(struct proxy *proxy, const struct http_request *request,
                        const struct config_route *route) {
    uint32_t room = offers_bytes_max(request);
    uint32_t block = arena_take(proxy->arena, sizeof(struct handshake) + (uint64_t)room);
    if (block == 0) {
        return 0;
    }
    struct handshake *handshake = handshake_at(proxy, block);
    uint64_t nonce[2] = {proxy_secret_next(proxy), proxy_secret_next(proxy)};
    struct span_mut key = {.data = handshake->key, .length = sizeof handshake->key};
    check(base64_encode(span_make(nonce, sizeof nonce), key) == sizeof handshake->key);
    struct http_writer writer = {.data = (uint8_t *)(handshake + 1), .room = room};
    offers_put(&writer, request, route);
    check(!writer.is_over);
    handshake->offers_bytes = writer.length;
    return block;
}

struct span handshake_offers(const struct handshake *handshake) {
    return span_make(handshake + 1, handshake->offers_bytes);
}

// The only field of that name; NULL: there is none, or more than one.
static const struct http_field *field_single(const struct http_response *response,
                                             const char *name) {
    const struct http_field *field = http_response_field_find(response, name, NULL);
    bool is_single = field != NULL && http_response_field_find(response, name, field) == NULL;
    return is_single ? field : NULL;
}

static bool lists(struct span list, struct span wanted) {
    struct span name;
    while (http_list_next(&list, &name)) {
        if (span_equal(name, wanted)) {
            return true;
        }
    }
    return false;
}

const struct fault *handshake_check(const struct handshake *handshake,
                                    const struct http_response *response,
                                    struct span *subprotocol) {
    const struct fault *wrong = fault_get(FAULT_handshake_wrong);
    uint8_t wanted[WEBSOCKET_ACCEPT_BYTES];
    http_upgrade_accept(span_make(handshake->key, sizeof handshake->key), wanted);
    const struct http_field *upgrade = field_single(response, "upgrade");
    const struct http_field *accept = field_single(response, "sec-websocket-accept");
    // HTTP/1.0 knows neither 1xx nor upgrades (RFC 9110 7.8, 15.2).
    bool is_switch =
        response->status == 101 && response->version_minor == 1 && response->has_upgrade;
    bool is_exact = is_switch && upgrade != NULL && span_is_nocase(upgrade->value, "websocket") &&
                    accept != NULL && span_equal(accept->value, span_make(wanted, sizeof wanted));
    // None was offered.
    if (!is_exact || http_response_field_find(response, "sec-websocket-extensions", NULL) != NULL) {
        return wrong;
    }
    *subprotocol = span_empty();
    if (http_response_field_find(response, "sec-websocket-protocol", NULL) != NULL) {
        const struct http_field *chosen = field_single(response, "sec-websocket-protocol");
        if (chosen == NULL || !lists(handshake_offers(handshake), chosen->value)) {
            return wrong;
        }
        *subprotocol = chosen->value;
    }
    return NULL;
}
