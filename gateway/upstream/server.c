// Which server takes an exchange, and whether it may be asked: failures in a row open its breaker,
// and after a while one exchange tries again.
#include "gateway/upstream/internal.h"

#include "core/base/check.h"
#include "core/base/prng.h"

static bool is_available(const struct upstream_server *server, uint64_t now_ms) {
    return upstream_server_is_present(server) && !server->is_down &&
           (server->breaker == UPSTREAM_CLOSED ||
            (server->breaker == UPSTREAM_OPEN && now_ms >= server->retry_due_ms));
}

static bool server_has_room(const struct upstream *upstream, const struct upstream_server *server) {
    return server->idle_first != 0 || server->open < upstream->connections_max;
}

bool upstream_has_room(const struct upstream *upstream, uint64_t now_ms) {
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        const struct upstream_server *server = &upstream->servers[i];
        if (is_available(server, now_ms) && server_has_room(upstream, server)) {
            return true;
        }
    }
    return false;
}

// How much better `server` suits than others: the higher, the better. By a hash it is rendezvous
// hashing: each server has its own number for this key, and a server that goes moves only its own
// keys. Else the fewest exchanges.
static uint64_t suits(const struct upstream_server *server, uint32_t hash) {
    if (hash != 0) {
        return prng_mix((uint64_t)hash << 32 | server->key);
    }
    return UINT32_MAX - server->pending;
}

uint8_t server_choose(const struct upstream *upstream, const struct upstream_exchange *exchange,
                      uint64_t now_ms, bool *has_room) {
    bool is_upgrade = (exchange->flags & UPSTREAM_ASK_UPGRADE) != 0; // never waits for a line
    uint8_t best = SERVER_NONE;
    uint64_t best_suits = 0;
    *has_room = false;
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        uint8_t number = (uint8_t)((upstream->turn + i) % upstream->server_count);
        const struct upstream_server *server = &upstream->servers[number];
        if ((exchange->tried >> number & 1) != 0 || !is_available(server, now_ms)) {
            continue;
        }
        bool is_roomy = is_upgrade || server_has_room(upstream, server);
        uint64_t this_suits = suits(server, exchange->hash);
        // A hash keeps to its server also when that one is busy: that is what it is for.
        bool is_better =
            exchange->hash == 0 && is_roomy != *has_room ? is_roomy : this_suits > best_suits;
        if (best == SERVER_NONE || is_better) {
            best = number;
            best_suits = this_suits;
            *has_room = is_roomy;
        }
    }
    return best;
}

void server_enter(struct upstream *upstream, uint8_t server, struct upstream_exchange *exchange,
                  uint64_t now_ms) {
    struct upstream_server *chosen = &upstream->servers[server];
    if ((exchange->flags & EXCHANGE_CHECK) != 0) {
        return; // no request: neither balance nor breaker know of it
    }
    chosen->pending++;
    upstream->turn = (server + 1u) % upstream->server_count;
    if (chosen->breaker == UPSTREAM_OPEN && now_ms >= chosen->retry_due_ms) {
        chosen->breaker = UPSTREAM_PROBING;
        exchange->flags |= EXCHANGE_PROBE;
    }
}

void server_leave(struct upstream *upstream, uint8_t server, struct upstream_exchange *exchange,
                  uint64_t now_ms) {
    struct upstream_server *left = &upstream->servers[server];
    if ((exchange->flags & EXCHANGE_CHECK) != 0) {
        return;
    }
    check(left->pending > 0);
    left->pending--;
    bool is_undecided =
        (exchange->flags & EXCHANGE_PROBE) != 0 && left->breaker == UPSTREAM_PROBING;
    if (is_undecided) { // its client went away: the next one tries
        left->breaker = UPSTREAM_OPEN;
        left->retry_due_ms = now_ms;
    }
    exchange->flags &= (uint8_t)~EXCHANGE_PROBE;
}

void server_succeeded(struct upstream_server *server) {
    server->failures = 0;
    server->breaker = UPSTREAM_CLOSED;
}

bool server_failed(struct upstream *upstream, struct upstream_server *server, uint64_t now_ms) {
    server->failures++;
    bool opens = server->breaker == UPSTREAM_PROBING ||
                 (server->breaker == UPSTREAM_CLOSED && server->failures >= upstream->failures_max);
    if (opens) {
        server->breaker = UPSTREAM_OPEN;
        server->retry_due_ms = now_ms + upstream->retry_ms;
    }
    return opens;
}
