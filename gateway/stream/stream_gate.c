// Who may come in: by its address, the page that it comes from, and the token that it bears.
#include "core/http/forwarded.h"
#include "gateway/route/origin.h"
#include "gateway/stream/internal.h"

bool stream_origin_passes(struct stream *stream, uint32_t index, const struct config_route *route,
                          struct span *allowed) {
    const struct http_request *request = &stream->conns->request;
    const struct http_field *field = http_field_find(request, "origin", NULL);
    bool is_doubled = http_field_count(request, "origin") > 1;
    enum origin_verdict verdict =
        origin_check(route, field == NULL ? span_empty() : field->value, field != NULL);
    if (verdict == ORIGIN_REFUSED || is_doubled) {
        stream_refuse(stream, index, FAULT_origin_refused, NULL, span_empty());
        return false;
    }
    *allowed = verdict == ORIGIN_ALLOWED && field != NULL ? field->value : span_empty();
    return true;
}

struct address stream_address(const struct stream *stream, uint32_t index) {
    struct address address = stream->addresses[index];
    const struct config *config = stream->site->config;
    if ((stream->notes[index] & STREAM_NOTE_EXEMPT) != 0) { // else it stays
        (void)http_forwarded_find(&stream->conns->request, config->trusted, config->trusted_count,
                                  &address);
    }
    return address;
}

// Before a handshake: from here on the connection is that client's, and counted as such. False:
// refused here.
static bool address_passes(struct stream *stream, uint32_t index) {
    struct address client = stream_address(stream, index);
    if (address_ip_equal(&client, &stream->addresses[index])) {
        return true;
    }
    if (!stream_is_trusted(stream, &client)) {
        enum admission_verdict verdict = admission_adopt(stream->admission, &client);
        if (verdict != ADMISSION_GRANTED) {
            stream_refuse(stream, index,
                          verdict == ADMISSION_ADDRESS_FULL ? FAULT_address_limit
                                                            : FAULT_connection_limit,
                          NULL, span_empty());
            return false;
        }
        stream->notes[index] &= (uint8_t)~STREAM_NOTE_EXEMPT;
    }
    stream->addresses[index] = client;
    // Refused, it must not carry another client's request under this one's name.
    conn_at(stream->conns, index)->outbox.owner_bits &= (uint16_t)~CONN_KEEP_ALIVE;
    return true;
}

void stream_refusal_log(struct stream *stream, uint32_t index, const struct config_route *route,
                        enum fault_id fault, const char *reason) {
    char address[ADDRESS_TEXT_BYTES];
    struct address client = stream_address(stream, index);
    address_format(&client, true, address);
    log_event(stream->log, LOG_LEVEL_INFO, "auth_refused", log_text("address", address),
              log_span("route", route->path.text), log_span("auth", route->auth->name),
              log_text("cause", fault_get(fault)->name), log_text("text", reason));
}

// The wall clock is asked once: from here on only time that has passed counts, so that a clock
// that is set cuts nobody.
static uint64_t expiry_ms(const struct conns *conns, uint64_t expires_s) {
    uint64_t left_s = expires_s > conns->wall_s ? expires_s - conns->wall_s : 0;
    return conns->now_ms + left_s * 1000;
}

bool stream_bearer_passes(struct stream *stream, uint32_t index, struct stream_visit *visit,
                          struct bearer *bearer) {
    struct conns *conns = stream->conns;
    const struct site *site = stream->site;
    const struct config_route *route = visit->match.route;
    const struct jwt_keys *keys = site->keys[route->auth - site->config->auths];
    enum fault_id fault = bearer_open(bearer, keys, route, &conns->request, conns->wall_s);
    if (fault != FAULT_none) {
        stream_refusal_log(stream, index, route, fault, bearer->reason);
        stream_refuse(stream, index, fault, NULL, visit->origin);
        return false;
    }
    visit->match.claims = &bearer->claims;
    visit->identity.count = route->auth->pass_count;
    for (uint32_t i = 0; i < route->auth->pass_count; i++) {
        visit->identity.names[i] = route->auth->passes[i].header;
        visit->identity.values[i] = bearer->passed[i];
    }
    conn_expire(conns, index, expiry_ms(conns, bearer->expires_s));
    return true;
}

bool stream_handshake_passes(struct stream *stream, uint32_t index) {
    if (!address_passes(stream, index)) {
        return false;
    }
    enum fault_id fault = FAULT_none;
    bool is_exempt = (stream->notes[index] & STREAM_NOTE_EXEMPT) != 0;
    if (stream->is_full) {
        fault = FAULT_memory_mark;
    } else if (!is_exempt &&
               !admission_address_token_take(stream->admission, &stream->addresses[index],
                                             stream->conns->now_us)) {
        fault = FAULT_address_rate;
    } else if (!admission_token_take(stream->admission, &stream->tokens, stream->conns->now_ms)) {
        fault = FAULT_handshake_rate;
    }
    if (fault != FAULT_none) {
        stream_refuse(stream, index, fault, NULL, span_empty());
    }
    return fault == FAULT_none;
}
