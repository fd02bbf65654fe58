// The verbs of this node's own routes: echo, page, and channels with its envelope and POST. Answers
// what connections ask (gateway/worker calls it), joins and leaves channels, publishes, and turns
// what the bus delivers into payloads for the hub. Queues only; never sends. One struct stream per
// worker.
#pragma once
#include "core/base/address.h"
#include "core/conn/conn.h"
#include "core/hub/hub.h"
#include "gateway/auth/admission.h"
#include "gateway/auth/forward.h"
#include "gateway/bus/bus.h"
#include "gateway/proxy/proxy.h"
#include "gateway/seam/log.h"
#include "gateway/stream/site.h"
#include "gateway/tls/peer.h"

// By settings index of a connection: the route behind it. Parallel to conns.settings.
struct stream_rule {
    const struct config_route *route;
    struct site *site;
    uint32_t route_index;
    uint32_t connections; // of this worker that use it
};

// Lives in an arena block while a connection needs more than its channel list: during a handshake
// that waits for the homes of its channels, and for as long as it may publish or join by itself.
struct stream_session {
    uint16_t settings;
    int16_t subprotocol;   // index into the route's list, or SUBPROTOCOL_NONE
    uint16_t pending;      // homes that have not answered
    uint16_t origin_bytes; // POST: the allowed Origin, behind the names
    uint16_t names_bytes;  // of publish and allow
    uint8_t publish_bytes; // the channel that plain messages go to, first of the names; 0 = none
    uint8_t allow_count;   // patterns behind it: a length byte and the bytes of each
    uint8_t is_envelope;
    uint8_t is_refused; // a join failed: the handshake is refused
    uint8_t keeps;      // the session is needed after the handshake
    uint8_t opcode;     // POST: what its content type says, 0 = nothing
    uint8_t refused;    // POST: the opcode that its route does not accept, 0 = none
    uint8_t holds;      // envelope: enum stream_hold
    uint16_t owed;      // envelope: asks on their way to a home and back
    uint32_t ask_block; // envelope: a message that waits until nothing is owed, so that its answer
    uint32_t ask_bytes; // does not overtake; at WS_MESSAGE_HEADROOM
    uint32_t question;  // forward authentication: the ask that it waits for; 0: none. Then nothing
                        // else counts, and stream_forward.c says what lies behind
};

// Why an envelope client is not read.
enum stream_hold {
    STREAM_HOLD_ASKS = 1,  // its asks are on their way
    STREAM_HOLD_QUEUE = 2, // it does not read its answers
};

enum stream_doom { STREAM_DOOM_NONE, STREAM_DOOM_CONNECTIONS, STREAM_DOOM_ADDRESS };

enum {
    STREAM_RESUME_MAX = 1024, // publishers held back that are looked at per turn
    ENVELOPE_OWED_MAX = 64,   // asks of one envelope client on their way
    STREAM_DOOMED_MAX = 1024, // over a limit and waiting to be told so; more are cut
};

// What a connection has said of late, where its route bounds that: stream_rate.c.
struct stream_rate {
    uint64_t messages, bytes; // times microseconds
    uint64_t at_us;
};

struct stream_paused {
    uint32_t index, generation, target;
};

struct stream {
    struct conns *conns;
    struct hub *hub;
    struct bus *bus;
    struct arena *arena;
    struct log *log;
    struct admission *admission;
    struct proxy *proxy;
    struct forwards *forwards;
    const uint32_t *certificates; // by connection index: an arena block, struct tls_peer; 0: none.
                                  // NULL: no listener asks for one
    struct admission_tokens tokens;
    struct address *addresses;      // by connection index
    uint32_t *sessions;             // by connection index: block of struct stream_session, 0 = none
    uint8_t *notes;                 // by connection index: enum stream_note
    struct stream_rate *rates;      // by connection index; touched by those with such a limit only
    struct conn_settings *settings; // SETTINGS_MAX, conns->settings
    struct stream_rule *rules;      // SETTINGS_MAX
    struct site *site;              // for new requests
    uint16_t settings_of_route[ROUTES_MAX]; // of `site`
    bool is_draining;
    bool is_full; // set by the owner: what waits takes so much memory that nobody more comes in
    bool is_table_full_told; // the log has it
    uint32_t doomed_count;
    uint32_t paused_count; // publishers that wait for a backlog
    uint32_t paused_max;   // twice the connections: of one that is gone an entry may be left
    uint32_t paused_cursor;
    struct stream_paused *paused;
};

// Bits of stream.notes.
enum stream_note {
    STREAM_NOTE_DOOM = 3,           // enum stream_doom
    STREAM_NOTE_EXEMPT = 4,         // a trusted address
    STREAM_NOTE_COUNTED = 8,        // admission_leave is owed
    STREAM_NOTE_ROUTED = 16,        // rule_leave is owed
    STREAM_NOTE_ROUTE_ADDRESS = 32, // and the route's count of its address
    STREAM_NOTE_DOOM_COUNTED = 64,  // in doomed_count
    STREAM_NOTE_HELD_BACK = 128,    // in `paused`
};

// Whether there is room for the rules of its routes: none when too many older sites have
// connections. Changes nothing.
bool stream_site_fits(const struct stream *stream, const struct site *site);
// The site for new requests from now on; it must fit.
void stream_site_set(struct stream *stream, struct site *site);

bool stream_on_open(struct stream *stream, uint32_t index);
// Whether it was let in only to be told that there is no room.
bool stream_is_doomed(const struct stream *stream, uint32_t index);
void stream_on_ask(struct stream *stream, uint32_t index, const struct conn_event *event);
void stream_on_sent(struct stream *stream, uint32_t index);
void stream_on_gone(struct stream *stream, uint32_t index);
// DELIVER, JOINED and RECEIPT of the bus.
void stream_on_mail(struct stream *stream, struct bus_event *event);
// For struct forwards_owner; the context is the struct stream.
void stream_on_verdict(void *context, uint64_t token, const struct forward_verdict *verdict);
// Reads publishers again whose backlog is gone. Once per turn.
void stream_resume(struct stream *stream);
const struct config_route *stream_route(const struct stream *stream,
                                        uint32_t index); // NULL before it is routed
