// Keys of session tickets (RFC 5077, RFC 8446 4.6.1). All workers begin with the same seed and step
// by the same clock, so that each opens what another sealed and nothing is shared: the secret of an
// epoch is made from that of the epoch before, which is wiped. Owner: one worker; lives as long as
// the process, so that resumption outlives a reload.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TLS_TICKET_NAME_BYTES = 16,
    TLS_TICKET_SEED_BYTES = 32,
    TLS_TICKET_EPOCH_MS = 6 * 3600 * 1000, // a ticket lives for 6 to 12 hours
};

struct tls_ticket_key {
    uint8_t name[TLS_TICKET_NAME_BYTES];
    uint8_t key[32];
};

struct tls_tickets {
    struct tls_ticket_key keys[2]; // of this epoch and of the one before
    uint8_t secret[TLS_TICKET_SEED_BYTES];
    uint64_t begin_ms; // of this epoch
    bool has_former;
};

// `seed` is random, the same for all workers, and wiped by its owner when all have begun; so is
// `begin_ms`, on their common monotonic clock.
void tls_tickets_init(struct tls_tickets *tickets, const uint8_t seed[TLS_TICKET_SEED_BYTES],
                      uint64_t begin_ms);
void tls_tickets_fini(struct tls_tickets *tickets);
// Takes the keys of the epoch of `now_ms`; to be called before every handshake step. Cheap.
void tls_tickets_advance(struct tls_tickets *tickets, uint64_t now_ms);

enum tls_ticket_opened { TLS_TICKET_STRANGE, TLS_TICKET_OPENED, TLS_TICKET_FORMER };

// Seals the ticket in place under the newest key. `nonce` is random, 12 bytes; `tag` takes 16.
void tls_ticket_seal(const struct tls_tickets *tickets, uint8_t name[TLS_TICKET_NAME_BYTES],
                     const uint8_t *nonce, struct span_mut ticket, uint8_t *tag);
// Opens in place. FORMER: opened with the key of the epoch before: a new one is due. STRANGE: of no
// key of ours, or altered.
enum tls_ticket_opened tls_ticket_open(const struct tls_tickets *tickets,
                                       const uint8_t name[TLS_TICKET_NAME_BYTES],
                                       const uint8_t *nonce, struct span_mut ticket,
                                       const uint8_t *tag);
