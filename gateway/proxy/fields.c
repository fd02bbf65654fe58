// Heads rebuilt from what was parsed: what goes to services, and what comes back.
#include "gateway/proxy/internal.h"

#include "core/base/check.h"
#include "core/hub/payload.h"

#include <stdio.h>

enum {
    HEAD_SPARE_BYTES = 1024,    // for the fields that we add, beside what is repeated
    REQUEST_ID_BYTES_MAX = 128, // longer ones are replaced
    CERTIFICATE_BYTES_MAX = TLS_SUBJECT_BYTES_MAX + TLS_FINGERPRINT_BYTES + 128, // two fields
    TRACEPARENT_BYTES = 55, // 00-<32>-<16>-<2> (W3C Trace Context)
};

// --- which fields pass

static bool is_listed(struct span name, const char *const *names) {
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (span_is_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

void hop_options_read(struct hop_options *options, const struct http_field *fields,
                      uint32_t field_count) {
    options->count = 0;
    const struct http_field *field = http_fields_find(fields, field_count, "connection", NULL);
    while (field != NULL) {
        struct span list = field->value;
        struct span option;
        while (http_list_next(&list, &option)) {
            check(options->count < CONNECTION_OPTIONS_MAX); // of a head that was parsed
            options->items[options->count++] = option;
        }
        field = http_fields_find(fields, field_count, "connection", field);
    }
}

bool hop_has(const struct hop_options *options, struct span name) {
    static const char *const names[] = {"connection",
                                        "keep-alive",
                                        "proxy-connection",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "transfer-encoding",
                                        "content-length",
                                        "http2-settings",
                                        "proxy-authenticate",
                                        "proxy-authorization",
                                        NULL};
    bool is_named = is_listed(name, names);
    for (uint32_t i = 0; !is_named && i < options->count; i++) {
        is_named = span_equal_nocase(options->items[i], name);
    }
    return is_named;
}

// In lower case; `_` counts as `-`: many services cannot tell them apart, since CGI names have only
// the one.
static uint8_t alike_byte(uint8_t byte) {
    byte = byte == '_' ? '-' : byte;
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

// `name` is at least as long as `wanted`.
static bool is_alike(struct span name, struct span wanted) {
    for (uint32_t i = 0; i < wanted.length; i++) {
        if (alike_byte(name.data[i]) != alike_byte(wanted.data[i])) {
            return false;
        }
    }
    return true;
}

// What says who the client is, or speaks for the gateway: believed from trusted peers only.
static bool is_of_trust(struct span name) {
    static const struct {
        const char *text;
        bool is_prefix;
    } rows[] = {{"x-forwarded-", true},   {"forwarded", false}, {"x-real-ip", false},
                {"connection-id", false}, {"grip-", true},      {"meta-", true}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span wanted = span_text(rows[i].text);
        bool fits = rows[i].is_prefix ? name.length >= wanted.length : name.length == wanted.length;
        if (fits && is_alike(name, wanted)) {
            return true;
        }
    }
    return false;
}

// Only we know it, whoever the peer is.
static bool is_certificate(struct span name) {
    struct span wanted = span_text("x-client-certificate-");
    return name.length >= wanted.length && is_alike(name, wanted);
}

// Said by us, whoever the peer is.
static bool is_identity(const struct forward *forward, struct span name) {
    const struct proxy_identity *identity = forward->identity;
    for (uint32_t i = 0; identity != NULL && i < identity->count; i++) {
        if (identity->names[i].length == name.length && is_alike(name, identity->names[i])) {
            return true;
        }
    }
    return false;
}

static void put_identity(struct http_writer *writer, const struct forward *forward) {
    const struct proxy_identity *identity = forward->identity;
    for (uint32_t i = 0; identity != NULL && i < identity->count; i++) {
        if (identity->values[i].length > 0) {
            http_put_field(writer, identity->names[i], identity->values[i]);
        }
    }
}

// Written anew by forward_head, from what the client sent and whether it is trusted.
static bool is_rebuilt(struct span name) {
    static const char *const names[] = {"host",         "x-forwarded-for", "forwarded", "expect",
                                        "x-request-id", "traceparent",     NULL};
    return is_listed(name, names);
}

// Of a handshake, which is made anew; fields of a request that is none pass.
static bool is_of_handshake(const struct forward *forward, struct span name) {
    struct span prefix = span_text("sec-websocket-");
    return forward->handshake != NULL && name.length >= prefix.length && is_alike(name, prefix);
}

static void put_handshake(struct http_writer *writer, const struct handshake *handshake) {
    http_put_text(writer, "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\n");
    http_put_field(writer, span_text("Sec-WebSocket-Key"),
                   span_make(handshake->key, sizeof handshake->key));
    struct span offers = handshake_offers(handshake);
    if (offers.length > 0) {
        http_put_field(writer, span_text("Sec-WebSocket-Protocol"), offers);
    }
}

// --- who the client is

// All values of that name, as one list with our own behind them.
static void put_list(struct http_writer *writer, const struct http_request *request,
                     const char *name, struct span own) {
    http_put_text(writer, name);
    http_put_text(writer, ": ");
    const struct http_field *field = http_field_find(request, name, NULL);
    while (field != NULL) {
        http_put(writer, field->value);
        http_put_text(writer, ", ");
        field = http_field_find(request, name, field);
    }
    http_put(writer, own);
    http_put_text(writer, "\r\n");
}

static void put_own(struct http_writer *writer, const struct forward *forward, const char *name,
                    struct span own) {
    if (forward->is_trusted) {
        put_list(writer, forward->request, name, own);
    } else {
        http_put_field(writer, span_text(name), own);
    }
}

// What a trusted peer has said stays; else it is ours.
static void put_first(struct http_writer *writer, const struct forward *forward, const char *name,
                      struct span own) {
    if (!forward->is_trusted || http_field_find(forward->request, name, NULL) == NULL) {
        http_put_field(writer, span_text(name), own);
    }
}

static void put_client(struct http_writer *writer, const struct forward *forward) {
    char address[ADDRESS_TEXT_BYTES] = "unknown";
    bool is_ip = forward->peer->kind == ADDRESS_IP;
    if (is_ip) {
        address_format(forward->peer, false, address);
        put_own(writer, forward, "X-Forwarded-For", span_text(address));
    } else if (forward->is_trusted && http_field_count(forward->request, "x-forwarded-for") > 0) {
        put_list(writer, forward->request, "X-Forwarded-For", span_text(address));
    }
    const char *proto = forward->is_tls ? "https" : "http";
    put_first(writer, forward, "X-Forwarded-Proto", span_text(proto));
    bool has_host = forward->request->host.length > 0;
    if (has_host) {
        put_first(writer, forward, "X-Forwarded-Host", forward->request->host);
    }
    // RFC 7239 4: an IPv6 address is quoted and in brackets, and so is a host with its port. The
    // host was checked: it holds neither quotes nor backslashes.
    char own[ADDRESS_TEXT_BYTES + 320];
    bool is_v6 = is_ip && !address_is_v4(forward->peer);
    int length = snprintf(own, sizeof own, is_v6 ? "for=\"[%s]\";proto=%s" : "for=%s;proto=%s",
                          address, proto);
    if (has_host && forward->request->host.length < 256) {
        length +=
            snprintf(own + length, sizeof own - (size_t)length, ";host=\"%.*s\"",
                     (int)forward->request->host.length, (const char *)forward->request->host.data);
    }
    put_own(writer, forward, "Forwarded", span_make(own, (uint32_t)length));
}

// Ours alone: a trusted peer's would be the certificate of another connection.
static void put_certificate(struct http_writer *writer, const struct forward *forward) {
    if (forward->certificate != NULL) {
        http_put_field(writer, span_text("X-Client-Certificate-Subject"),
                       tls_peer_subject(forward->certificate));
        http_put_field(writer, span_text("X-Client-Certificate-Fingerprint"),
                       tls_peer_fingerprint(forward->certificate));
    }
}

// --- ids

static bool is_hex(struct span text) {
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        if (!((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f'))) {
            return false;
        }
    }
    return true;
}

static bool is_all_zero(struct span text) {
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] != '0') {
            return false;
        }
    }
    return true;
}

// Version 00 of W3C Trace Context: version "-" trace "-" parent "-" flags, in lower case.
static bool is_traceparent(struct span text) {
    if (text.length != TRACEPARENT_BYTES || !span_is(span_first(text, 3), "00-") ||
        text.data[35] != '-' || text.data[52] != '-') {
        return false;
    }
    struct span trace = span_first(span_from(text, 3), 32);
    struct span parent = span_first(span_from(text, 36), 16);
    return is_hex(trace) && is_hex(parent) && is_hex(span_from(text, 53)) && !is_all_zero(trace) &&
           !is_all_zero(parent);
}

static void put_ids(struct http_writer *writer, const struct forward *forward) {
    const struct http_request *request = forward->request;
    unsigned long long a = prng_next(forward->prng);
    unsigned long long b = prng_next(forward->prng) | 1; // neither trace nor parent is all zero
    char own[80];
    const struct http_field *id = http_field_find(request, "x-request-id", NULL);
    bool is_kept = forward->is_trusted && id != NULL && id->value.length > 0 &&
                   id->value.length <= REQUEST_ID_BYTES_MAX;
    (void)snprintf(own, sizeof own, "%016llx%016llx", a, b); // it fits
    http_put_field(writer, span_text("X-Request-Id"), is_kept ? id->value : span_text(own));
    const struct http_field *trace = http_field_find(request, "traceparent", NULL);
    is_kept = trace != NULL && is_traceparent(trace->value) &&
              http_field_count(request, "traceparent") == 1;
    (void)snprintf(own, sizeof own, "00-%016llx%016llx-%016llx-00", a, b, (b ^ a >> 1) | 1);
    http_put_field(writer, span_text("traceparent"), is_kept ? trace->value : span_text(own));
}

// --- heads

static uint32_t fields_bytes(const struct http_field *fields, uint32_t field_count) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < field_count; i++) {
        bytes += fields[i].name.length + fields[i].value.length + 4;
    }
    return bytes;
}

static uint32_t identity_bytes(const struct forward *forward) {
    const struct proxy_identity *identity = forward->identity;
    uint32_t bytes = 0;
    for (uint32_t i = 0; identity != NULL && i < identity->count; i++) {
        bytes += identity->names[i].length + identity->values[i].length + 4;
    }
    return bytes;
}

// Cuts the payload to what was written; 0: it did not fit.
static uint32_t head_finish(struct arena *arena, const struct http_writer *writer,
                            uint32_t payload) {
    if (writer->is_over) {
        payload_drop(arena, payload);
        return 0;
    }
    payload_trim(arena, payload, writer->length);
    return payload;
}

static void put_request(struct http_writer *writer, const struct forward *forward) {
    const struct http_request *request = forward->request;
    http_put(writer, request->method_text);
    http_put_text(writer, " ");
    http_put(writer, request->path); // origin-form, whatever form it had (RFC 9112 3.2.1)
    if (request->query.length > 0) {
        http_put_text(writer, "?");
        http_put(writer, request->query);
    }
    http_put_text(writer, " HTTP/1.1\r\n");
    http_put_field(writer, span_text("Host"),
                   request->host.length > 0 ? request->host : forward->authority);
    struct hop_options hop;
    hop_options_read(&hop, request->fields, request->field_count);
    for (uint32_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        bool passes = !hop_has(&hop, field->name) && !is_rebuilt(field->name) &&
                      !is_of_handshake(forward, field->name) && !is_certificate(field->name) &&
                      !is_identity(forward, field->name) &&
                      (forward->is_trusted || !is_of_trust(field->name));
        if (passes) {
            http_put_field(writer, field->name, field->value);
        }
    }
    put_client(writer, forward);
    put_certificate(writer, forward);
    put_identity(writer, forward);
    put_ids(writer, forward);
    if (forward->handshake != NULL) { // it has no body
        put_handshake(writer, forward->handshake);
    } else if (request->expects_continue) {
        http_put_text(writer, "Expect: 100-continue\r\n");
    }
    if (request->is_chunked) {
        http_put_text(writer, "Transfer-Encoding: chunked\r\n");
    } else if (request->has_content_length && forward->handshake == NULL) {
        http_put_text(writer, "Content-Length: ");
        http_put_number(writer, request->content_length);
        http_put_text(writer, "\r\n");
    }
    http_put_text(writer, "\r\n");
}

uint32_t forward_head(struct arena *arena, const struct forward *forward,
                      const struct fault **fault) {
    const struct http_request *request = forward->request;
    // Host stands in it up to three times.
    uint32_t certificate = forward->certificate == NULL ? 0 : CERTIFICATE_BYTES_MAX;
    uint32_t room = HEAD_SPARE_BYTES + certificate + request->target.length +
                    request->method_text.length + 3 * request->host.length +
                    fields_bytes(request->fields, request->field_count) + identity_bytes(forward);
    struct http_writer writer = {.room = room};
    uint32_t payload = payload_reserve(arena, 0, room, &writer.data);
    *fault = fault_get(FAULT_out_of_memory);
    if (payload == 0) {
        return 0;
    }
    put_request(&writer, forward);
    *fault = fault_get(FAULT_header_too_large);
    return head_finish(arena, &writer, payload);
}

static void put_framing(struct http_writer *writer, const struct backward *backward) {
    const struct http_response *response = backward->response;
    bool has_body = http_response_has_body(response, backward->is_to_head);
    bool says_length = has_body || backward->is_to_head || response->status == 304;
    if (backward->is_chunked) {
        http_put_text(writer, "Transfer-Encoding: chunked\r\n");
    } else if (response->has_content_length && says_length) {
        http_put_text(writer, "Content-Length: ");
        http_put_number(writer, response->content_length);
        http_put_text(writer, "\r\n");
    }
    if (backward->closes) {
        http_put_text(writer, "Connection: close\r\n");
    }
}

uint32_t backward_head(struct arena *arena, const struct backward *backward) {
    const struct http_response *response = backward->response;
    uint32_t room = HEAD_SPARE_BYTES + response->reason.length +
                    fields_bytes(response->fields, response->field_count);
    struct http_writer writer = {.room = room};
    uint32_t payload = payload_reserve(arena, 0, room, &writer.data);
    if (payload == 0) {
        return 0;
    }
    http_put_text(&writer, "HTTP/1.1 ");
    http_put_number(&writer, response->status);
    http_put_text(&writer, " ");
    http_put(&writer, response->reason);
    http_put_text(&writer, "\r\n");
    struct hop_options hop;
    hop_options_read(&hop, response->fields, response->field_count);
    for (uint32_t i = 0; i < response->field_count; i++) {
        const struct http_field *field = &response->fields[i];
        if (!hop_has(&hop, field->name)) {
            http_put_field(&writer, field->name, field->value);
        }
    }
    bool is_final = response->status >= 200;
    if (is_final && backward->date.length > 0 &&
        http_response_field_find(response, "date", NULL) == NULL) {
        http_put_field(&writer, span_text("Date"), backward->date);
    }
    if (is_final) {
        put_framing(&writer, backward);
    }
    http_put_text(&writer, "\r\n");
    check(!writer.is_over); // nothing is written but what was counted, and the spare
    return head_finish(arena, &writer, payload);
}
