// What the files of this room share. Not for others.
#pragma once
#include "gateway/auth/bearer.h"
#include "gateway/stream/stream.h"

enum { NAME_ROOM = CHANNEL_NAME_BYTES_MAX };

// A request whose route was found, on its way to the route's verb.
struct stream_visit {
    struct route_match match;
    struct span origin;             // that may come in; empty: it has none
    struct address peer;            // who has connected to us
    struct proxy_identity identity; // what services are sent of the client
    bool is_trusted;                // what the peer says of others is believed
    uint8_t kind;                   // enum config_kind
};

struct stream_session *session_find(const struct stream *stream, uint32_t index);
void session_drop(struct stream *stream, uint32_t index);
// Names behind the struct.
static inline uint8_t *session_names(struct stream_session *session) {
    return (uint8_t *)(session + 1);
}
struct span session_publish(struct stream_session *session);
// Whether one of the patterns matches.
bool session_allows(struct stream_session *session, struct span name);

// Makes the connection one of that route's, for the counts of rules. False: the route's own limit
// is reached (*fault says which).
bool rule_enter(struct stream *stream, uint32_t index, uint16_t settings,
                const struct fault **fault);
void rule_leave(struct stream *stream, uint32_t index);

// The verb's part, once the client may come in.
void stream_visit_verb(struct stream *stream, uint32_t index, const struct stream_visit *visit);
// Who the client is, if the route asks for it; then the verb's part.
void stream_visit_auth(struct stream *stream, uint32_t index, struct stream_visit *visit);
// Finds the route of conns->request for a visit whose kind, peer and trust are known, and who may
// come in by its origin. False: refused here.
bool stream_visit_route(struct stream *stream, uint32_t index, struct stream_visit *visit);
// What is refused for want of authentication, for the log; names the token nowhere.
void stream_refusal_log(struct stream *stream, uint32_t index, const struct config_route *route,
                        enum fault_id fault, const char *reason);
// stream_forward.c: the route's service is asked who the client is, and the visit goes on when it
// has answered.
void stream_forward(struct stream *stream, uint32_t index, struct stream_visit *visit);
// What such a visit waits for is of no use any more.
void stream_forward_forget(struct stream *stream, uint32_t index);
// Passes it on to the route's upstream. Until the next request of this connection, or its end, it
// is one of this route's.
void stream_on_proxy(struct stream *stream, uint32_t index, const struct stream_visit *visit);
// Whether what this open connection says goes on to a service.
bool stream_is_tunnel(const struct stream *stream, uint32_t index);
// Whether the route found (if any) takes also a method that we do not know.
bool stream_takes_method(const struct http_request *request, const struct route_match *match);
void stream_on_page(struct stream *stream, uint32_t index);
// The Origin as a browser sent it; empty when there is none. False: refused here.
bool stream_origin_passes(struct stream *stream, uint32_t index, const struct config_route *route,
                          struct span *allowed);
// The token of a request to a route with `auth`, and what the visit gets of it. False: refused and
// logged here. bearer_close must be called in any case, behind whatever uses the visit.
bool stream_bearer_passes(struct stream *stream, uint32_t index, struct stream_visit *visit,
                          struct bearer *bearer);
bool stream_is_trusted(const struct stream *stream, const struct address *address);
// Whose address a request is by: the connection's, or what its trusted peer says.
struct address stream_address(const struct stream *stream, uint32_t index);
// Whether its address, and the process, may have one more handshake. False: refused here.
bool stream_handshake_passes(struct stream *stream, uint32_t index);
// stream_rate.c: of a connection that becomes one of that route's.
void stream_rate_open(struct stream *stream, uint32_t index, const struct config_route *route);
// Whether a message of that size is within the route's rates; it is counted.
bool stream_rate_passes(struct stream *stream, uint32_t index, const struct config_route *route,
                        uint32_t bytes);
void stream_on_request(struct stream *stream, uint32_t index, const struct conn_event *event);
void stream_on_body(struct stream *stream, uint32_t index, const struct conn_event *event);
void stream_on_message(struct stream *stream, uint32_t index, const struct conn_event *event);
void stream_on_receipt(struct stream *stream, uint32_t index, const struct bus_event *event);
// One ask of an envelope client: carried out, or kept until nothing is owed. The block, if any, is
// taken.
void envelope_on_message(struct stream *stream, uint32_t index, const struct conn_event *event);
// An ask came back and was told to the client.
void envelope_answered(struct stream *stream, uint32_t index);
void stream_on_joined(struct stream *stream, uint32_t index, const struct bus_event *event);

// Joins one channel; its home's answer comes as JOINED. False: no memory (nothing changed), or
// subscribed already (*is_already).
bool stream_join(struct stream *stream, uint32_t index, struct span name, bool *is_already);
// Its home has refused that join.
void stream_join_undo(struct stream *stream, uint32_t index, struct span name);
void stream_leave_all(struct stream *stream, uint32_t index);
// After a publish: stops reading this publisher while mail to the channel's home waits. While the
// channel is crowded here it may say one thing a turn.
void stream_pace(struct stream *stream, uint32_t index, struct span name);
// Whether more than this part of its queue waits: one that sends faster than it reads is not read
// above the half, and again below the quarter. The kernel's window tells it to wait.
bool stream_is_behind(const struct stream *stream, uint32_t index, uint32_t part);
// Reads it again, unless something else still holds it back.
void stream_read_on(struct stream *stream, uint32_t index);
bool stream_publish(struct stream *stream, uint32_t index, struct span name, struct span body,
                    uint8_t opcode, bool wants_receipt);

static inline uint64_t stream_token(const struct stream *stream, uint32_t index) {
    return (uint64_t)conn_at(stream->conns, index)->generation << 32 | index;
}
void stream_refuse(struct stream *stream, uint32_t index, enum fault_id fault, const char *allow,
                   struct span origin);

// Encodes a message for subscribers that speak the envelope: a payload (text frame), or 0 without
// memory.
uint32_t envelope_encode(struct arena *arena, const struct mail *mail, struct span name,
                         struct span body);
// A small answer to an envelope client: {"<key>":"<name>"} and, when has_count, "subscribers".
struct envelope_answer {
    const char *key;   // subscribed, unsubscribed, published, error
    const char *error; // key error: what is wrong
    struct span channel;
    bool has_count;
    uint64_t count;
};
void envelope_answer(struct stream *stream, uint32_t index, const struct envelope_answer *answer);
