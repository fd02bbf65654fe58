// Relays: pieces of requests and answers on their way, and how they end.
#include "gateway/proxy/proxy.h"

#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/hub/payload.h"
#include "gateway/proxy/internal.h"

uint32_t relay_find(const struct proxy *proxy, uint32_t index) {
    uint32_t number = proxy->relays[index];
    if (number == 0 || number > proxy->pool.limit) {
        return 0;
    }
    const struct proxy_relay *relay = relay_at(proxy, number);
    bool is_its = relay->exchange != 0 && relay->client == index &&
                  relay->generation == conn_at(proxy->conns, index)->generation;
    return is_its ? number : 0;
}

void relay_free(struct proxy *proxy, uint32_t number) {
    struct proxy_relay *relay = relay_at(proxy, number);
    if (relay->block != 0) {
        if (relay_has(relay, RELAY_TUNNEL)) {
            ws_reader_drop((struct ws_reader *)(void *)arena_at(proxy->arena, relay->block),
                           proxy->arena);
        }
        arena_give(proxy->arena, relay->block);
    }
    proxy->relays[relay->client] = 0; // 0 is nobody's
    relay->exchange = 0;
    pool_give(&proxy->pool, number);
}

static bool is_relaying(const struct proxy *proxy, uint32_t index) {
    return conn_at(proxy->conns, index)->state == CONN_RELAY;
}

// --- the request

static uint32_t hash_of(struct span key) {
    static const uint64_t same_everywhere[2] = {0, 0}; // workers and processes must agree
    uint32_t hash = (uint32_t)siphash(same_everywhere, key);
    return hash + (hash == 0); // 0 is none
}

static uint32_t balance_hash(const struct http_request *request, const struct address *client,
                             const struct config_upstream *upstream) {
    struct span key = span_empty();
    const struct http_field *field = NULL;
    char name[128];
    switch ((enum config_balance)upstream->balance) {
    case CONFIG_BALANCE_LEAST_PENDING:
        return 0;
    case CONFIG_BALANCE_ADDRESS:
        return hash_of(span_make(client->ip, sizeof client->ip));
    case CONFIG_BALANCE_PATH:
        return hash_of(request->path);
    case CONFIG_BALANCE_COOKIE:
        return http_cookie_find(request, upstream->balance_name, &key) ? hash_of(key) : 0;
    case CONFIG_BALANCE_HEADER:
        check(upstream->balance_name.length < sizeof name);
        memcpy(name, upstream->balance_name.data, upstream->balance_name.length);
        name[upstream->balance_name.length] = 0;
        field = http_field_find(request, name, NULL);
        return field == NULL ? 0 : hash_of(field->value);
    }
    return 0;
}

static void refuse(struct proxy *proxy, uint32_t index, const struct fault *fault) {
    struct http_refusal refusal = {.fault = fault};
    conn_refuse(proxy->conns, index, &refusal);
}

static uint16_t relay_flags(const struct http_request *request, bool is_upgrade) {
    return (uint16_t)((request->is_chunked ? RELAY_SENDS_CHUNKS : 0) |
                      (request->method == HTTP_HEAD ? RELAY_TO_HEAD : 0) |
                      (request->version_minor == 0 ? RELAY_IS_OLD : 0) |
                      (is_upgrade ? RELAY_UPGRADES : 0));
}

static uint8_t ask_flags(const struct http_request *request, bool has_body, bool is_upgrade) {
    bool is_safe = request->method == HTTP_GET || request->method == HTTP_HEAD ||
                   request->method == HTTP_OPTIONS;
    return (uint8_t)((request->method == HTTP_HEAD ? UPSTREAM_ASK_HEAD : 0) |
                     (is_safe && !has_body ? UPSTREAM_ASK_SAFE : 0) |
                     (is_upgrade ? UPSTREAM_ASK_UPGRADE : 0));
}

// A relay for the request, with the exchange that it asks for, or NULL and *fault.
static bool relay_open(struct proxy *proxy, uint32_t index, const struct proxy_ask *ask,
                       uint32_t block, const struct fault **fault) {
    const struct http_request *request = &proxy->conns->request;
    const struct config_upstream *upstream = &ask->config->upstreams[ask->route->upstream];
    struct forward forward = {.request = request,
                              .peer = &ask->peer,
                              .handshake = block == 0 ? NULL : handshake_at(proxy, block),
                              .authority = upstream->servers[0].authority,
                              .prng = &proxy->prng,
                              .certificate = ask->certificate,
                              .identity = ask->identity,
                              .is_trusted = ask->is_trusted,
                              .is_tls = (proxy->bits[index] & proxy->tls_bit) != 0};
    uint32_t head = forward_head(proxy->arena, &forward, fault);
    uint32_t number = head == 0 ? 0 : pool_take(&proxy->pool);
    if (number == 0) {
        if (head != 0) {
            payload_drop(proxy->arena, head);
            *fault = fault_get(FAULT_out_of_memory);
        }
        return false;
    }
    bool has_body = request->is_chunked || request->content_length > 0;
    struct upstream_ask question = {.upstream = ask->route->upstream,
                                    .owner = number,
                                    .head = head,
                                    .hash = balance_hash(request, &ask->client, upstream),
                                    .flags = ask_flags(request, has_body, ask->is_upgrade),
                                    .has_body = has_body};
    *relay_at(proxy, number) =
        (struct proxy_relay){.client = index,
                             .generation = conn_at(proxy->conns, index)->generation,
                             .queue_bytes = (uint32_t)ask->route->backpressure.queue_bytes,
                             .block = block,
                             .flags = relay_flags(request, ask->is_upgrade)};
    uint32_t exchange = upstream_ask(proxy->upstreams, &question, fault);
    if (exchange == 0) {
        pool_give(&proxy->pool, number);
        return false;
    }
    relay_at(proxy, number)->exchange = exchange;
    proxy->relays[index] = number;
    return true;
}

void proxy_on_request(struct proxy *proxy, uint32_t index, const struct proxy_ask *ask) {
    const struct http_request *request = &proxy->conns->request;
    const struct fault *fault = fault_get(FAULT_out_of_memory);
    uint32_t block = ask->is_upgrade ? handshake_open(proxy, request, ask->route) : 0;
    if (ask->is_upgrade && block == 0) {
        refuse(proxy, index, fault);
        return;
    }
    if (!relay_open(proxy, index, ask, block, &fault)) {
        if (block != 0) {
            arena_give(proxy->arena, block);
        }
        refuse(proxy, index, fault);
        return;
    }
    conn_relay(proxy->conns, index, ask->settings);
    if (request->is_chunked || request->content_length > 0) {
        conn_pause(proxy->conns, index); // not read before there is somebody to read it for
    }
}

// A piece as it goes on: bare, or as a chunk. 0: no memory.
static uint32_t piece_payload(struct arena *arena, struct span piece, bool is_chunk) {
    if (!is_chunk) {
        return payload_bytes(arena, piece);
    }
    uint8_t head[HTTP_CHUNK_HEAD_BYTES_MAX];
    uint32_t head_bytes = http_chunk_head_write(head, piece.length);
    uint8_t *data;
    uint32_t payload = payload_reserve(arena, 0, head_bytes + piece.length + 2, &data);
    if (payload != 0) {
        memcpy(data, head, head_bytes);
        memcpy(data + head_bytes, piece.data, piece.length);
        memcpy(data + head_bytes + piece.length, "\r\n", 2);
    }
    return payload;
}

static uint32_t last_chunk(struct arena *arena) {
    return payload_bytes(arena, span_text("0\r\n\r\n"));
}

void relay_abort(struct proxy *proxy, uint32_t number, const struct fault *fault) {
    struct proxy_relay *relay = relay_at(proxy, number);
    uint32_t index = relay->client;
    upstream_drop(proxy->upstreams, relay->exchange, false);
    relay_free(proxy, number);
    if (!is_relaying(proxy, index)) {
        return;
    }
    if (conn_relay_has_reply(proxy->conns, index)) {
        conn_relay_cut(proxy->conns, index, (enum fault_id)fault->id);
    } else {
        refuse(proxy, index, fault);
    }
}

void proxy_on_ask(struct proxy *proxy, uint32_t index, const struct conn_event *event) {
    uint32_t number = relay_find(proxy, index);
    check(number != 0); // a body is read only while its exchange is under way
    struct proxy_relay *relay = relay_at(proxy, number);
    if (event->fault != NULL) {
        relay_abort(proxy, number, event->fault);
        return;
    }
    bool is_chunk = relay_has(relay, RELAY_SENDS_CHUNKS);
    if (event->payload.length > 0) {
        uint32_t payload = piece_payload(proxy->arena, event->payload, is_chunk);
        if (payload == 0) {
            relay_abort(proxy, number, fault_get(FAULT_out_of_memory));
            return;
        }
        upstream_send(proxy->upstreams, relay->exchange, payload);
    }
    if (event->is_final) {
        uint32_t payload = is_chunk ? last_chunk(proxy->arena) : 0;
        if (is_chunk && payload == 0) {
            relay_abort(proxy, number, fault_get(FAULT_out_of_memory));
            return;
        }
        if (is_chunk) {
            upstream_send(proxy->upstreams, relay->exchange, payload);
        }
        upstream_send_end(proxy->upstreams, relay->exchange);
    } else if (upstream_queued_bytes(proxy->upstreams, relay->exchange) > relay->queue_bytes / 2) {
        conn_pause(proxy->conns, index);
    }
}

// --- the answer

bool client_is_behind(const struct proxy *proxy, const struct proxy_relay *relay, uint32_t part) {
    uint32_t queued = conn_at(proxy->conns, relay->client)->outbox.queued_bytes;
    return queued > relay->queue_bytes / part;
}

// Queues for the client; at a client that is gone the exchange is dropped. False: it is over.
static bool relay_put(struct proxy *proxy, uint32_t number, uint32_t payload) {
    struct proxy_relay *relay = relay_at(proxy, number);
    if (!conn_relay_put(proxy->conns, relay->client, payload)) {
        upstream_drop(proxy->upstreams, relay->exchange, false);
        relay_free(proxy, number);
        return false;
    }
    return true;
}

static void on_interim(struct proxy *proxy, uint32_t number, const struct http_response *response) {
    const struct proxy_relay *relay = relay_at(proxy, number);
    if (relay_has(relay, RELAY_IS_OLD)) {
        return; // HTTP/1.0 knows none (RFC 9110 15.2)
    }
    uint32_t payload = backward_head(proxy->arena, &(struct backward){.response = response});
    if (!conn_relay_put_interim(proxy->conns, relay->client, payload)) {
        upstream_drop(proxy->upstreams, relay->exchange, false);
        relay_free(proxy, number);
    }
}

static void on_head(struct proxy *proxy, uint32_t number, const struct http_response *response) {
    struct proxy_relay *relay = relay_at(proxy, number);
    struct conns *conns = proxy->conns;
    bool is_to_head = relay_has(relay, RELAY_TO_HEAD);
    if (relay_has(relay, RELAY_UPGRADES) && tunnel_on_head(proxy, number, response)) {
        return;
    }
    if (!is_relaying(proxy, relay->client)) {
        upstream_drop(proxy->upstreams, relay->exchange, false);
        relay_free(proxy, number);
        return;
    }
    bool has_body = http_response_has_body(response, is_to_head);
    bool has_length = !has_body || (response->has_content_length && !response->is_chunked);
    bool is_old = relay_has(relay, RELAY_IS_OLD);
    bool keeps = !is_old && conn_relay_keeps(conns, relay->client) &&
                 !conn_relay_reads(conns, relay->client);
    if (!has_length) {
        relay_set(relay, is_old ? RELAY_UNTIL_END : RELAY_ANSWERS_CHUNKS);
    }
    if (keeps) {
        relay_set(relay, RELAY_KEEPS);
    }
    struct backward backward = {
        .response = response,
        .date = conns->wall_s == 0 ? span_empty() : span_make(conns->date, HTTP_DATE_BYTES),
        .is_to_head = is_to_head,
        .is_chunked = relay_has(relay, RELAY_ANSWERS_CHUNKS),
        .closes = !keeps};
    relay_put(proxy, number, backward_head(proxy->arena, &backward));
}

static void on_piece(struct proxy *proxy, uint32_t number, struct span piece) {
    struct proxy_relay *relay = relay_at(proxy, number);
    bool is_chunk = relay_has(relay, RELAY_ANSWERS_CHUNKS);
    if (!relay_put(proxy, number, piece_payload(proxy->arena, piece, is_chunk))) {
        return;
    }
    if (client_is_behind(proxy, relay, 2)) {
        upstream_pause(proxy->upstreams, relay->exchange);
        relay_set(relay, RELAY_HOLDS_SERVICE);
    }
}

static void on_end(struct proxy *proxy, uint32_t number) {
    struct proxy_relay *relay = relay_at(proxy, number);
    uint32_t index = relay->client;
    bool keeps = relay_has(relay, RELAY_KEEPS);
    bool is_chunked = relay_has(relay, RELAY_ANSWERS_CHUNKS);
    relay_free(proxy, number);
    if (is_chunked && !conn_relay_put(proxy->conns, index, last_chunk(proxy->arena))) {
        return;
    }
    conn_relay_end(proxy->conns, index, keeps);
}

static void on_failed(struct proxy *proxy, uint32_t number, const struct fault *fault) {
    struct proxy_relay *relay = relay_at(proxy, number);
    uint32_t index = relay->client;
    bool is_until_end = relay_has(relay, RELAY_UNTIL_END);
    relay_free(proxy, number);
    if (!is_relaying(proxy, index)) {
        return;
    }
    if (!conn_relay_has_reply(proxy->conns, index)) {
        refuse(proxy, index, fault);
    } else if (is_until_end) { // an orderly end would say that it was all
        conn_kill(proxy->conns, index, (enum fault_id)fault->id);
    } else {
        conn_relay_cut(proxy->conns, index, (enum fault_id)fault->id);
    }
}

// The service has taken bytes: the client's body is read from the first time on, and again when
// little waits.
static void on_taken(struct proxy *proxy, uint32_t number) {
    struct proxy_relay *relay = relay_at(proxy, number);
    bool is_first = !relay_has(relay, RELAY_BEGUN);
    uint32_t queued = upstream_queued_bytes(proxy->upstreams, relay->exchange);
    relay_set(relay, RELAY_BEGUN);
    if (is_relaying(proxy, relay->client) && (is_first || queued <= relay->queue_bytes / 4)) {
        conn_unpause(proxy->conns, relay->client);
    }
}

void proxy_on_event(void *context, const struct upstream_event *event) {
    struct proxy *proxy = context;
    uint32_t number = event->owner;
    check(relay_at(proxy, number)->exchange == event->exchange);
    if (relay_has(relay_at(proxy, number), RELAY_TUNNEL)) {
        tunnel_on_event(proxy, number, event);
        return;
    }
    switch (event->kind) {
    case UPSTREAM_INTERIM:
        on_interim(proxy, number, event->response);
        return;
    case UPSTREAM_HEAD:
        on_head(proxy, number, event->response);
        return;
    case UPSTREAM_PIECE:
        on_piece(proxy, number, event->piece);
        return;
    case UPSTREAM_END:
        on_end(proxy, number);
        return;
    case UPSTREAM_SENT:
        on_taken(proxy, number);
        return;
    case UPSTREAM_FAILED:
        on_failed(proxy, number, event->fault);
        return;
    case UPSTREAM_RAW: // of tunnels
    case UPSTREAM_RAW_END:
    case UPSTREAM_DUE:
        check(false);
        return;
    }
}

void proxy_on_sent(struct proxy *proxy, uint32_t index) {
    uint32_t number = relay_find(proxy, index);
    if (number == 0) {
        return;
    }
    struct proxy_relay *relay = relay_at(proxy, number);
    if (relay_has(relay, RELAY_HOLDS_SERVICE) && !client_is_behind(proxy, relay, 4)) {
        relay_clear(relay, RELAY_HOLDS_SERVICE);
        upstream_unpause(proxy->upstreams, relay->exchange);
    }
}

void proxy_on_gone(struct proxy *proxy, uint32_t index) {
    uint32_t number = relay_find(proxy, index);
    if (number == 0) {
        return;
    }
    if (relay_has(relay_at(proxy, number), RELAY_TUNNEL)) {
        tunnel_on_gone(proxy, number);
        return;
    }
    upstream_drop(proxy->upstreams, relay_at(proxy, number)->exchange, false);
    relay_free(proxy, number);
}
