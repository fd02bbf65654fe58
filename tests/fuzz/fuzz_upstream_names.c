// Tables of names as the control thread tells them, one after the other: which servers an upstream
// has by them. The input makes the upstream (its names) and the tables; servers that left may keep
// lines, as the input says. After each table what is there is held against the table.
#include "core/base/check.h"
#include "gateway/upstream/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAMES = 4, ADDRESSES = 64, TABLES_MAX = 64 };

struct input {
    const uint8_t *at, *end;
};

struct table { // as the control thread knows it
    struct address addresses[NAMES][RESOLVE_ADDRESSES_MAX];
    uint32_t counts[NAMES];
    bool is_told[NAMES];
    uint8_t bytes[NAMES * UPSTREAM_NAME_RECORD_MAX];
    uint32_t length;
};

static const char *const hosts[NAMES] = {"a", "b.test", "longer.name.test", "d"};

static uint8_t byte_next(struct input *input) {
    return input->at < input->end ? *input->at++ : 0;
}

static void table_make(struct input *input, struct table *table) {
    uint8_t told = byte_next(input);
    table->length = 0;
    for (uint32_t i = 0; i < NAMES; i++) {
        table->is_told[i] = (told >> i & 1) != 0;
        uint32_t count = byte_next(input) % (RESOLVE_ADDRESSES_MAX + 1);
        table->counts[i] = 0;
        for (uint32_t j = 0; j < count; j++) { // each once, as the resolver gives them
            struct address address = {
                .kind = ADDRESS_IP,
                .ip = {[10] = 0xff, 0xff, 10, 0, 0, (uint8_t)(byte_next(input) % ADDRESSES)}};
            bool is_there = false;
            for (uint32_t k = 0; k < table->counts[i]; k++) {
                is_there = is_there || address_ip_equal(&table->addresses[i][k], &address);
            }
            if (!is_there) {
                table->addresses[i][table->counts[i]++] = address;
            }
        }
        if (table->is_told[i]) {
            table->length += upstream_name_write(table->bytes + table->length, span_text(hosts[i]),
                                                 table->addresses[i], table->counts[i]);
        }
    }
}

// Every record is found again, and nothing else is.
static void records_check(const struct table *table) {
    uint8_t *copy = malloc(table->length + 1u); // its end is seen by ASan
    check(copy != NULL);
    memcpy(copy, table->bytes, table->length);
    struct span bytes = span_make(copy, table->length);
    struct span found;
    for (uint32_t i = 0; i < NAMES; i++) {
        check(name_record_find(bytes, span_text(hosts[i]), &found) == table->is_told[i]);
        check(!table->is_told[i] || found.length == 16 * table->counts[i]);
        for (uint32_t j = 0; table->is_told[i] && j < table->counts[i]; j++) {
            check(memcmp(found.data + (size_t)16 * j, table->addresses[i][j].ip, 16) == 0);
        }
    }
    check(!name_record_find(bytes, span_text("nobody"), &found));
    free(copy);
}

static bool is_wanted(const struct table *table, uint32_t name, const struct address *address) {
    for (uint32_t i = 0; i < table->counts[name]; i++) {
        if (address_ip_equal(&table->addresses[name][i], address)) {
            return true;
        }
    }
    return false;
}

// A name that the table says something of has at most that; none has a server twice.
static void servers_check(const struct upstream *upstream, const struct table *table) {
    uint32_t present[NAMES] = {0};
    uint32_t total = 0;
    for (uint32_t i = 0; i < UPSTREAM_PLACES_MAX; i++) {
        const struct upstream_server *server = &upstream->servers[i];
        check(i < upstream->server_count || server->address.kind == ADDRESS_NONE);
        check(!server->is_gone || server->lines > 0);
        if (!upstream_server_is_present(server)) {
            continue;
        }
        total++;
        present[server->origin]++;
        bool is_judged = table->is_told[server->origin] && table->counts[server->origin] > 0;
        check(!is_judged || is_wanted(table, server->origin, &server->address));
        for (uint32_t j = 0; j < i; j++) {
            const struct upstream_server *other = &upstream->servers[j];
            check(other->address.kind == ADDRESS_NONE || other->origin != server->origin ||
                  !address_ip_equal(&other->address, &server->address));
        }
    }
    check(total <= UPSTREAM_SERVERS_MAX && upstream_has_server(upstream) == (total > 0));
    for (uint32_t i = 0; i < upstream->origin_count; i++) {
        check(present[i] > 0 || total == UPSTREAM_SERVERS_MAX || !table->is_told[i] ||
              table->counts[i] == 0 || upstream->server_count == UPSTREAM_PLACES_MAX);
    }
}

// Lines come and go: those of a server that left are what keeps its place.
static void lines_draw(struct input *input, struct upstream *upstream) {
    uint8_t busy = byte_next(input);
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        struct upstream_server *server = &upstream->servers[i];
        if (server->address.kind != ADDRESS_NONE) {
            server->lines = busy >> (i % 8) & 1;
            server_settle(server);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct upstream upstream;
    static struct table table;
    struct input input = {.at = data, .end = data + size};
    upstream = (struct upstream){.is_used = true};
    upstream.origin_count = 1u + byte_next(&input) % NAMES;
    for (uint32_t i = 0; i < upstream.origin_count; i++) {
        struct upstream_origin *origin = &upstream.origins[i];
        origin->host_bytes = (uint8_t)strlen(hosts[i]);
        memcpy(origin->host, hosts[i], origin->host_bytes);
        origin->address = (struct address){.kind = ADDRESS_IP, .port = 80};
    }
    struct upstreams upstreams = {.items = &upstream, .item_end = 1, .check_due_ms = 1};
    for (uint32_t i = 0; i < TABLES_MAX && input.at < input.end; i++) {
        table_make(&input, &table);
        records_check(&table);
        upstreams_names_set(&upstreams, span_make(table.bytes, table.length));
        servers_check(&upstream, &table);
        lines_draw(&input, &upstream);
    }
    return 0;
}
