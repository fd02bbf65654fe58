// The offers of permessage-deflate in Sec-WebSocket-Extensions (RFC 7692 7.1), server side. Ours is
// without context takeover, which a server may ask for whatever was offered (7.1.1.1, 7.1.1.2): of
// the client always, of itself unless its owner says otherwise. Pure.
#pragma once
#include "core/http/request.h"

enum {
    HTTP_DEFLATE_BITS_MIN = 8, // a window is 2^8 to 2^15 bytes (RFC 7692 7.1.2)
    HTTP_DEFLATE_BITS_MAX = 15,
    HTTP_DEFLATE_ANSWER_BYTES_MAX = 112,
};

struct http_deflate_terms {
    uint8_t server_window_bits; // what the client keeps for us: we look back no farther than 2^N
    bool has_server_bits;       // it asked, so that the answer must say it
    bool may_take_over;         // it lets us go on with our window from message to message
    bool takes_over;            // we will: set by the owner before the answer is written
};

// Takes the first offer that is valid, in the client's order over all fields; others are declined:
// an unknown or doubled parameter, a value where none belongs or none where one does, a window that
// is no number from 8 to 15 as the RFC writes it. The request passed http_upgrade_check. False:
// there is none, or the client is known to break its word (Tornado's).
bool http_deflate_accept(const struct http_request *request, struct http_deflate_terms *terms);
// Writes the answer's element of Sec-WebSocket-Extensions; returns its length.
uint32_t http_deflate_answer(struct http_deflate_terms terms,
                             uint8_t target[HTTP_DEFLATE_ANSWER_BYTES_MAX]);
