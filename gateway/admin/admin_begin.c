// What each endpoint starts with, and the small parsers that they share.
#include <jansson.h>

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/base/utf8.h"
#include "core/ws/close.h"
#include "core/ws/frame.h"
#include "gateway/admin/internal.h"
#include "gateway/auth/json_memory.h"
#include "gateway/route/route.h"

// A number of at most nine digits in front of *text, up to `end` or (0) the end of the text.
static bool number_take(struct span *text, uint8_t end, uint64_t max, uint64_t *value) {
    uint32_t at = 0;
    *value = 0;
    for (; at < text->length && text->data[at] >= '0' && text->data[at] <= '9'; at++) {
        *value = *value * 10 + (uint64_t)(text->data[at] - '0');
        if (*value > max) {
            return false;
        }
    }
    bool is_ended = end == 0 ? at == text->length : at < text->length && text->data[at] == end;
    if (at == 0 || !is_ended) {
        return false;
    }
    *text = span_from(*text, end == 0 ? at : at + 1);
    return true;
}

bool admin_id_parse(struct span text, struct admin_id *id) {
    uint64_t worker;
    uint64_t index;
    uint64_t generation;
    bool is_fine = number_take(&text, '-', WORKERS_MAX - 1, &worker) &&
                   number_take(&text, '-', CONNECTIONS_MAX, &index) &&
                   number_take(&text, 0, UINT32_MAX, &generation);
    if (is_fine) {
        *id = (struct admin_id){.worker = (uint32_t)worker,
                                .index = (uint32_t)index,
                                .generation = (uint32_t)generation};
    }
    return is_fine;
}

bool admin_parameter(struct admin *admin, const char *name, char *target, uint32_t room,
                     uint32_t *length) {
    struct span raw;
    if (!route_query_find(admin->options.clients->conns.request.query, name, &raw)) {
        return false;
    }
    struct span_mut decoded = {.data = (uint8_t *)target, .length = room};
    if (!route_query_decode(raw, &decoded)) {
        return false;
    }
    *length = decoded.length;
    return true;
}

uint8_t *admin_content(const json_t *object, uint32_t *length, uint8_t *opcode,
                       const char **problem) {
    const json_t *text = json_object_get(object, "text");
    const json_t *base64 = json_object_get(object, "base64");
    *problem = "one of text and base64 is needed, a string";
    bool is_text = json_is_string(text) && base64 == NULL;
    if (!is_text && !(json_is_string(base64) && text == NULL)) {
        return NULL;
    }
    struct span source = span_make(json_string_value(is_text ? text : base64),
                                   (uint32_t)json_string_length(is_text ? text : base64));
    uint8_t *bytes = malloc((size_t)source.length + 4);
    *problem = "out of memory";
    if (bytes == NULL) {
        return NULL;
    }
    *opcode = is_text ? WS_TEXT : WS_BINARY;
    if (is_text) {
        memcpy(bytes, source.data, source.length); // jansson has checked that it is UTF-8
        *length = source.length;
        return bytes;
    }
    int64_t decoded =
        base64_decode(source, (struct span_mut){.data = bytes, .length = source.length + 4});
    *problem = "malformed base64";
    if (decoded < 0) {
        free(bytes);
        return NULL;
    }
    *length = (uint32_t)decoded;
    return bytes;
}

static void wish(struct admin *admin, struct admin_request *request, enum admin_wish_kind kind,
                 uint64_t over_ms) {
    check(admin->wish_count < ADMIN_PENDING_MAX); // one per pending request
    request->due_ms = 0;
    uint32_t number = (request->serial & 0xffff) << 16 | (admin_slot(admin, request) + 1);
    admin->wishes[admin->wish_count++] =
        (struct admin_wish){.kind = kind, .request = number, .over_ms = over_ms};
}

// "90s", "1h", "250ms": as in the configuration.
static bool duration_parse(struct span text, uint64_t *ms) {
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint32_t digits = 0;
    uint64_t value = 0;
    for (; digits < text.length && text.data[digits] >= '0' && text.data[digits] <= '9'; digits++) {
        value = value * 10 + (uint64_t)(text.data[digits] - '0');
        if (value > TIME_MS_MAX) {
            return false;
        }
    }
    for (uint32_t i = 0; i < 4 && digits > 0; i++) {
        if (span_is(span_from(text, digits), units[i].unit)) {
            *ms = value * units[i].ms;
            return *ms <= TIME_MS_MAX;
        }
    }
    return false;
}

void admin_drain_body(struct admin *admin, struct admin_request *request, struct span body) {
    uint64_t over_ms = admin->options.config->drain_ms;
    if (body.length > 0) {
        struct json_document document;
        json_document_open(&document, body, 0);
        const json_t *object = document.root;
        const json_t *over = json_object_get(object, "over");
        bool is_fine =
            json_is_object(object) &&
            (over == NULL || (json_is_string(over) &&
                              duration_parse(span_text(json_string_value(over)), &over_ms)));
        bool is_short = document.is_short;
        json_document_close(&document);
        if (is_short) {
            admin_error(admin, request, 503, "out of memory");
            return;
        }
        if (!is_fine) {
            admin_error(admin, request, 400,
                        "the body must be {\"over\":\"TIME\"}, a time as 90s or 1h, at most 480h");
            return;
        }
    }
    wish(admin, request, ADMIN_WISH_DRAIN, over_ms);
}

static void trace_begin(struct admin *admin, struct admin_request *request) {
    for (uint32_t i = 0; i < admin->options.worker_count; i++) {
        admin_call(admin, request, i, (struct mail){.words = {0, CALL_TRACE}}, span_empty());
    }
}

static uint16_t close_code_parameter(struct admin *admin, bool *is_fine) {
    char text[8];
    uint32_t length = 0;
    *is_fine = true;
    if (!admin_parameter(admin, "code", text, sizeof text, &length)) {
        struct span raw;
        *is_fine = !route_query_find(admin->options.clients->conns.request.query, "code", &raw);
        return 1000;
    }
    struct span digits = span_make(text, length);
    uint64_t code = 0;
    *is_fine = number_take(&digits, 0, 4999, &code) && ws_close_code_is_valid((uint16_t)code);
    return (uint16_t)code;
}

static void connection_close_begin(struct admin *admin, struct admin_request *request) {
    bool is_fine;
    uint16_t code = close_code_parameter(admin, &is_fine);
    char reason[123];
    uint32_t reason_bytes = 0;
    struct span raw;
    bool has_reason = route_query_find(admin->options.clients->conns.request.query, "reason", &raw);
    if (has_reason && (!admin_parameter(admin, "reason", reason, sizeof reason, &reason_bytes) ||
                       !utf8_is_valid(span_make(reason, reason_bytes)))) {
        admin_error(admin, request, 400, "reason must be UTF-8 of at most 123 bytes");
        return;
    }
    if (!is_fine) {
        admin_error(admin, request, 400,
                    "code must be one that may be sent: 1000-1003, 1007-1014 or 3000-4999");
        return;
    }
    struct mail mail = {
        .words = {0, CALL_CLOSE, 0, request->id.index, request->id.generation, code}};
    admin_call(admin, request, request->id.worker, mail, span_make(reason, reason_bytes));
}

void admin_begin(struct admin *admin, struct admin_request *request) {
    switch (request->endpoint) {
    case ADMIN_METRICS:
        admin_metrics_begin(admin, request);
        return;
    case ADMIN_CHANNELS:
        admin_channels_begin(admin, request);
        return;
    case ADMIN_CONNECTIONS:
        admin_connections_begin(admin, request);
        return;
    case ADMIN_CLOSE_MATCHING:
        admin_close_matching_begin(admin, request);
        return;
    case ADMIN_CONNECTION_SHOW:
        admin_connection_begin(admin, request);
        return;
    case ADMIN_CONNECTION_CLOSE:
        if (request->id.worker >= admin->options.worker_count) {
            admin_error(admin, request, 404, "no such connection");
            return;
        }
        connection_close_begin(admin, request);
        return;
    case ADMIN_RELOAD:
        wish(admin, request, ADMIN_WISH_RELOAD, 0);
        return;
    case ADMIN_TRACE:
        trace_begin(admin, request);
        return;
    default: // those with a body begin with it
        admin_error(admin, request, 500, "endpoint without a beginning");
        return;
    }
}

void admin_on_body(struct admin *admin, struct admin_request *request, struct span body) {
    switch (request->endpoint) {
    case ADMIN_PUBLISH:
        admin_publish_body(admin, request, body);
        return;
    case ADMIN_CONNECTION_SEND:
        admin_send_body(admin, request, body);
        return;
    case ADMIN_DRAIN:
        admin_drain_body(admin, request, body);
        return;
    default:
        admin_error(admin, request, 500, "endpoint without a body");
        return;
    }
}
