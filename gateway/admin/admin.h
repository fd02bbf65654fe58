// The admin API on its own listener, on the control thread: health, metrics, publish, inspection,
// orders. Requests come from the connections of the control thread's struct clients; most are
// answered once workers have answered calls (gateway/worker/call.h). What only the process can do
// is a wish that it picks up.
#pragma once
#include "core/conn/conn.h"
#include "gateway/bus/bus.h"
#include "gateway/config/config.h"
#include "gateway/seam/log.h"
#include "gateway/worker/call.h"
#include "gateway/worker/clients.h"

enum {
    ADMIN_PENDING_MAX = 64, // requests waiting for workers; one more is 503
    ADMIN_BODY_BYTES_MAX = 16 << 20,
    ADMIN_CALL_WAIT_MS = 5000, // a worker that does not answer a call in this time: 504
};

struct admin_request; // opaque: one pending request

struct admin_options {
    struct clients *clients; // of the control thread
    struct bus *bus;         // same
    struct arena *arena;     // same
    struct log *log;
    uint32_t worker_count;
    const struct config *config; // the newest
};

// What the process is asked to do. `request` is given back with the result.
enum admin_wish_kind { ADMIN_WISH_NONE, ADMIN_WISH_RELOAD, ADMIN_WISH_DRAIN };
struct admin_wish {
    enum admin_wish_kind kind;
    uint32_t request;
    uint64_t over_ms; // DRAIN
};

struct admin;

// When a listener's certificates end.
struct admin_expiry {
    struct span listener; // its address as written; lent for as long as the admin lives
    int64_t expiry_s;     // since 1970 UTC
};

struct admin *admin_open(const struct admin_options *options); // NULL: no memory
void admin_close(struct admin **admin);
void admin_config_set(struct admin *admin, const struct config *config); // after a reload
// At most LISTENERS_MAX; copied.
void admin_expiries_set(struct admin *admin, const struct admin_expiry *expiries, uint32_t count);
void admin_state_set(struct admin *admin, bool is_ready, bool is_draining);

// clients_owner of the control thread's clients.
bool admin_on_open(struct admin *admin, uint32_t index);
void admin_on_ask(struct admin *admin, uint32_t index, const struct conn_event *event);
void admin_on_gone(struct admin *admin, uint32_t index);
// ANSWER and RECEIPT mail. False: not one of the admin's (its token is another's).
bool admin_on_mail(struct admin *admin, const struct bus_event *event);
// Deadlines of calls. Once per turn.
void admin_turn(struct admin *admin, uint64_t now_ms);
bool admin_wish_next(struct admin *admin, struct admin_wish *wish);
// The result of a wish: why not, one reason a line; or done: one word, then a line for each thing
// that only a restart will change.
void admin_wish_done(struct admin *admin, uint32_t request, bool is_done, struct span text);
