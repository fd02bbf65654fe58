// Forward authentication: a service is asked who a client is, before anything else of the client's
// request happens. It is sent a GET with the headers that the configuration names and where the
// request goes (X-Forwarded-*); 2xx lets in, 401 and 403 are passed on as such, and anything else,
// also silence, is a 503. Headers of its answer become claims, and are passed to services.
//
// Answers that let in are remembered, by what the service was sent, for as long as configured; the
// oldest make room. Nothing of what was sent or answered is ever logged. One struct forwards per
// worker; it owns the exchanges whose owner number has FORWARD_OWNER_TAG.
#pragma once
#include "core/base/table.h"
#include "gateway/config/config.h"
#include "gateway/upstream/upstream.h"

#define FORWARD_OWNER_TAG (1u << 31)

struct forward_verdict {
    enum fault_id fault; // FAULT_none: it is let in
    const char *reason;  // why not, for the log
    bool is_stale;       // the configuration has changed meanwhile: it says nothing, ask anew
    struct span values[FORWARD_FIELDS_MAX]; // of the configuration's fields, empty ones were not
                                            // said; lent until the next call
};

struct forwards_owner {
    void *context;
    // `token` as given to forwards_ask; the ask is over. From within upstreams_on_event,
    // upstreams_expire and upstreams_pump only. It may ask anew.
    void (*on_verdict)(void *context, uint64_t token, const struct forward_verdict *verdict);
};

struct forward_key {
    uint64_t hash[2]; // of what is sent, under keys that nobody outside knows
    uint64_t auth;
};

struct forward_ask { // pooled
    struct forward_key key;
    uint64_t token;
    uint32_t exchange;
    uint32_t values; // arena block, struct forward_values; 0: none yet
    uint32_t body_bytes;
    uint32_t generation; // of the configuration that it was asked by
    uint16_t status;
    uint8_t spare[2];
};
struct forward_entry { // pooled
    struct table_link link;
    struct forward_key key;
    uint64_t due_ms;
    uint32_t values;
    uint32_t next; // of the same `auth`, younger
};
struct forward_list {
    uint32_t first, last, count; // the oldest first
};
enum { FORWARD_ASK_BYTES = 64, FORWARD_ENTRY_BYTES = 64 };
static_assert(sizeof(struct forward_ask) <= FORWARD_ASK_BYTES, "pool element");
static_assert(sizeof(struct forward_entry) <= FORWARD_ENTRY_BYTES, "pool element");

struct forwards {
    struct upstreams *upstreams;
    struct arena *arena;
    struct counters *counters;
    struct forwards_owner owner;
    const struct config *config; // the newest
    uint32_t generation;         // of it
    uint64_t secret[4];
    struct pool asks;
    struct pool entries;
    struct table table;
    struct forward_list lists[AUTHS_MAX];
};

struct forwards_memory { // ranges handed in, reserved by the owner
    struct memory ask_space, ask_book, entry_space, entry_book, buckets;
};
void forwards_memory_size(struct forwards_memory *memory);
// The fields upstreams, arena, counters and owner are set by the caller before; `secret` is from
// the entropy seam.
void forwards_init(struct forwards *forwards, const struct forwards_memory *memory,
                   const uint64_t secret[4]);
// From now on these are the services; what was remembered is forgotten.
void forwards_config_set(struct forwards *forwards, const struct config *config);

struct forward_question {
    const struct http_request *request;
    const struct config_auth *auth; // of forwards.config
    struct address client;
    uint64_t token;
    bool is_tls;
};
// The number of an ask whose verdict comes later; or 0, and *verdict holds it.
uint32_t forwards_ask(struct forwards *forwards, const struct forward_question *question,
                      struct forward_verdict *verdict);
// Nobody waits for it any more: its verdict does not come.
void forwards_cancel(struct forwards *forwards, uint32_t ask);
// For struct upstream_owner, of exchanges that are ours.
void forwards_on_event(struct forwards *forwards, const struct upstream_event *event);
