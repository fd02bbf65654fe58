// What the control thread asks of a worker, and what it gets back, as mail of kind CALL and ANSWER
// (gateway/bus). Requests and answers are these plain structs; an answer may come in several mails
// (`more`), so that a long list never holds up a turn. Every call is answered at least once.
#pragma once
#include "core/base/address.h"
#include "core/base/counters.h"
#include "core/base/histogram.h"
#include "core/base/limits.h"
#include "core/base/trace.h"

#include <stdbool.h>
#include <stdint.h>

// MAIL_CALL: words[0] = token of the caller, words[1] = enum call_kind, words[2] = body bytes,
// words[3..] = arguments. `name` and body as said. MAIL_ANSWER: words[0] = token, words[1] = enum
// call_kind, words[2] = body bytes, words[3] = 1 when more answers follow, words[4..] = results.
enum call_kind {
    CALL_SITE,  // [3] = struct site * (frozen, control's): new requests use it. Results: [4] = 0 or
                // -errno
    CALL_DRAIN, // [3] = over_ms: stop accepting, close everything with 1012 over that time. Again:
                // hurries
    CALL_STOP,  // cut what is left and leave the loop
    CALL_METRICS,     // body of the answer: struct call_metrics
    CALL_CONNECTIONS, // body: struct call_query. Body of the answers: struct call_connection[]
    CALL_CONNECTION,  // [3] = index, [4] = generation. Body: one struct call_connection, or none
                      // when it is gone
    CALL_SEND,  // [3] = index, [4] = generation, [5] = opcode; body = message. Results: [4] = enum
                // call_send_result
    CALL_CLOSE, // [3] = index, [4] = generation, [5] = close code; body = reason. Results: [4] =
                // connections closed
    CALL_CLOSE_ALL, // body: struct call_query (route or channel or user). [5] = code. Results: [4]
                    // = connections closed (last answer: the sum of this worker)
    CALL_CHANNELS,  // [3] = cursor (0 first), [4] = at most so many. Body: per channel u32
                    // subscribers here, u8 name length, name. Results: [4] = next cursor, 0 at the
                    // end
    CALL_TRACE,     // body: struct trace_record[], oldest first
    CALL_LOG_LEVEL, // [3] = enum log_level
    CALL_ACCEPT,    // [3] = 1 accept, 0 stop accepting
    CALL_NAMES,     // body: addresses of services' names (upstreams_names_set)
    CALL_KIND_COUNT
};

enum call_send_result { CALL_SEND_QUEUED, CALL_SEND_DROPPED, CALL_SEND_GONE };

enum { CALL_ROUTE_BYTES = 64, CALL_PAGE_MAX = 256 }; // connections per answer

struct call_query {
    uint32_t after_index;  // paging: connections with a larger index only
    uint32_t count_max;    // of this worker, at most CALL_PAGE_MAX
    uint8_t state;         // enum conn_state + 1, 0 = any
    uint8_t channel_bytes; // 0 = any
    uint8_t route_bytes;   // 0 = any; compared with the route's path as written
    uint8_t has_address;
    struct address address;
    uint8_t channel[255];
    uint8_t route[255];
};

struct call_connection {
    uint32_t index, generation;
    uint16_t worker;
    uint8_t state; // enum conn_state
    uint8_t is_envelope;
    uint32_t round_trip_us; // 0 = not measured
    uint64_t age_ms;
    uint64_t silent_ms; // since the last bytes came in
    uint32_t queued_bytes;
    uint32_t subscriptions;
    struct address address;
    uint32_t table_bytes;        // conn, slot, address and the other tables
    uint32_t input_bytes;        // unfinished head, body or message
    uint32_t queue_memory_bytes; // queued payloads (shared ones count here for each)
    uint32_t subscription_bytes;
    uint8_t route_bytes; // of `route` in use
    uint8_t spare[3];
    char route[CALL_ROUTE_BYTES]; // its path, cut
};

struct call_upstream {
    uint64_t requests, failures; // since it was configured as it is
    uint64_t pending, waiting, tunnels;
    uint64_t servers;      // that are known
    uint64_t servers_out;  // of those: whose breaker is not closed
    uint64_t servers_down; // of those: as their checks say
    uint64_t checks, checks_failed;
};

struct call_metrics {
    struct counters counters;
    struct histogram round_trip_ns;
    struct histogram turn_ns;
    struct histogram answer_ns; // of services
    uint64_t by_state[16];      // connections by enum conn_state
    uint64_t connections;       // all slots in use
    uint64_t queued_bytes;      // waiting for clients
    uint64_t backlog_bytes;     // waiting for other threads
    uint64_t channels, subscriptions;
    uint64_t rings, ring_slots, ring_slots_used;
    uint64_t enters, submission_full, completion_overflows, starved;
    uint64_t zero_copy_sends, zero_copy_copied, zero_copy_refused;
    // user memory by owner, bytes of pages touched
    uint64_t memory_tables, memory_inputs, memory_entries, memory_hub, memory_arena_touched,
        memory_arena_used, memory_rings, memory_tls, memory_tls_library;
    uint64_t tls_shaking;                          // handshakes in progress
    struct call_upstream upstreams[UPSTREAMS_MAX]; // by index in the configuration
    uint64_t uptime_ms;
    uint8_t is_accepting, is_draining;
};
