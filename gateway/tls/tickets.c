// Ticket keys: a chain of secrets, one per epoch. Each gives its key, its name and its successor.
#include "gateway/tls/tickets.h"

#include "core/base/check.h"
#include "core/crypto/aead.h"
#include "core/crypto/hash.h"
#include "core/crypto/secret.h"

// More epochs than that pass at once only if the machine slept for months: all tickets are stale.
enum { EPOCHS_MAX = 1000 };

static void key_derive(struct tls_tickets *tickets) {
    struct span secret = span_make(tickets->secret, TLS_TICKET_SEED_BYTES);
    struct tls_ticket_key *key = &tickets->keys[0];
    hkdf_expand_label(HASH_SHA256, secret, "ticket name", span_empty(),
                      (struct span_mut){.data = key->name, .length = sizeof(key->name)});
    hkdf_expand_label(HASH_SHA256, secret, "ticket key", span_empty(),
                      (struct span_mut){.data = key->key, .length = sizeof(key->key)});
}

void tls_tickets_init(struct tls_tickets *tickets, const uint8_t seed[TLS_TICKET_SEED_BYTES],
                      uint64_t begin_ms) {
    *tickets = (struct tls_tickets){.begin_ms = begin_ms};
    memcpy(tickets->secret, seed, TLS_TICKET_SEED_BYTES);
    key_derive(tickets);
}

void tls_tickets_fini(struct tls_tickets *tickets) {
    secret_wipe(tickets, sizeof(*tickets));
}

static void epoch_step(struct tls_tickets *tickets) {
    uint8_t next[TLS_TICKET_SEED_BYTES];
    hkdf_expand_label(HASH_SHA256, span_make(tickets->secret, TLS_TICKET_SEED_BYTES), "ticket upd",
                      span_empty(), (struct span_mut){.data = next, .length = sizeof(next)});
    memcpy(tickets->secret, next, sizeof(next));
    secret_wipe(next, sizeof(next));
    tickets->keys[1] = tickets->keys[0];
    tickets->has_former = true;
    key_derive(tickets);
}

void tls_tickets_advance(struct tls_tickets *tickets, uint64_t now_ms) {
    if (now_ms < tickets->begin_ms) {
        return; // the clock that began them is a little ahead of ours
    }
    uint64_t epochs = (now_ms - tickets->begin_ms) / TLS_TICKET_EPOCH_MS;
    for (uint64_t i = 0; i < epochs && i < EPOCHS_MAX; i++) {
        epoch_step(tickets);
    }
    tickets->begin_ms += epochs * TLS_TICKET_EPOCH_MS;
}

static struct aead_key aead_of(const struct tls_ticket_key *key) {
    return (struct aead_key){.bytes = key->key, .kind = AEAD_CHACHA20_POLY1305};
}

void tls_ticket_seal(const struct tls_tickets *tickets, uint8_t name[TLS_TICKET_NAME_BYTES],
                     const uint8_t *nonce, struct span_mut ticket, uint8_t *tag) {
    memcpy(name, tickets->keys[0].name, TLS_TICKET_NAME_BYTES);
    aead_seal(aead_of(&tickets->keys[0]), nonce, span_make(name, TLS_TICKET_NAME_BYTES), ticket,
              tag);
}

enum tls_ticket_opened tls_ticket_open(const struct tls_tickets *tickets,
                                       const uint8_t name[TLS_TICKET_NAME_BYTES],
                                       const uint8_t *nonce, struct span_mut ticket,
                                       const uint8_t *tag) {
    uint32_t count = tickets->has_former ? 2 : 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct tls_ticket_key *key = &tickets->keys[i];
        if (memcmp(key->name, name, TLS_TICKET_NAME_BYTES) != 0) {
            continue; // a name is no secret
        }
        bool is_opened =
            aead_open(aead_of(key), nonce, span_make(name, TLS_TICKET_NAME_BYTES), ticket, tag);
        return !is_opened ? TLS_TICKET_STRANGE : i == 0 ? TLS_TICKET_OPENED : TLS_TICKET_FORMER;
    }
    return TLS_TICKET_STRANGE;
}
