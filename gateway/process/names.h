// Services' names on the control thread: looked up again and again by the one helper thread of
// gateway/seam/resolve.h, the last good answer kept, and told to every worker when it changes.
#pragma once
#include "core/base/address.h"
#include "core/base/check.h"
#include "core/base/limits.h"

struct config;
struct process;
struct resolver;

struct name {
    struct address addresses[RESOLVE_ADDRESSES_MAX]; // the last good answer
    uint64_t due_ms;                                 // when it is looked up again
    uint64_t interval_ms;                            // the shortest of those who use it
    uint32_t address_count;
    bool is_asked;    // a look-up is under way
    bool is_answered; // one was, be it in vain
    bool is_failing;  // the last one was in vain
    uint8_t host_bytes;
    uint8_t host[RESOLVE_HOST_BYTES_MAX];
};

struct names {
    struct resolver *resolver; // NULL until a configuration has a name
    struct name *items;
    uint8_t *table; // what the workers were told, as upstreams_names_set wants it
    uint32_t count;
    uint32_t table_bytes;
    uint32_t number; // of the configuration: answers to questions of an older one are dropped
    uint64_t told_ms;
};

// From now on these are the names that are looked up; what is known of one stays. False: no memory
// or no thread, and nothing has changed.
MUST_USE bool process_names_set(struct process *process, const struct config *config);
// Tells every worker; behind a new site, whose upstreams know no address yet.
void process_names_tell(struct process *process);
// Once per turn: takes answers, asks what is due.
void process_names_turn(struct process *process);
// Never waits for a name server.
void process_names_close(struct process *process);
