// Refusals: what each status owes besides its text (RFC 9110 15.5, RFC 6455 4.4).
#include "core/base/check.h"
#include "core/http/reply.h"

#include "core/base/pure.h"

const char *http_status_text(uint16_t status) {
    static const struct {
        uint16_t status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (uint32_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Unknown";
}

// What the status owes. A retry time is written into `digits`, which must outlive the reply.
static void refusal_add_fields(struct http_reply *reply, const struct http_refusal *refusal,
                               struct span_mut digits) {
    switch (refusal->fault->http_status) {
    case 401:
        http_reply_add(reply, "WWW-Authenticate", span_text("Bearer"));
        break;
    case 405: // RFC 9110 15.5.6: Allow is a must
        if (refusal->fault->id == FAULT_upgrade_method && refusal->allow == NULL) {
            http_reply_add(reply, "Allow", span_text("GET"));
            break;
        }
        check(refusal->allow != NULL);
        http_reply_add(reply, "Allow", span_text(refusal->allow));
        break;
    case 426:
        http_reply_add(reply, "Upgrade", span_text("websocket"));
        http_reply_add(reply, "Connection", span_text("Upgrade"));
        http_reply_add(reply, "Sec-WebSocket-Version", span_text("13"));
        break;
    case 429:
    case 503: {
        uint32_t start = digits.length;
        uint32_t seconds = refusal->retry_after_s;
        for (; seconds > 0 && start > 0; seconds /= 10) {
            start--;
            digits.data[start] = (uint8_t)('0' + seconds % 10);
        }
        if (refusal->retry_after_s > 0) {
            http_reply_add(reply, "Retry-After",
                           span_make(digits.data + start, digits.length - start));
        }
        break;
    }
    default:
        break;
    }
}

uint32_t http_refusal_write(const struct http_refusal *refusal, struct span_mut target) {
    const struct fault *fault = refusal->fault;
    check(fault->http_status != 0);
    uint8_t text[128];
    uint32_t length = (uint32_t)strlen(fault->text);
    check(length < sizeof text);
    memcpy(text, fault->text, length);
    text[length] = '\n';
    struct http_reply reply = {
        .status = fault->http_status,
        .keep_alive = refusal->keep_alive,
        .is_head = refusal->is_head,
        .date = refusal->date,
        .content_type = span_text("text/plain; charset=utf-8"),
        .body = span_make(text, length + 1),
    };
    // 404, 405, 414 and 501 may otherwise be kept by caches (RFC 9110 15.1).
    http_reply_add(&reply, "Cache-Control", span_text("no-store"));
    uint8_t digits[10];
    refusal_add_fields(&reply, refusal, (struct span_mut){digits, sizeof digits});
    if (refusal->origin.length > 0) {
        http_reply_add(&reply, "Access-Control-Allow-Origin", refusal->origin);
        http_reply_add(&reply, "Vary", span_text("Origin"));
    }
    return http_reply_write(&reply, target);
}
