// Servers behind names: which addresses an upstream's names have at present.
//
//   free -> present -> gone -> free
//              ^________|
//   gone: its name has it no more; its lines end by themselves, and the last one frees the place
#include "gateway/upstream/internal.h"

#include "core/base/check.h"

// A server that there is to be.
struct wanted {
    struct address address;
    uint8_t origin;
};

static struct span host_of(const struct upstream_origin *origin) {
    return span_make(origin->host, origin->host_bytes);
}

// The so-manieth server of an origin that this table says nothing of. False: it has fewer.
static bool former_find(const struct upstream *upstream, uint8_t origin, uint32_t number,
                        struct address *address) {
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        const struct upstream_server *server = &upstream->servers[i];
        if (upstream_server_is_present(server) && server->origin == origin && number-- == 0) {
            *address = server->address;
            return true;
        }
    }
    return false;
}

static bool wanted_find(const struct upstream *upstream, struct span table, uint8_t number,
                        uint32_t round, struct address *address) {
    const struct upstream_origin *origin = &upstream->origins[number];
    struct span addresses = span_empty();
    bool has_record =
        origin->host_bytes > 0 && name_record_find(table, host_of(origin), &addresses);
    if (!has_record || addresses.length == 0) {
        return former_find(upstream, number, round, address);
    }
    if (round * 16 >= addresses.length) {
        return false;
    }
    *address = (struct address){.kind = ADDRESS_IP, .port = origin->address.port};
    memcpy(address->ip, addresses.data + (size_t)round * 16, 16);
    return true;
}

// Of each origin one, then of each a second one: where there are more than an upstream may have,
// no name is left without.
static uint32_t wanted_list(const struct upstream *upstream, struct span table,
                            struct wanted wanted[UPSTREAM_SERVERS_MAX]) {
    uint32_t count = 0;
    for (uint32_t round = 0; round < RESOLVE_ADDRESSES_MAX; round++) {
        for (uint8_t i = 0; i < upstream->origin_count && count < UPSTREAM_SERVERS_MAX; i++) {
            wanted[count].origin = i;
            count += wanted_find(upstream, table, i, round, &wanted[count].address);
        }
    }
    return count;
}

static bool is_of(const struct upstream_server *server, const struct wanted *wanted) {
    return server->address.kind != ADDRESS_NONE && server->origin == wanted->origin &&
           address_ip_equal(&server->address, &wanted->address);
}

void server_settle(struct upstream_server *server) {
    if (server->is_gone && server->lines == 0) {
        check(server->pending == 0 && server->open == 0);
        *server = (struct upstream_server){.is_gone = false};
    }
}

static void server_leave_name(struct upstreams *upstreams, struct upstream_server *server) {
    server->is_gone = true;
    while (server->idle_first != 0) { // each pass takes one out
        line_close(upstreams, server->idle_first, false);
    }
    server_settle(server);
}

// The place of one that was there before, or a free one; UPSTREAM_PLACES_MAX: none.
static uint32_t place_find(const struct upstream *upstream, const struct wanted *wanted) {
    uint32_t place = UPSTREAM_PLACES_MAX;
    for (uint32_t i = 0; i < UPSTREAM_PLACES_MAX; i++) {
        if (is_of(&upstream->servers[i], wanted)) {
            return i;
        }
        bool is_free = upstream->servers[i].address.kind == ADDRESS_NONE;
        place = is_free && place == UPSTREAM_PLACES_MAX ? i : place;
    }
    return place;
}

// FNV-1a: the same on every worker and after a restart, whatever the order of the answer was.
static uint32_t key_of(const struct address *address) {
    uint32_t key = 2166136261u ^ address->port;
    for (uint32_t i = 0; i < sizeof address->ip; i++) {
        key = (key ^ address->ip[i]) * 16777619u;
    }
    return key;
}

static void server_place(struct upstream *upstream, const struct wanted *wanted) {
    uint32_t place = place_find(upstream, wanted);
    if (place == UPSTREAM_PLACES_MAX) {
        return; // too many that left still have connections: when the table is told again
    }
    struct upstream_server *server = &upstream->servers[place];
    server->is_gone = false;
    if (server->address.kind == ADDRESS_NONE) {
        server->address = wanted->address;
        server->origin = wanted->origin;
        server->key = key_of(&wanted->address);
        io_peer_encode(&server->address, &server->peer);
    }
    upstream->server_count = upstream->server_count > place ? upstream->server_count : place + 1;
}

static void names_apply(struct upstreams *upstreams, struct upstream *upstream, struct span table) {
    struct wanted wanted[UPSTREAM_SERVERS_MAX];
    uint32_t count = wanted_list(upstream, table, wanted);
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        struct upstream_server *server = &upstream->servers[i];
        bool is_wanted = false;
        for (uint32_t j = 0; j < count; j++) {
            is_wanted = is_wanted || is_of(server, &wanted[j]);
        }
        if (!is_wanted && upstream_server_is_present(server)) {
            server_leave_name(upstreams, server);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        server_place(upstream, &wanted[i]);
    }
    for (uint32_t i = 0; i < upstream->origin_count; i++) {
        struct upstream_origin *origin = &upstream->origins[i];
        struct span unused;
        origin->is_answered =
            origin->is_answered ||
            (origin->host_bytes > 0 && name_record_find(table, host_of(origin), &unused));
    }
}

void upstreams_names_set(struct upstreams *upstreams, struct span table) {
    upstreams->check_due_ms = 0; // new servers are checked at once
    for (uint32_t i = 0; i < upstreams->item_end; i++) {
        struct upstream *upstream = &upstreams->items[i];
        if (upstream->is_used && !upstream->is_retired) {
            names_apply(upstreams, upstream, table);
        }
    }
}

void origins_place(struct upstream *upstream) {
    for (uint8_t i = 0; i < upstream->origin_count; i++) {
        const struct upstream_origin *origin = &upstream->origins[i];
        if (origin->host_bytes == 0) {
            struct upstream_server *server = &upstream->servers[upstream->server_count++];
            *server = (struct upstream_server){.address = origin->address, .origin = i, .key = i};
            memcpy(server->path, origin->path, sizeof server->path);
            if (server->address.kind == ADDRESS_IP) {
                io_peer_encode(&server->address, &server->peer);
            }
        }
    }
}

bool upstream_is_resolving(const struct upstream *upstream) {
    for (uint32_t i = 0; i < upstream->origin_count; i++) {
        if (upstream->origins[i].host_bytes > 0 && !upstream->origins[i].is_answered) {
            return true;
        }
    }
    return false;
}

bool upstream_has_server(const struct upstream *upstream) {
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        if (upstream_server_is_present(&upstream->servers[i])) {
            return true;
        }
    }
    return false;
}
