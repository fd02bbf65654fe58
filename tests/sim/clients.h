// The clients of a world: each a state machine on net.h that lives one connection after another
// until the storm is over. What it sends and expects is drawn from a prng of its own, so that two
// worlds of one seed have the same clients, whoever else is there. All output of the gateway goes
// through a decoder; a violation is a broken law. Memory: theirs, from malloc, outside the
// gateway's.
#pragma once
#include "tests/sim/decoder.h"
#include "tests/sim/ledger.h"
#include "tests/sim/sim.h"

enum client_kind {
#define CLIENT(name, intent, weight, text) CLIENT_##name,
#include "tests/sim/client_table.h"
#undef CLIENT
    CLIENT_KIND_COUNT
};
enum client_intent { CLIENT_HONEST, CLIENT_DAWDLER, CLIENT_LIAR, CLIENT_VANISHER };
extern const char *const client_names[CLIENT_KIND_COUNT];
extern const uint8_t client_intents[CLIENT_KIND_COUNT];

enum client_phase {
    CLIENT_AWAY, // between two connections
    CLIENT_CONNECTING,
    CLIENT_ASKING,  // connected; HTTP
    CLIENT_OPEN,    // upgraded
    CLIENT_LEAVING, // our Close is sent, or theirs is answered: waits for the end
};

enum { CLIENT_SUBSCRIPTIONS_MAX = 4, CLIENTS_MAX = 48 }; // of the ordinary ones

struct client {
    struct sim *sim;
    struct laws *laws;
    struct prng prng;
    uint32_t id;
    uint8_t kind;  // enum client_kind
    uint8_t acts;  // what a vanisher does until it goes: another kind
    uint8_t phase; // enum client_phase
    bool is_done;  // calm: it has what it wanted
    bool may_stay; // calm: done, and still open
    bool is_late;  // this connection was begun in CALM
    bool reads;    // false: leaves what arrives where it is
    bool answers;  // pings and Close frames
    bool was_said; // the gateway's last response ends the connection
    bool is_read_timed, is_write_timed, has_ended;
    bool was_closed; // a Close of the gateway has arrived
    uint32_t connection;
    uint32_t life; // connections begun; timers of older ones are void
    struct address from;
    // Pace: at most so many bytes at a time, with a pause between; 0: no limit.
    uint32_t read_piece, write_piece;
    uint64_t read_pause_us, write_pause_us;
    uint8_t *out; // bytes not yet taken by the network
    uint32_t out_first, out_bytes, out_room;
    struct decoder decoder;
    struct decoder_request request; // the last one
    // The plan of this connection.
    uint32_t left;      // exchanges still to begin
    uint32_t waiting;   // exchanges begun and not ended
    uint32_t lie;       // which one, of the kind's table
    uint16_t wanted;    // close code or status that the lie must be answered with; 0: none
    uint8_t channel;    // enum ledger_channel
    uint8_t verb;       // of the exchange under way, as the kind wants
    uint64_t asked_us;  // when it began
    uint32_t publisher; // ledger's number + 1; 0: none
    uint32_t sequence;  // of the message under way
    uint32_t echo_sent, echo_got, echo_bytes;
    uint32_t ping_sent;
    uint32_t ask;   // what a service was asked last (asks.h); 0: nothing
    uint32_t guest; // who it says it is (guests.h); 0: nobody so far
    struct {
        uint8_t channel;
        bool is_open;        // the answer has come
        uint32_t subscriber; // ledger's number + 1; 0: none
    } subscriptions[CLIENT_SUBSCRIPTIONS_MAX];
};

struct client_behaviour {
    void (*on_connected)(struct client *client);
    void (*on_event)(struct client *client, const struct decoder_event *event);
    void (*on_tick)(struct client *client); // asked for by client_tick_in
};
const struct client_behaviour *client_behaviour(uint32_t kind);
extern const struct client_behaviour client_honest_behaviours[];  // client_honest.c, by kind
extern const struct client_behaviour client_hostile_behaviours[]; // client_hostile.c, by kind

// --- clients.c: the life of a connection
void client_init(struct client *client, struct sim *sim, uint32_t id, enum client_kind kind);
void client_fini(struct client *client);
void client_begin_in(struct client *client, uint64_t delay_us); // connects then
void client_calm(struct client *client);                        // the storm is over
void client_over(struct client *client);  // the connection is gone: the next begins some time later
void client_leave(struct client *client); // closes as it should: Close frame, or FIN
// For a tick of one that asks and waits for each answer: whether the next is due. One that has
// asked all of its `left` leaves.
bool client_may_ask(struct client *client);
void client_tick_in(struct client *client, uint64_t delay_us);
void client_read(struct client *client); // what has arrived, at its pace
void client_done(struct client *client); // CALM: has what it wanted
static inline uint32_t client_below(struct client *client, uint32_t bound) {
    return prng_below(&client->prng, bound);
}
// Milliseconds between low and high, evenly in orders of magnitude: most are short.
uint64_t client_pause_us(struct client *client, uint32_t low_ms, uint32_t high_ms);

// --- client_bytes.c: what it sends; sent when the pace and the network let it
uint32_t client_mark(struct client *client); // where the next bytes will stand in `out`
void client_put(struct client *client, const void *bytes, uint32_t length);
void client_text(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void client_flush(struct client *client);
// One masked frame. `first`: FIN, reserved bits and opcode.
void client_frame(struct client *client, uint8_t first, struct span payload);
// A message in one frame, or (pieces > 1) in fragments.
void client_message(struct client *client, uint8_t opcode, struct span payload, uint32_t pieces);
void client_close_frame(struct client *client, uint16_t code);
// The handshake for `target`, announced to the decoder. `fields`: further lines, each with its
// CRLF.
void client_upgrade(struct client *client, const char *target, const char *fields);
// A request whose head the caller writes; announced to the decoder.
void client_request(struct client *client, const struct decoder_request *request);

// --- client_honest.c
// Adds the subscription of a channel's own route once the 101 has come.
void client_subscribe(struct client *client, enum ledger_channel channel);
void client_publish_next(struct client *client, uint32_t pieces); // raw, on its channel
uint32_t client_length(struct client *client);                    // of a message
// A request that is in order was refused: fails unless it is asked to come back later.
void client_refused(struct client *client, const struct decoder_event *event);

// --- client_posts.c
void client_poster_connected(struct client *client);
void client_poster_event(struct client *client, const struct decoder_event *event);
void client_poster_tick(struct client *client);
void client_admin_connected(struct client *client);
void client_admin_event(struct client *client, const struct decoder_event *event);
void client_admin_tick(struct client *client);
void client_envelope_connected(struct client *client);
void client_envelope_event(struct client *client, const struct decoder_event *event);
void client_envelope_tick(struct client *client);

// --- client_guest.c
uint32_t client_guest_next(struct client *client); // whom it says it is now: often somebody new
void client_guest_connected(struct client *client);
void client_guest_event(struct client *client, const struct decoder_event *event);
void client_guest_tick(struct client *client);

// --- client_asks.c
void client_asker_connected(struct client *client);
void client_asker_event(struct client *client, const struct decoder_event *event);
void client_asker_tick(struct client *client);
void client_tunneller_connected(struct client *client);
void client_tunneller_event(struct client *client, const struct decoder_event *event);
void client_tunneller_tick(struct client *client);
void client_sipper_connected(struct client *client);
void client_sipper_event(struct client *client, const struct decoder_event *event);
void client_sipper_tick(struct client *client);
void client_asks_end(struct client *client); // the gateway has ended the connection
