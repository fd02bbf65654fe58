// Admission: what holds exactly for the whole process. A fixed table of atomics, the one exception
// to "nothing is shared", touched only when a connection comes or goes and when a handshake token
// slice is fetched. Any thread.
#pragma once
#include "core/base/address.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct admission; // opaque

struct admission_limits {
    uint32_t connections;
    uint32_t per_address;            // 0: off; an address of IPv6 is its /64 network
    uint32_t handshakes_per_second;  // 0: off
    uint32_t handshakes_per_address; // and second; 0: off
};

// Bytes for a table that counts addresses for that many connections.
uint64_t admission_bytes(uint32_t connections);
struct admission *admission_init(struct memory memory, const struct admission_limits *limits,
                                 const uint64_t key[2]);
void admission_limits_set(struct admission *admission,
                          const struct admission_limits *limits); // a reload

// TABLE_FULL: there is no room to count one more address (ADMISSION_STRIPES in limits.h). It is
// refused, since what is not counted could not be bounded.
enum admission_verdict {
    ADMISSION_GRANTED,
    ADMISSION_FULL,
    ADMISSION_ADDRESS_FULL,
    ADMISSION_TABLE_FULL,
};
// A connection came. The counting is exact; connections beyond the limits are refused with 503 or
// 429. is_exempt: its address is in a trusted range and is not counted. GRANTED must be matched by
// one admission_leave with the same arguments.
enum admission_verdict admission_enter(struct admission *admission, const struct address *address,
                                       bool is_exempt);
void admission_leave(struct admission *admission, const struct address *address, bool is_exempt);
// One that was not counted by its address, being a proxy's, turned out to be this client's: GRANTED
// changes what its admission_leave is owed to this address and is_exempt false.
enum admission_verdict admission_adopt(struct admission *admission, const struct address *address);
uint32_t admission_open_count(const struct admission *admission);

// The same for the connections of one route. limit 0: no bound. True must be matched by one leave.
bool admission_route_enter(_Atomic uint32_t *open, uint32_t limit);
void admission_route_leave(_Atomic uint32_t *open);

// Connections of one address within one route (`salt`: a number of the route, not 0). GRANTED must
// be matched by one leave.
enum admission_verdict admission_address_enter(struct admission *admission,
                                               const struct address *address, uint64_t salt,
                                               uint32_t limit);
void admission_address_leave(struct admission *admission, const struct address *address,
                             uint64_t salt);

// Handshake tokens of one worker: fetched from the shared bucket in slices of at most 64.
struct admission_tokens {
    uint32_t left;
    uint32_t window;
};
// Whether one more handshake of this address is within its own rate: as many at once as a second
// grants, then one for each part of it. Exact for an address, unless it shares a bucket
// (ADDRESS_BUCKETS) with another one: then either may have more.
bool admission_address_token_take(struct admission *admission, const struct address *address,
                                  uint64_t now_us);
// False: the rate is used up for this instant.
bool admission_token_take(struct admission *admission, struct admission_tokens *tokens,
                          uint64_t now_ms);
