// The PROXY header in front of a connection's first byte: believed from the ranges that the
// listener trusts and asked for there; from others nothing is read. What came of it waits where
// bytes wait that may not be fed yet, until it is complete; the handshake deadline counts.
#include "core/http/proxy_header.h"
#include "gateway/seam/log.h"
#include "gateway/worker/clients.h"

static const struct config_proxy *proxy_of(const struct clients *clients, uint32_t listener) {
    return clients->proxies == NULL ? NULL : clients->proxies[listener];
}

// A Unix socket has permissions of its own.
static bool is_trusted(const struct config_proxy *proxy, const struct address *peer) {
    return peer->kind == ADDRESS_UNIX ||
           address_in_ranges(peer, proxy->trusted, proxy->trusted_count);
}

static void complain(struct clients *clients, uint32_t index, const char *name, const char *text) {
    if (!clients_may_complain(clients)) {
        return; // counted all the same, by its fault
    }
    char address[ADDRESS_TEXT_BYTES];
    address_format(&clients->addresses[index], true, address);
    log_event(clients->log, LOG_LEVEL_WARN, name, log_text("address", address),
              log_text("text", text));
}

bool clients_proxy_wants(struct clients *clients, uint32_t index, uint32_t listener) {
    const struct config_proxy *proxy = proxy_of(clients, listener);
    if (proxy == NULL) {
        return false;
    }
    clients->bits[index] |= CLIENTS_PROXY;
    if (!is_trusted(proxy, &clients->addresses[index])) {
        complain(clients, index, "proxy_untrusted",
                 "the listener's proxy_protocol does not trust this address");
        conn_kill(&clients->conns, index, FAULT_proxy_untrusted);
    }
    return true;
}

bool clients_proxy_take(struct clients *clients, uint32_t index, struct span_mut received,
                        struct clients_proxied *proxied) {
    struct conns *conns = &clients->conns;
    *proxied = (struct clients_proxied){.block = 0};
    conn_hold(conns, index, received);
    struct span_mut held = conn_held_take(conns, index, &proxied->block);
    if (proxied->block == 0) {
        return false; // no memory: it has ended
    }
    struct proxy_header header;
    switch (proxy_header_read(span_make(held.data, held.length), &header)) {
    case PROXY_MORE:
        conn_hold(conns, index, held);
        break;
    case PROXY_MALFORMED:
        complain(clients, index, "proxy_malformed", header.problem);
        conn_kill(conns, index, FAULT_proxy_malformed);
        break;
    case PROXY_SOURCE:
        clients->addresses[index] = header.source;
        __attribute__((fallthrough));
    case PROXY_NO_SOURCE:
        clients->bits[index] &= (uint8_t)~CLIENTS_PROXY;
        counter_add(conns->counters, COUNTER_proxy_headers, 1);
        proxied->rest = (struct span_mut){.data = held.data + header.bytes,
                                          .length = held.length - header.bytes};
        return true;
    }
    arena_give(conns->arena, proxied->block);
    return false;
}
