// What the gateway asks a service, read by RFC 9112 alone, and whether it may ask that: nothing of
// a hop passes, nothing that a client says of who it is, and a body is the one that its client
// brought.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/service.h"

enum { LINE_BYTES_MAX = 64 };

struct request {
    uint32_t hosts, lengths, codings, froms, ids, connections, upgrades, versions, keys, users;
    uint64_t length;
    enum ask_method method;
    uint32_t number;
    bool expects, offers;
    struct span connection;
    struct span user; // who its client is, as the gateway says; empty: it does not say
};

static bool number_read(struct span text, uint32_t base, uint64_t *value) {
    *value = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = memchr(digits, text.data[i] | 0x20, base);
        if (digit == NULL || *value > UINT32_MAX) {
            return false;
        }
        *value = *value * base + (uint64_t)(digit - digits);
    }
    return text.length > 0;
}

// METHOD /web/NUMBER HTTP/1.1
static void line_read(struct service_line *line, struct span text, struct request *request) {
    static const char *const words[] = {
        [ASK_GET] = "GET /", [ASK_HEAD] = "HEAD /", [ASK_POST] = "POST /", [ASK_UPGRADE] = ""};
    uint32_t method = 0;
    while (method < ASK_UPGRADE && (text.length < strlen(words[method]) ||
                                    memcmp(text.data, words[method], strlen(words[method])) != 0)) {
        method++;
    }
    request->method = (enum ask_method)method;
    text = span_from(text, (uint32_t)strlen(words[method]));
    int64_t slash = span_find(text, '/');
    int64_t space = span_find(text, ' ');
    uint64_t number = 0;
    bool is_legal =
        method < ASK_UPGRADE && slash > 0 && space > slash &&
        number_read(span_make(text.data + slash + 1, (uint32_t)(space - slash - 1)), 10, &number) &&
        span_is(span_from(text, (uint32_t)space), " HTTP/1.1");
    if (!is_legal) {
        service_fail(line, "a request line that nobody asked for");
    }
    request->number = (uint32_t)number;
}

static bool is_of_us(struct span name) { // what clients.c sends and may not pass
    return span_is_nocase(name, "x-hop") || span_is_nocase(name, "meta-user") ||
           span_is_nocase(name, "grip-sig") || span_is_nocase(name, "keep-alive");
}

static void field_keep(struct service_line *line, struct request *request, struct span name,
                       struct span value) {
    const struct {
        const char *name;
        uint32_t *count;
    } counted[] = {{"host", &request->hosts},
                   {"content-length", &request->lengths},
                   {"transfer-encoding", &request->codings},
                   {"x-forwarded-for", &request->froms},
                   {"x-request-id", &request->ids},
                   {"connection", &request->connections},
                   {"upgrade", &request->upgrades},
                   {"sec-websocket-version", &request->versions},
                   {"sec-websocket-key", &request->keys},
                   {"x-user", &request->users}};
    for (uint32_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
        *counted[i].count += span_is_nocase(name, counted[i].name);
    }
    bool is_right = !is_of_us(name);
    if (span_is_nocase(name, "host")) {
        is_right = span_is(value, "gateway.test");
    } else if (span_is_nocase(name, "content-length")) {
        is_right = number_read(value, 10, &request->length);
    } else if (span_is_nocase(name, "transfer-encoding")) {
        is_right = span_is(value, "chunked");
    } else if (span_is_nocase(name, "x-user")) {
        request->user = value;
    } else if (span_is_nocase(name, "connection")) {
        request->connection = value;
    } else if (span_is_nocase(name, "upgrade")) {
        is_right = span_is(value, "websocket");
    } else if (span_is_nocase(name, "expect")) {
        request->expects = span_is(value, "100-continue");
        is_right = request->expects;
    } else if (span_is_nocase(name, "sec-websocket-key") && value.length == DECODER_KEY_BYTES) {
        memcpy(line->key, value.data, DECODER_KEY_BYTES);
    } else if (span_is_nocase(name, "sec-websocket-protocol")) {
        request->offers = true;
    } else if (span_is_nocase(name, "sec-websocket-extensions")) {
        is_right = false; // messages are framed anew
    }
    if (!is_right) {
        service_fail(line, "a field that may not pass");
    }
}

static void field_read(struct service_line *line, struct request *request, struct span text) {
    int64_t colon = span_find(text, ':');
    if (colon <= 0 || text.length < (uint32_t)colon + 2 || text.data[colon + 1] != ' ') {
        service_fail(line, "a field without a name");
    }
    field_keep(line, request, span_first(text, (uint32_t)colon),
               span_from(text, (uint32_t)colon + 2));
}

static void head_judge(struct service_line *line, const struct request *request) {
    bool is_upgrade = request->connections == 1;
    bool is_right = request->hosts == 1 && request->froms == 1 && request->ids == 1 &&
                    request->lengths + request->codings <= 1;
    if (is_upgrade) {
        is_right = is_right && span_is_nocase(request->connection, "upgrade") &&
                   request->upgrades == 1 && request->versions == 1 && request->keys == 1;
    } else {
        is_right = is_right && request->connections + request->upgrades + request->keys == 0;
    }
    if (!is_right) {
        service_fail(line, "a head that is not in order");
    }
    const struct ask *ask = service_ask(line);
    if (ask->guest != 0 && request->users <= 1) {
        guests_judge_in(&line->services->guests, ask->guest, request->user);
    }
    bool is_its = request->users <= (ask->guest != 0) &&
                  ask->method == (is_upgrade ? ASK_UPGRADE : request->method) &&
                  (request->lengths == 0 || request->length == ask->body_bytes);
    if (!is_its) {
        service_fail(line, "another request than its client made");
    }
}

// The last one of the connection has been served: this one begins. False: the service goes.
static bool begin(struct service_line *line, const struct request *request) {
    struct asks *asks = &line->services->asks;
    if (line->out_first < line->out_bytes && !line->is_forged) {
        service_fail(line, "a request behind one whose answer is not all there");
    }
    struct ask *ask = asks_arrive(asks, request->number, line->connection, line->requests);
    line->ask = request->number;
    line->requests++;
    ask->was_forged = line->is_forged;
    if (line->is_forged) {
        ask->deed = SIM_FAULT_service_says_more;
        service_drop(line);
        return false;
    }
    if (line->requests > 1 && service_does(line, SIM_FAULT_service_drops_kept)) {
        service_drop(line);
        return false;
    }
    return true;
}

static void head_done(struct service_line *line, const struct request *request) {
    head_judge(line, request);
    line->is_upgrade = request->connections == 1;
    line->expects = request->expects;
    line->offers = request->offers;
    line->body_at = 0;
    line->body_left = request->length;
    if (line->is_upgrade) {
        service_upgrade(line);
        return;
    }
    bool has_body = request->codings > 0 || request->length > 0;
    line->phase = request->codings > 0  ? SERVICE_CHUNK_LINE
                  : request->length > 0 ? SERVICE_BODY
                                        : SERVICE_ANSWERING;
    line->is_early = has_body && service_below(line, 10) == 0;
    if (!has_body || line->is_early) {
        service_answer(line);
    } else if (request->expects) {
        service_text(line, "HTTP/1.1 100 Continue\r\n\r\n");
        service_flush(line);
    }
}

static uint32_t head_take(struct service_line *line, struct span bytes) {
    const uint8_t *end = memmem(bytes.data, bytes.length, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    uint32_t length = (uint32_t)(end - bytes.data) + 4;
    if (service_is_check(bytes)) {
        service_check(line, span_first(bytes, length));
        return length;
    }
    struct span rest = span_first(bytes, length - 2);
    struct request request = {.method = ASK_GET};
    bool is_first = true;
    while (rest.length > 0) {
        int64_t at = span_find(rest, '\n');
        check(at >= 0); // the empty line is behind it
        if (at == 0 || rest.data[at - 1] != '\r') {
            service_fail(line, "LF without CR");
        }
        struct span text = span_first(rest, (uint32_t)at - 1);
        if (is_first) {
            line_read(line, text, &request);
        } else {
            field_read(line, &request, text);
        }
        is_first = false;
        rest = span_from(rest, (uint32_t)at + 1);
    }
    if (begin(line, &request)) {
        head_done(line, &request);
    }
    return length;
}

// --- the body

static uint32_t body_take(struct service_line *line, struct span bytes) {
    uint32_t length = bytes.length < line->body_left ? bytes.length : (uint32_t)line->body_left;
    if (!ask_is_filled(line->ask, ASK_UP, 0, (uint32_t)line->body_at, span_first(bytes, length))) {
        service_fail(line, "a body that its client did not send");
    }
    line->body_at += length;
    line->body_left -= length;
    return length;
}

static void body_end(struct service_line *line) {
    if (line->body_at != service_ask(line)->body_bytes) {
        service_fail(line, "a body of another length than its client sent");
    }
    line->phase = line->is_early ? SERVICE_HEAD : SERVICE_ANSWERING;
    if (!line->is_early) {
        service_answer(line);
    }
}

static uint32_t chunk_line_take(struct service_line *line, struct span bytes) {
    int64_t end = span_find(bytes, '\n');
    if (end < 0 && bytes.length < LINE_BYTES_MAX) {
        return 0;
    }
    uint64_t size = 0;
    bool is_size = end > 1 && bytes.data[end - 1] == '\r' &&
                   number_read(span_first(bytes, (uint32_t)end - 1), 16, &size);
    if (!is_size) {
        service_fail(line, "a chunk without a size");
    }
    line->body_left = size;
    line->phase = size > 0 ? SERVICE_CHUNK_BODY : SERVICE_CHUNK_END;
    return (uint32_t)end + 1;
}

static uint32_t chunk_end_take(struct service_line *line, struct span bytes, bool is_last) {
    if (bytes.length < 2) {
        return 0;
    }
    if (memcmp(bytes.data, "\r\n", 2) != 0) {
        service_fail(line, "a chunk of another size than it says");
    }
    line->phase = SERVICE_CHUNK_LINE;
    if (is_last) {
        body_end(line);
    }
    return 2;
}

uint32_t service_request(struct service_line *line, struct span bytes) {
    uint32_t taken = 0;
    switch ((enum service_phase)line->phase) {
    case SERVICE_HEAD:
        return head_take(line, bytes);
    case SERVICE_BODY:
        taken = body_take(line, bytes);
        if (line->body_left == 0) {
            body_end(line);
        }
        return taken;
    case SERVICE_CHUNK_LINE:
        return chunk_line_take(line, bytes);
    case SERVICE_CHUNK_BODY:
        taken = line->body_left > 0 ? body_take(line, bytes) : 0;
        return taken > 0 ? taken : chunk_end_take(line, bytes, false);
    case SERVICE_CHUNK_END:
        return chunk_end_take(line, bytes, true);
    default:
        service_fail(line, "bytes behind a request that was not answered yet");
    }
}
