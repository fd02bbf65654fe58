// Forward authentication (gateway/auth): a request waits until a service has said who its client
// is. Meanwhile nothing of the client is read, and its handshake deadline counts. The head is kept,
// and looked at again with the answer: the routes may be others by then.
#include "core/base/check.h"
#include "core/http/writer.h"
#include "gateway/stream/internal.h"

// Lies behind the session; then comes the head.
struct waiting {
    struct address peer;
    uint32_t head_bytes;
    bool is_trusted;
    uint8_t kind; // enum config_kind
};

static struct waiting *waiting_of(struct stream_session *session) {
    return (struct waiting *)(void *)(session + 1);
}

// --- the head, as it is read again

static uint32_t head_room(const struct http_request *request) {
    uint32_t room = request->method_text.length + request->target.length + 16; // version and ends
    for (uint32_t i = 0; i < request->field_count; i++) {
        room += request->fields[i].name.length + request->fields[i].value.length + 4;
    }
    return room;
}

static void head_put(struct http_writer *writer, const struct http_request *request) {
    http_put(writer, request->method_text);
    http_put_text(writer, " ");
    http_put(writer, request->target);
    http_put_text(writer, request->version_minor == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    for (uint32_t i = 0; i < request->field_count; i++) {
        http_put_field(writer, request->fields[i].name, request->fields[i].value);
    }
    http_put_text(writer, "\r\n");
    check(!writer->is_over);
}

// False: no memory.
static bool wait_for(struct stream *stream, uint32_t index, const struct stream_visit *visit,
                     uint32_t question) {
    const struct http_request *request = &stream->conns->request;
    uint32_t room = head_room(request);
    uint32_t block =
        arena_take(stream->arena, sizeof(struct stream_session) + sizeof(struct waiting) + room);
    if (block == 0) {
        return false;
    }
    struct stream_session *session =
        (struct stream_session *)(void *)arena_at(stream->arena, block);
    *session = (struct stream_session){.question = question};
    struct waiting *waiting = waiting_of(session);
    *waiting =
        (struct waiting){.peer = visit->peer, .is_trusted = visit->is_trusted, .kind = visit->kind};
    struct http_writer writer = {.data = (uint8_t *)(waiting + 1), .room = room};
    head_put(&writer, request);
    waiting->head_bytes = writer.length;
    session_drop(stream, index);
    stream->sessions[index] = block;
    return true;
}

// --- the verdict

// What the route's templates need. False: the service did not say it.
static bool claims_find(const struct config_route *route, const struct forward_verdict *verdict,
                        struct route_claims *claims) {
    const struct config_forward *rules = &route->auth->forward;
    claims->count = route->claims.count;
    for (uint32_t i = 0; i < route->claims.count; i++) {
        claims->values[i] = span_empty();
        for (uint32_t j = 0; j < rules->field_count; j++) {
            if (span_equal(rules->fields[j].claim, route->claims.items[i])) {
                claims->values[i] = verdict->values[j];
            }
        }
        uint8_t encoded[PLACEHOLDER_BYTES_MAX];
        struct span_mut room = {.data = encoded, .length = sizeof encoded};
        if (route_claim_encode(claims->values[i], room) == 0) {
            return false;
        }
    }
    return true;
}

static void identity_fill(struct proxy_identity *identity, const struct config_forward *rules,
                          const struct forward_verdict *verdict) {
    for (uint32_t i = 0; i < rules->field_count; i++) {
        if (rules->fields[i].passes) {
            identity->names[identity->count] = rules->fields[i].header;
            identity->values[identity->count++] = verdict->values[i];
        }
    }
}

static void judge(struct stream *stream, uint32_t index, struct stream_visit *visit,
                  const struct forward_verdict *verdict) {
    const struct config_route *route = visit->match.route;
    struct route_claims claims;
    enum fault_id fault = verdict->fault;
    const char *reason = verdict->reason;
    if (fault == FAULT_none && !claims_find(route, verdict, &claims)) {
        fault = FAULT_claim_unusable;
        reason = "the service did not say a claim that the route's channels need, or not in 1 to "
                 "128 bytes";
    }
    if (fault != FAULT_none) {
        stream_refusal_log(stream, index, route, fault, reason);
        stream_refuse(stream, index, fault, NULL, visit->origin);
        return;
    }
    conn_expire(stream->conns, index, UINT64_MAX); // the service says nothing of an end
    visit->match.claims = &claims;
    identity_fill(&visit->identity, &route->auth->forward, verdict);
    stream_visit_verb(stream, index, visit);
}

void stream_forward(struct stream *stream, uint32_t index, struct stream_visit *visit) {
    struct forward_question question = {
        .request = &stream->conns->request,
        .auth = visit->match.route->auth,
        .client = stream_address(stream, index),
        .token = stream_token(stream, index),
        .is_tls = (stream->proxy->bits[index] & stream->proxy->tls_bit) != 0};
    struct forward_verdict verdict;
    uint32_t ask = forwards_ask(stream->forwards, &question, &verdict);
    if (ask == 0) {
        judge(stream, index, visit, &verdict);
    } else if (!wait_for(stream, index, visit, ask)) {
        forwards_cancel(stream->forwards, ask);
        stream_refuse(stream, index, FAULT_out_of_memory, NULL, visit->origin);
    }
}

void stream_forward_forget(struct stream *stream, uint32_t index) {
    const struct stream_session *session = session_find(stream, index);
    if (session != NULL && session->question != 0) {
        session_drop(stream, index);
    }
}

// The request lies in the waiting's block from here on.
static void resume(struct stream *stream, uint32_t index, const struct waiting *waiting,
                   const struct forward_verdict *verdict) {
    struct span head = span_make(waiting + 1, waiting->head_bytes);
    const struct fault *fault = http_request_parse(head, &stream->conns->request);
    check(fault == NULL); // it was read before
    struct stream_visit visit = {
        .peer = waiting->peer, .is_trusted = waiting->is_trusted, .kind = waiting->kind};
    if (!stream_visit_route(stream, index, &visit)) {
        return;
    }
    const struct config_auth *auth = visit.match.route->auth;
    if (verdict->is_stale || auth == NULL || auth->kind != CONFIG_AUTH_FORWARD) {
        stream_visit_auth(stream, index, &visit);
    } else {
        judge(stream, index, &visit, verdict);
    }
}

void stream_on_verdict(void *context, uint64_t token, const struct forward_verdict *verdict) {
    struct stream *stream = context;
    uint32_t index = (uint32_t)token;
    struct stream_session *session = session_find(stream, index);
    check(session != NULL && session->question != 0); // who goes cancels
    session->question = 0;
    uint32_t block = stream->sessions[index];
    stream->sessions[index] = 0;
    if (conn_at(stream->conns, index)->state == CONN_VERDICT) { // else it waited too long
        resume(stream, index, waiting_of(session), verdict);
    }
    arena_give(stream->arena, block);
}
