// Who may come in: by the page that it comes from, and by the token that it bears.
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

// Names the token nowhere: it lies in the head alone.
static void refusal_log(struct stream *stream, uint32_t index, const struct config_route *route,
                        enum fault_id fault, const char *reason) {
    char address[ADDRESS_TEXT_BYTES];
    address_format(&stream->addresses[index], true, address);
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

bool stream_bearer_passes(struct stream *stream, uint32_t index, const struct config_route *route,
                          struct span origin, struct bearer *bearer) {
    struct conns *conns = stream->conns;
    const struct site *site = stream->site;
    const struct jwt_keys *keys = site->keys[route->auth - site->config->auths];
    enum fault_id fault = bearer_open(bearer, keys, route, &conns->request, conns->wall_s);
    if (fault != FAULT_none) {
        refusal_log(stream, index, route, fault, bearer->reason);
        stream_refuse(stream, index, fault, NULL, origin);
        return false;
    }
    conn_expire(conns, index, expiry_ms(conns, bearer->expires_s));
    return true;
}
