// The WebSocket opening handshake (RFC 6455 4.2.1), server side: every MUST, strictly. Pure.
#pragma once
#include "core/base/digest.h"
#include "core/http/request.h"

enum { WEBSOCKET_ACCEPT_BYTES = 28 };

// Whether this request asks for an upgrade at all: an Upgrade field listing "websocket" in any
// case. A request whose Upgrade names only other protocols (h2c, TLS) is an ordinary request (RFC
// 9110 7.8: a server may ignore Upgrade).
bool http_wants_websocket(const struct http_request *request);

// Checks the request as a WebSocket handshake: GET, HTTP/1.1, no body (no Transfer-Encoding,
// Content-Length absent or 0), Connection lists upgrade, exactly one Sec-WebSocket-Key of 16 bytes
// in base64, exactly one Sec-WebSocket-Version equal to 13, Sec-WebSocket-Protocol elements are
// unique tokens, Sec-WebSocket-Extensions is well-formed. NULL when fine, and *key is the key's
// text.
const struct fault *http_upgrade_check(const struct http_request *request, struct span *key);
// Writes the 28 bytes of Sec-WebSocket-Accept.
void http_upgrade_accept(struct span key, uint8_t accept_text[WEBSOCKET_ACCEPT_BYTES]);
// Walks the subprotocols that the client offers, in its order, over all fields: *cursor = NULL
// first.
struct http_list_cursor {
    const struct http_field *field;
    struct span rest;
};
bool http_subprotocol_next(const struct http_request *request, struct http_list_cursor *cursor,
                           struct span *name);

// Walks the extensions that the client offers, likewise; *params is for http_param_next.
bool http_extension_next(const struct http_request *request, struct http_list_cursor *cursor,
                         struct span *name, struct span *params);
struct http_param {
    struct span name;
    struct span value; // of a quoted string its inside, escapes not removed
    bool has_value;    // `name=`; without it the value is empty
    bool is_valid;     // token [ "=" ( token | quoted-string holding a token ) ] (RFC 6455 9.1);
                       // always so in a request that passed http_upgrade_check
};
// Takes the next parameter off. False at the end.
bool http_param_next(struct span *params, struct http_param *param);
