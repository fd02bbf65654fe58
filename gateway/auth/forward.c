// Asks of services: who is this?
#include "gateway/auth/forward.h"

#include "core/base/check.h"
#include "core/base/digest.h"
#include "core/http/writer.h"
#include "core/hub/payload.h"
#include "gateway/auth/forward_internal.h"

enum { HEAD_SPARE_BYTES = 512 }; // for the fields that we write, beside what is repeated

void forwards_memory_size(struct forwards_memory *memory) {
    memory->ask_space.length = pool_space_bytes(FORWARD_ASK_BYTES, FORWARD_ASKS_MAX);
    memory->ask_book.length = pool_book_bytes(FORWARD_ASK_BYTES, FORWARD_ASKS_MAX);
    memory->entry_space.length = pool_space_bytes(FORWARD_ENTRY_BYTES, FORWARD_ENTRIES_MAX);
    memory->entry_book.length = pool_book_bytes(FORWARD_ENTRY_BYTES, FORWARD_ENTRIES_MAX);
    memory->buckets.length = table_book_bytes(FORWARD_ENTRIES_MAX);
}

void forwards_init(struct forwards *forwards, const struct forwards_memory *memory,
                   const uint64_t secret[4]) {
    memcpy(forwards->secret, secret, sizeof forwards->secret);
    pool_init(&forwards->asks, FORWARD_ASK_BYTES, FORWARD_ASKS_MAX, memory->ask_space,
              memory->ask_book);
    cache_init(forwards, memory);
}

void forwards_config_set(struct forwards *forwards, const struct config *config) {
    cache_forget(forwards);
    forwards->config = config;
    forwards->generation++;
}

// --- the request

static bool is_sent(const struct config_forward *rules, struct span name) {
    for (uint32_t i = 0; i < rules->sent_count; i++) {
        if (span_equal_nocase(rules->sent[i], name)) {
            return true;
        }
    }
    return false;
}

static void head_put(struct http_writer *writer, const struct forward_question *question,
                     struct span authority) {
    const struct http_request *request = question->request;
    const struct config_forward *rules = &question->auth->forward;
    char address[ADDRESS_TEXT_BYTES];
    address_format(&question->client, false, address);
    http_put_text(writer, "GET ");
    http_put(writer, rules->target);
    http_put_text(writer, " HTTP/1.1\r\n");
    http_put_field(writer, span_text("Host"), authority);
    http_put_field(writer, span_text("X-Forwarded-Method"), request->method_text);
    http_put_field(writer, span_text("X-Forwarded-Proto"),
                   span_text(question->is_tls ? "https" : "http"));
    if (request->host.length > 0) {
        http_put_field(writer, span_text("X-Forwarded-Host"), request->host);
    }
    http_put_field(writer, span_text("X-Forwarded-For"), span_text(address));
    http_put_text(writer, "X-Forwarded-Uri: ");
    http_put(writer, request->path);
    http_put_text(writer, request->query.length > 0 ? "?" : "");
    http_put(writer, request->query);
    http_put_text(writer, "\r\n");
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (is_sent(rules, request->fields[i].name)) {
            http_put_field(writer, request->fields[i].name, request->fields[i].value);
        }
    }
    http_put_text(writer, "\r\n");
}

static uint32_t head_room(const struct forward_question *question, struct span authority) {
    const struct http_request *request = question->request;
    uint32_t room = HEAD_SPARE_BYTES + authority.length + question->auth->forward.target.length +
                    request->method_text.length + request->host.length + request->target.length;
    for (uint32_t i = 0; i < request->field_count; i++) {
        room += request->fields[i].name.length + request->fields[i].value.length + 4;
    }
    return room;
}

// A payload; 0: no memory.
static uint32_t head_make(struct forwards *forwards, const struct forward_question *question) {
    const struct config_upstream *upstream =
        &forwards->config->upstreams[question->auth->forward.upstream];
    struct span authority = upstream->servers[0].authority;
    struct http_writer writer = {.room = head_room(question, authority)};
    uint32_t payload = payload_reserve(forwards->arena, 0, writer.room, &writer.data);
    if (payload != 0) {
        head_put(&writer, question, authority);
        check(!writer.is_over); // nothing is written but what was counted, and the spare
        payload_trim(forwards->arena, payload, writer.length);
    }
    return payload;
}

static struct forward_key key_make(const struct forwards *forwards, uint32_t head, uint64_t auth) {
    struct span sent = payload_wire(forwards->arena, head);
    return (struct forward_key){
        .hash = {siphash(&forwards->secret[0], sent), siphash(&forwards->secret[2], sent)},
        .auth = auth};
}

// --- the verdict

static struct forward_verdict refused(enum fault_id fault, const char *reason) {
    return (struct forward_verdict){.fault = fault, .reason = reason};
}

static struct forward_verdict let_in(const struct forwards *forwards, uint32_t block,
                                     const struct config_forward *rules) {
    const struct forward_values *values =
        (const struct forward_values *)(const void *)arena_at(forwards->arena, block);
    const uint8_t *at = (const uint8_t *)(values + 1);
    struct forward_verdict verdict = {.fault = FAULT_none};
    for (uint32_t i = 0; i < rules->field_count; i++) {
        verdict.values[i] = span_make(at, values->bytes[i]);
        at += values->bytes[i];
    }
    return verdict;
}

uint32_t forwards_ask(struct forwards *forwards, const struct forward_question *question,
                      struct forward_verdict *verdict) {
    const struct config_forward *rules = &question->auth->forward;
    *verdict = refused(FAULT_auth_unavailable, "there is no memory for the question");
    uint32_t head = head_make(forwards, question);
    if (head == 0) {
        return 0;
    }
    uint64_t auth = (uint64_t)(question->auth - forwards->config->auths);
    struct forward_key key = key_make(forwards, head, auth);
    uint32_t values = rules->cache_ms == 0 ? 0 : cache_find(forwards, &key);
    if (values != 0) {
        counter_add(forwards->counters, COUNTER_auth_remembered, 1);
        payload_drop(forwards->arena, head);
        *verdict = let_in(forwards, values, rules);
        return 0;
    }
    uint32_t number = pool_take(&forwards->asks);
    if (number == 0) {
        payload_drop(forwards->arena, head);
        *verdict = refused(FAULT_auth_unavailable, "too many questions are under way");
        return 0;
    }
    struct upstream_ask ask = {.upstream = rules->upstream,
                               .owner = FORWARD_OWNER_TAG | number,
                               .head = head,
                               .flags = UPSTREAM_ASK_SAFE};
    const struct fault *fault;
    uint32_t exchange = upstream_ask(forwards->upstreams, &ask, &fault);
    if (exchange == 0) {
        pool_give(&forwards->asks, number);
        *verdict = refused(FAULT_auth_unavailable, fault->text);
        return 0;
    }
    counter_add(forwards->counters, COUNTER_auth_asked, 1);
    *ask_at(forwards, number) = (struct forward_ask){.key = key,
                                                     .token = question->token,
                                                     .exchange = exchange,
                                                     .generation = forwards->generation};
    return number;
}

static void ask_free(struct forwards *forwards, uint32_t number) {
    if (ask_at(forwards, number)->values != 0) {
        arena_give(forwards->arena, ask_at(forwards, number)->values);
    }
    pool_give(&forwards->asks, number);
}

void forwards_cancel(struct forwards *forwards, uint32_t number) {
    upstream_drop(forwards->upstreams, ask_at(forwards, number)->exchange, false);
    ask_free(forwards, number);
}

// NULL, or what is wrong with the answer.
static const char *values_take(struct forwards *forwards, struct forward_ask *ask,
                               const struct http_response *response) {
    const struct config_forward *rules = &forwards->config->auths[ask->key.auth].forward;
    const struct http_field *found[FORWARD_FIELDS_MAX] = {NULL};
    uint32_t total = 0;
    for (uint32_t i = 0; i < response->field_count; i++) {
        for (uint32_t j = 0; j < rules->field_count; j++) {
            if (!span_equal_nocase(response->fields[i].name, rules->fields[j].header)) {
                continue;
            }
            if (found[j] != NULL) {
                return "the service says a header twice";
            }
            found[j] = &response->fields[i];
            total += response->fields[i].value.length;
        }
    }
    if (total > FORWARD_VALUES_BYTES_MAX) {
        return "the service says too much";
    }
    ask->values = arena_take(forwards->arena, sizeof(struct forward_values) + total);
    if (ask->values == 0) {
        return "there is no memory for the answer";
    }
    struct forward_values *values =
        (struct forward_values *)(void *)arena_at(forwards->arena, ask->values);
    *values = (struct forward_values){.bytes = {0}};
    uint8_t *at = (uint8_t *)(values + 1);
    for (uint32_t j = 0; j < rules->field_count; j++) {
        if (found[j] != NULL && found[j]->value.length > 0) {
            values->bytes[j] = (uint16_t)found[j]->value.length;
            memcpy(at, found[j]->value.data, found[j]->value.length);
            at += found[j]->value.length;
        }
    }
    return NULL;
}

static bool is_stale(const struct forwards *forwards, const struct forward_ask *ask) {
    return ask->generation != forwards->generation;
}

static struct forward_verdict verdict_make(const struct forwards *forwards,
                                           const struct forward_ask *ask, const char *problem) {
    if (is_stale(forwards, ask)) {
        return (struct forward_verdict){.is_stale = true};
    }
    if (problem != NULL) {
        return refused(FAULT_auth_unavailable, problem);
    }
    if (ask->values != 0) {
        return let_in(forwards, ask->values, &forwards->config->auths[ask->key.auth].forward);
    }
    switch (ask->status) {
    case 401:
        return refused(FAULT_token_refused, "the service answered 401");
    case 403:
        return refused(FAULT_auth_forbidden, "the service answered 403");
    default:
        return refused(FAULT_auth_unavailable, "the service answered neither 2xx nor 401 nor 403");
    }
}

static void finish(struct forwards *forwards, uint32_t number, const char *problem) {
    struct forward_ask ask = *ask_at(forwards, number);
    pool_give(&forwards->asks, number);
    struct forward_verdict verdict = verdict_make(forwards, &ask, problem);
    counter_add(forwards->counters, COUNTER_auth_unanswered,
                verdict.fault == FAULT_auth_unavailable);
    forwards->owner.on_verdict(forwards->owner.context, ask.token, &verdict);
    bool is_kept = problem == NULL && ask.values != 0 && !is_stale(forwards, &ask) &&
                   forwards->config->auths[ask.key.auth].forward.cache_ms > 0;
    if (is_kept) {
        cache_put(forwards, &ask.key, ask.values, &forwards->config->auths[ask.key.auth].forward);
    } else if (ask.values != 0) {
        arena_give(forwards->arena, ask.values);
    }
}

static void on_head(struct forwards *forwards, uint32_t number,
                    const struct http_response *response) {
    struct forward_ask *ask = ask_at(forwards, number);
    ask->status = response->status;
    bool is_in = response->status / 100 == 2 && !is_stale(forwards, ask);
    const char *problem = is_in ? values_take(forwards, ask, response) : NULL;
    if (problem != NULL) {
        upstream_drop(forwards->upstreams, ask->exchange, false);
        finish(forwards, number, problem);
    }
}

// It says nothing to us; a long one costs the line.
static void on_piece(struct forwards *forwards, uint32_t number, struct span piece) {
    struct forward_ask *ask = ask_at(forwards, number);
    ask->body_bytes += piece.length;
    if (ask->body_bytes > FORWARD_BODY_BYTES_MAX) {
        upstream_drop(forwards->upstreams, ask->exchange, false);
        finish(forwards, number, NULL);
    }
}

void forwards_on_event(struct forwards *forwards, const struct upstream_event *event) {
    uint32_t number = event->owner & ~FORWARD_OWNER_TAG;
    check(ask_at(forwards, number)->exchange == event->exchange);
    switch (event->kind) {
    case UPSTREAM_HEAD:
        on_head(forwards, number, event->response);
        return;
    case UPSTREAM_PIECE:
        on_piece(forwards, number, event->piece);
        return;
    case UPSTREAM_END:
        finish(forwards, number, NULL);
        return;
    case UPSTREAM_FAILED:
        finish(forwards, number, event->fault->text);
        return;
    case UPSTREAM_INTERIM:
    case UPSTREAM_SENT:
        return;
    case UPSTREAM_RAW: // we ask for no upgrade
    case UPSTREAM_RAW_END:
    case UPSTREAM_DUE:
        check(false);
        return;
    }
}
