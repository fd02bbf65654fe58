// Requests that are passed on to services (gateway/proxy).
#include "gateway/stream/internal.h"

void stream_on_proxy(struct stream *stream, uint32_t index, const struct stream_visit *visit) {
    const struct route_match *match = &visit->match;
    uint16_t settings = stream->settings_of_route[match->index];
    const struct fault *fault = NULL;
    if (!rule_enter(stream, index, settings, &fault)) {
        stream_refuse(stream, index, (enum fault_id)fault->id, NULL, span_empty());
        return;
    }
    // rule_leave finds it.
    conn_at(stream->conns, index)->settings = settings & (SETTINGS_MAX - 1u);
    struct proxy_ask ask = {.config = stream->site->config,
                            .route = match->route,
                            .certificate = match->peer,
                            .identity = &visit->identity,
                            .peer = visit->peer,
                            .client = stream_address(stream, index),
                            .settings = settings,
                            .is_trusted = visit->is_trusted,
                            .is_upgrade = visit->kind == CONFIG_KIND_UPGRADE};
    proxy_on_request(stream->proxy, index, &ask);
}

// Services may know methods that we do not; but TRACE would show them what only we should see (RFC
// 9110 9.3.8).
bool stream_takes_method(const struct http_request *request, const struct route_match *match) {
    return match->route != NULL && match->route->verb == CONFIG_VERB_PROXY &&
           !span_is(request->method_text, "TRACE");
}

bool stream_is_tunnel(const struct stream *stream, uint32_t index) {
    const struct config_route *route = stream_route(stream, index);
    return route != NULL && config_verb_passes_on(route->verb);
}
