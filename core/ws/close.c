// Close payloads (RFC 6455 5.5.1): a code in network order, then a reason in UTF-8.
#include "core/ws/close.h"

#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/utf8.h"

#include "core/base/pure.h"

enum { CODE_BYTES = 2, REASON_BYTES_MAX = CONTROL_BYTES_MAX - CODE_BYTES };

static uint32_t reason_cut(struct span reason);

bool ws_close_code_is_valid(uint16_t code) {
    // 1004 is reserved; 1005, 1006 and 1015 are never on the wire; 1012 to 1014 came later, by
    // registration (IANA WebSocket Close Code Number Registry).
    bool is_protocol = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
    return is_protocol || (code >= 3000 && code <= 4999);
}

const struct fault *ws_close_decode(struct span payload, uint16_t *code, struct span *reason) {
    check(payload.length <= CONTROL_BYTES_MAX); // the frame decoder saw to it
    *code = WS_CLOSE_NONE;
    *reason = span_empty();
    if (payload.length == 0) {
        return NULL;
    }
    if (payload.length < CODE_BYTES) {
        return fault_get(FAULT_close_length);
    }
    uint16_t sent = (uint16_t)(payload.data[0] << 8 | payload.data[1]);
    if (!ws_close_code_is_valid(sent)) {
        return fault_get(FAULT_close_code);
    }
    struct span text = span_from(payload, CODE_BYTES);
    if (!utf8_is_valid(text)) {
        return fault_get(FAULT_close_utf8);
    }
    *code = sent;
    *reason = text;
    return NULL;
}

uint32_t ws_close_encode(uint8_t target[125], uint16_t code, struct span reason) {
    if (code == WS_CLOSE_NONE) {
        return 0;
    }
    check(ws_close_code_is_valid(code));
    target[0] = (uint8_t)(code >> 8);
    target[1] = (uint8_t)code;
    uint32_t length = reason_cut(reason);
    if (length > 0) {
        memcpy(target + CODE_BYTES, reason.data, length);
    }
    return CODE_BYTES + length;
}

// How much of the reason fits, without cutting a character.
static uint32_t reason_cut(struct span reason) {
    if (reason.length <= REASON_BYTES_MAX) {
        return reason.length;
    }
    uint32_t length = REASON_BYTES_MAX;
    while (length > 0 && (reason.data[length] & 0xc0) == 0x80) { // inside a character: step back
        length--;
    }
    return length;
}
