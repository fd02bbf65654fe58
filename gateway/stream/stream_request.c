// Requests: from a head to a refusal, a page, a handshake or a POST.
#include "core/base/check.h"
#include "core/base/utf8.h"
#include "core/http/writer.h"
#include "core/hub/payload.h"
#include "core/ws/frame.h"
#include "gateway/route/subprotocol.h"
#include "gateway/stream/internal.h"

enum { SUBPROTOCOL_OFFERS_MAX = 16, SESSION_NAMES_MAX = 16 << 10 };

void stream_refuse(struct stream *stream, uint32_t index, enum fault_id fault, const char *allow,
                   struct span origin) {
    struct http_refusal refusal = {.fault = fault_get(fault), .allow = allow, .origin = origin};
    conn_refuse(stream->conns, index, &refusal);
}

static uint8_t request_kind(const struct http_request *request, bool is_upgrade) {
    if (is_upgrade) {
        return CONFIG_KIND_UPGRADE;
    }
    static const uint8_t kinds[] = {
        [HTTP_GET] = CONFIG_KIND_GET,         [HTTP_HEAD] = CONFIG_KIND_HEAD,
        [HTTP_POST] = CONFIG_KIND_POST,       [HTTP_PUT] = CONFIG_KIND_OTHER,
        [HTTP_DELETE] = CONFIG_KIND_OTHER,    [HTTP_PATCH] = CONFIG_KIND_OTHER,
        [HTTP_OPTIONS] = CONFIG_KIND_OPTIONS, [HTTP_OTHER] = CONFIG_KIND_OTHER,
    };
    return kinds[request->method];
}

static enum fault_id match_fault(enum route_result result) { // of one that is not FOUND
    switch (result) {
    case ROUTE_NOT_FOUND:
        return FAULT_not_found;
    case ROUTE_NOT_ALLOWED:
        return FAULT_method_not_allowed;
    case ROUTE_UPGRADE_REQUIRED:
        return FAULT_upgrade_required;
    case ROUTE_PATH_MALFORMED:
        return FAULT_path_malformed;
    case ROUTE_CAPTURE_TOO_LONG:
        return FAULT_target_too_long;
    case ROUTE_FOUND:
        break;
    }
    return FAULT_internal_error;
}

static int32_t subprotocol_pick(const struct config_route *route,
                                const struct http_request *request) {
    struct span offers[SUBPROTOCOL_OFFERS_MAX];
    uint32_t count = 0;
    const struct http_field *field = NULL;
    while (count < SUBPROTOCOL_OFFERS_MAX &&
           (field = http_field_find(request, "sec-websocket-protocol", field)) != NULL) {
        offers[count++] = field->value;
    }
    return subprotocol_choose(route, offers, count);
}

static struct span subprotocol_span(const struct config_route *route, int32_t choice) {
    return choice >= 0 ? route->subprotocols.items[choice] : span_empty();
}

// Upgrades and counts the connection among the route's; otherwise it is refused.
static void upgrade_now(struct stream *stream, uint32_t index, uint16_t settings,
                        int32_t subprotocol) {
    const struct config_route *route = stream->rules[settings].route;
    conn_upgrade(stream->conns, index, settings, subprotocol_span(route, subprotocol));
    if (conn_at(stream->conns, index)->state !=
        CONN_OPEN) { // it was told to close meanwhile, or there was no memory
        stream_leave_all(stream, index);
        rule_leave(stream, index);
        session_drop(stream, index);
    }
}

static bool wants_envelope(const struct http_request *request) {
    struct span value;
    uint8_t text[16];
    struct span_mut decoded = {.data = text, .length = sizeof text};
    return route_query_find(request->query, "envelope", &value) &&
           route_query_decode(value, &decoded) &&
           span_is(span_make(decoded.data, decoded.length), "json");
}

// Collects names behind a session struct before its size is known.
struct names {
    uint8_t bytes[SESSION_NAMES_MAX];
    uint32_t length;
};

static bool names_publish(struct names *names, const struct config_route *route,
                          const struct route_match *match) {
    if (route->channels.publish.part_count == 0) {
        return true;
    }
    struct span_mut room = {.data = names->bytes, .length = NAME_ROOM};
    names->length = route_template_expand(&route->channels.publish, match, room);
    return names->length > 0;
}

static bool names_allow(struct names *names, const struct config_route *route,
                        const struct route_match *match) {
    for (uint32_t i = 0; i < route->channels.allow.count; i++) {
        if (names->length + 1 + NAME_ROOM > SESSION_NAMES_MAX) {
            return false;
        }
        uint8_t *at = names->bytes + names->length;
        struct span_mut room = {.data = at + 1, .length = NAME_ROOM};
        uint32_t length = route_template_expand(&route->channels.allow.items[i], match, room);
        if (length == 0) {
            return false;
        }
        at[0] = (uint8_t)length;
        names->length += 1 + length;
    }
    return true;
}

// Why no name could be made: for want of a certificate, or the path brought too much.
static const struct fault *names_fault(const struct route_match *match) {
    return fault_get(route_lacks_certificate(match) ? FAULT_certificate_unusable
                                                    : FAULT_target_too_long);
}

// A session with the names that this match makes, and room for an Origin. NULL: *fault says why.
static struct stream_session *session_open(struct stream *stream, uint32_t index,
                                           const struct route_match *match, struct span origin,
                                           const struct fault **fault) {
    const struct config_route *route = match->route;
    struct names names;
    names.length = 0;
    bool fits = names_publish(&names, route, match);
    uint8_t publish_bytes = (uint8_t)names.length;
    if (!fits || !names_allow(&names, route, match)) {
        *fault = names_fault(match);
        return NULL;
    }
    *fault = fault_get(FAULT_out_of_memory);
    uint32_t block =
        arena_take(stream->arena, sizeof(struct stream_session) + names.length + origin.length);
    if (block == 0) {
        return NULL;
    }
    struct stream_session *session =
        (struct stream_session *)(void *)arena_at(stream->arena, block);
    *session = (struct stream_session){.settings = stream->settings_of_route[match->index],
                                       .origin_bytes = (uint16_t)origin.length,
                                       .names_bytes = (uint16_t)names.length,
                                       .publish_bytes = publish_bytes,
                                       .allow_count = (uint8_t)route->channels.allow.count};
    memcpy(session_names(session), names.bytes, names.length);
    if (origin.length > 0) {
        memcpy(session_names(session) + names.length, origin.data, origin.length);
    }
    session_drop(stream, index);
    stream->sessions[index] = block;
    return session;
}

static void handshake_refuse(struct stream *stream, uint32_t index, const struct fault *fault) {
    stream_leave_all(stream, index);
    rule_leave(stream, index);
    session_drop(stream, index);
    // What the homes still answer must not be taken for answers to a further request's joins.
    conn_at(stream->conns, index)->outbox.owner_bits &= (uint16_t)~CONN_KEEP_ALIVE;
    stream_refuse(stream, index, (enum fault_id)fault->id, NULL, span_empty());
}

// Joins the channels of the route's templates. The 101 waits for their homes, so that a message
// published after it is never missed.
static const struct fault *handshake_join(struct stream *stream, uint32_t index,
                                          const struct route_match *match) {
    const struct config_route *route = match->route;
    struct stream_session *session = session_find(stream, index);
    uint8_t name[NAME_ROOM];
    for (uint32_t i = 0; i < route->channels.subscribe.count; i++) {
        uint32_t length =
            route_template_expand(&route->channels.subscribe.items[i], match,
                                  (struct span_mut){.data = name, .length = sizeof name});
        if (length == 0) {
            return names_fault(match);
        }
        bool is_already = false;
        struct span span = span_make(name, length);
        if (stream_join(stream, index, span, &is_already)) {
            session->pending++;
        } else if (!is_already) {
            return fault_get(FAULT_out_of_memory);
        }
        bool is_publish = span_equal(span, session_publish(session));
        session->keeps =
            route->channels.subscribe.count > 1 || (session->publish_bytes > 0 && !is_publish);
    }
    session->keeps = session->keeps || session->is_envelope || session->allow_count > 0 ||
                     (route->channels.subscribe.count == 0 && session->publish_bytes > 0);
    return NULL;
}

static void handshake_finish(struct stream *stream, uint32_t index) {
    struct stream_session *session = session_find(stream, index);
    if (session->is_refused) {
        handshake_refuse(stream, index, fault_get(FAULT_out_of_memory));
        return;
    }
    uint16_t settings = session->settings;
    int32_t subprotocol = session->subprotocol;
    if (!session->keeps) { // its one channel is in the hub's list
        session_drop(stream, index);
        conn_at(stream->conns, index)->settings = settings & (SETTINGS_MAX - 1u);
    }
    upgrade_now(stream, index, settings, subprotocol);
}

static void channels_upgrade(struct stream *stream, uint32_t index, const struct route_match *match,
                             int32_t subprotocol) {
    const struct fault *fault = NULL;
    struct stream_session *session = session_open(stream, index, match, span_empty(), &fault);
    if (session == NULL) {
        stream_refuse(stream, index, (enum fault_id)fault->id, NULL, span_empty());
        return;
    }
    session->subprotocol = (int16_t)subprotocol;
    session->is_envelope = wants_envelope(&stream->conns->request);
    if (session->is_envelope) {
        conn_at(stream->conns, index)->outbox.owner_bits |= CONN_ENVELOPE;
    }
    if (!rule_enter(stream, index, session->settings, &fault) ||
        (fault = handshake_join(stream, index, match)) != NULL) {
        handshake_refuse(stream, index, fault);
        return;
    }
    if (session->pending == 0) {
        handshake_finish(stream, index);
    }
}

void stream_on_joined(struct stream *stream, uint32_t index, const struct bus_event *event) {
    struct conn *conn = conn_at(stream->conns, index);
    bool is_refused = event->mail.words[1] == 0;
    if (is_refused) {
        stream_join_undo(stream, index, event->name);
    }
    struct stream_session *session = session_find(stream, index);
    if (conn->state == CONN_VERDICT && session != NULL && session->pending > 0) {
        session->is_refused = session->is_refused || is_refused;
        session->pending--;
        if (session->pending == 0) {
            handshake_finish(stream, index);
        }
    } else if (conn->state == CONN_OPEN && conn_has(conn, CONN_ENVELOPE)) {
        struct envelope_answer answer = {.key = is_refused ? "error" : "subscribed",
                                         .error = "out of memory",
                                         .channel = event->name};
        envelope_answer(stream, index, &answer);
        envelope_answered(stream, index);
    }
}

static void on_upgrade(struct stream *stream, uint32_t index, const struct route_match *match) {
    const struct http_request *request = &stream->conns->request;
    int32_t subprotocol = subprotocol_pick(match->route, request);
    if (subprotocol == SUBPROTOCOL_MALFORMED) {
        stream_refuse(stream, index, FAULT_websocket_protocol, NULL, span_empty());
        return;
    }
    if (match->route->verb == CONFIG_VERB_CHANNELS) {
        channels_upgrade(stream, index, match, subprotocol);
        return;
    }
    uint16_t settings = stream->settings_of_route[match->index];
    const struct fault *fault = NULL;
    if (!rule_enter(stream, index, settings, &fault)) {
        stream_refuse(stream, index, (enum fault_id)fault->id, NULL, span_empty());
        return;
    }
    conn_at(stream->conns, index)->settings = settings & (SETTINGS_MAX - 1u); // for rule_leave
    upgrade_now(stream, index, settings, subprotocol);
}

static void cors_add(struct http_reply *reply, struct span origin) {
    if (origin.length > 0) {
        http_reply_add(reply, "Access-Control-Allow-Origin", origin);
        http_reply_add(reply, "Vary", span_text("Origin"));
    }
}

static void on_preflight(struct stream *stream, uint32_t index, struct span origin) {
    struct http_reply reply = {.status = 204, .omits_length = true};
    http_reply_add(&reply, "Allow", span_text("GET, POST, OPTIONS"));
    cors_add(&reply, origin);
    if (origin.length > 0) {
        http_reply_add(&reply, "Access-Control-Allow-Methods", span_text("GET, POST"));
        http_reply_add(&reply, "Access-Control-Allow-Headers",
                       span_text("content-type, authorization"));
        http_reply_add(&reply, "Access-Control-Max-Age", span_text("600"));
    }
    conn_reply(stream->conns, index, &reply);
}

// --- POST

static uint8_t content_opcode(const struct http_request *request) {
    const struct http_field *field = http_field_find(request, "content-type", NULL);
    if (field == NULL) {
        return 0;
    }
    int64_t semicolon = span_find(field->value, ';');
    struct span type = semicolon < 0 ? field->value : span_first(field->value, (uint32_t)semicolon);
    return span_is_nocase(type, "application/octet-stream") ? WS_BINARY : 0;
}

static void on_post(struct stream *stream, uint32_t index, const struct route_match *match,
                    struct span origin) {
    const struct config_route *route = match->route;
    if (route->channels.publish.part_count == 0) {
        stream_refuse(stream, index, FAULT_not_publishable, NULL, origin);
        return;
    }
    const struct fault *fault = NULL;
    struct stream_session *session = session_open(stream, index, match, origin, &fault);
    if (session == NULL) {
        stream_refuse(stream, index, (enum fault_id)fault->id, NULL, origin);
        return;
    }
    session->opcode = content_opcode(&stream->conns->request);
    // Kept here: the route's rule may be gone, and another's stand in its place, when the body
    // ends.
    const struct conn_settings *settings = &stream->settings[session->settings];
    session->refused = settings->refuses_text ? WS_TEXT : settings->refuses_binary ? WS_BINARY : 0;
    conn_collect(stream->conns, index, (uint32_t)route->limits.message_bytes);
}

static struct span session_origin(struct stream_session *session) {
    return span_make(session_names(session) + session->names_bytes, session->origin_bytes);
}

// Ends a POST with a refusal; the session held its Origin.
static void post_refuse(struct stream *stream, uint32_t index, enum fault_id fault) {
    struct stream_session *session = session_find(stream, index);
    stream_refuse(stream, index, fault, NULL, session_origin(session));
    session_drop(stream, index);
}

void stream_on_body(struct stream *stream, uint32_t index, const struct conn_event *event) {
    struct stream_session *session = session_find(stream, index);
    check(session != NULL);
    uint8_t opcode = session->opcode;
    if (opcode == 0) { // no word about it: text when it is text
        opcode = utf8_is_valid(event->payload) ? WS_TEXT : WS_BINARY;
    }
    if (opcode == session->refused) {
        post_refuse(stream, index, FAULT_message_kind);
    } else {
        struct bus_publication publication = {.name = session_publish(session),
                                              .body = event->payload,
                                              .opcode = opcode,
                                              .receipt_token = stream_token(stream, index)};
        if (!bus_publish(stream->bus, &publication)) {
            post_refuse(stream, index, FAULT_out_of_memory);
        }
    }
    if (event->block != 0) {
        arena_give(stream->arena, event->block);
    }
}

// {"items":[{"channel":"chat.a","subscribers":3}]}, as the admin API answers. Names need no
// escapes: their alphabet has none.
static void post_answer(struct stream *stream, uint32_t index, const struct bus_event *event) {
    uint8_t bytes[CHANNEL_NAME_BYTES_MAX + 96];
    struct http_writer body = {.data = bytes, .room = sizeof bytes};
    http_put_text(&body, "{\"items\":[{\"channel\":\"");
    http_put(&body, event->name);
    http_put_text(&body, "\",\"subscribers\":");
    http_put_number(&body, event->mail.words[1]);
    http_put_text(&body, "}]}\n");
    struct http_reply reply = {.status = 200,
                               .content_type = span_text("application/json"),
                               .body = span_make(bytes, body.length)};
    struct stream_session *session = session_find(stream, index);
    if (session != NULL) {
        cors_add(&reply, session_origin(session));
    }
    conn_reply(stream->conns, index, &reply);
    session_drop(stream, index);
}

void stream_on_receipt(struct stream *stream, uint32_t index, const struct bus_event *event) {
    struct conn *conn = conn_at(stream->conns, index);
    bool is_refused = event->mail.words[2] != 0;
    if (conn->state == CONN_REPLY && is_refused) {
        post_refuse(stream, index, FAULT_out_of_memory);
    } else if (conn->state == CONN_REPLY) {
        post_answer(stream, index, event);
    } else if (conn->state == CONN_OPEN && conn_has(conn, CONN_ENVELOPE)) {
        struct envelope_answer answer = {.key = is_refused ? "error" : "published",
                                         .error = "overloaded",
                                         .channel = event->name,
                                         .has_count = !is_refused,
                                         .count = event->mail.words[1]};
        envelope_answer(stream, index, &answer);
        envelope_answered(stream, index);
    }
}

// --- the request

void stream_visit_verb(struct stream *stream, uint32_t index, const struct stream_visit *visit) {
    const struct route_match *match = &visit->match;
    if (config_verb_passes_on(match->route->verb)) {
        stream_on_proxy(stream, index, visit);
    } else if (visit->kind == CONFIG_KIND_UPGRADE) {
        on_upgrade(stream, index, match);
    } else if (match->route->verb == CONFIG_VERB_PAGE) {
        stream_on_page(stream, index);
    } else if (visit->kind == CONFIG_KIND_OPTIONS) {
        on_preflight(stream, index, visit->origin);
    } else if (visit->kind == CONFIG_KIND_POST) {
        on_post(stream, index, match, visit->origin);
    } else { // a kind that the route table lets through and no verb answers: our table's mistake,
             // not the client's
        stream_refuse(stream, index, FAULT_upgrade_required, NULL, visit->origin);
    }
}

static const struct tls_peer *stream_certificate(const struct stream *stream, uint32_t index) {
    uint32_t block = stream->certificates == NULL ? 0 : stream->certificates[index];
    return block == 0 ? NULL
                      : (const struct tls_peer *)(const void *)arena_at(stream->arena, block);
}

bool stream_visit_route(struct stream *stream, uint32_t index, struct stream_visit *visit) {
    const struct http_request *request = &stream->conns->request;
    struct route_request question = {
        .host = request->host, .path = request->path, .kind = visit->kind};
    enum route_result result = route_match(stream->site->routes, &question, &visit->match);
    if (request->method == HTTP_OTHER && !stream_takes_method(request, &visit->match)) {
        stream_refuse(stream, index, FAULT_method_unknown, NULL, span_empty());
        return false;
    }
    if (result != ROUTE_FOUND) {
        stream_refuse(stream, index, match_fault(result),
                      result == ROUTE_NOT_ALLOWED ? visit->match.allow : NULL, span_empty());
        return false;
    }
    visit->match.peer = stream_certificate(stream, index);
    return stream_origin_passes(stream, index, visit->match.route, &visit->origin);
}

void stream_visit_auth(struct stream *stream, uint32_t index, struct stream_visit *visit) {
    const struct config_route *route = visit->match.route;
    // A preflight comes without what it asks for; a service's is none of ours.
    bool is_preflight = visit->kind == CONFIG_KIND_OPTIONS && route->verb != CONFIG_VERB_PROXY;
    if (route->auth == NULL || is_preflight) {
        stream_visit_verb(stream, index, visit);
        return;
    }
    if (route->auth->kind == CONFIG_AUTH_FORWARD) {
        stream_forward(stream, index, visit);
        return;
    }
    struct bearer bearer;
    if (stream_bearer_passes(stream, index, visit, &bearer)) {
        stream_visit_verb(stream, index, visit);
    }
    bearer_close(&bearer);
}

void stream_on_request(struct stream *stream, uint32_t index, const struct conn_event *event) {
    static const enum fault_id dooms[] = {FAULT_none, FAULT_connection_limit, FAULT_address_limit,
                                          FAULT_none};
    enum fault_id doom = dooms[stream->notes[index] & STREAM_NOTE_DOOM];
    if (stream->is_draining || doom != FAULT_none) {
        conn_at(stream->conns, index)->outbox.owner_bits &= (uint16_t)~CONN_KEEP_ALIVE;
        stream_refuse(stream, index, stream->is_draining ? FAULT_draining : doom, NULL,
                      span_empty());
        return;
    }
    stream_forward_forget(stream, index); // of the request before, which found no answer in time
    rule_leave(stream, index);            // or was passed on
    conn_at(stream->conns, index)->settings = 0;
    // Noted before the gate, behind which the connection counts as the client's that its peer
    // named.
    struct stream_visit visit = {.peer = stream->addresses[index],
                                 .is_trusted = (stream->notes[index] & STREAM_NOTE_EXEMPT) != 0,
                                 .kind = request_kind(&stream->conns->request, event->is_upgrade)};
    if (!stream_visit_route(stream, index, &visit)) {
        return;
    }
    // Before anything that costs: a signature takes 0.1 ms.
    if (visit.kind != CONFIG_KIND_UPGRADE || stream_handshake_passes(stream, index)) {
        stream_visit_auth(stream, index, &visit);
    }
}
