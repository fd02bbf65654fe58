// What a service that is asked who a client is may answer. The first byte of the input chooses how
// much is remembered; the rest are answers, each up to a byte of 0: a head, and what follows it is
// its body; without a whole head, the line fails. Each is the answer to a question of its own, of
// one of four clients. Who comes in is held against the answer's own bytes; at the end nothing may
// be left.
#include "core/base/check.h"
#include "core/hub/payload.h"
#include "gateway/auth/forward_internal.h"
#include "tests/fuzz/fuzz_memory.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 << 20, INPUT_MAX = 8192, CLIENTS = 4, FIELDS = 2 };

struct world {
    struct upstreams upstreams;
    struct arena arena;
    struct counters counters;
    struct forwards forwards;
    struct config_auth auth;
    struct config_upstream upstream;
    struct config_server server;
    struct config config;
    struct http_response response;
    struct span answer; // to the question under way
    uint32_t exchange;  // of it; 0: none
    uint32_t owner;
    bool is_told;
};

static const struct span sent = {(const uint8_t *)"Cookie", 6};
static const struct config_forward_field fields[FIELDS] = {
    {.header = {(const uint8_t *)"X-User", 6}, .claim = {(const uint8_t *)"sub", 3}},
    {.header = {(const uint8_t *)"X-Org", 5}, .passes = true}};
static struct world *world;

// Stand in for those of gateway/upstream: an exchange is what this input answers.
uint32_t upstream_ask(struct upstreams *upstreams, const struct upstream_ask *ask,
                      const struct fault **fault) {
    check(ask->head != 0 && (ask->owner & FORWARD_OWNER_TAG) != 0);
    payload_drop(upstreams->arena, ask->head);
    world->owner = ask->owner;
    world->exchange++;
    *fault = NULL;
    return world->exchange;
}

void upstream_drop(struct upstreams *upstreams, uint32_t exchange, bool flushes) {
    check(upstreams == &world->upstreams && exchange == world->exchange && !flushes);
    world->owner = 0; // no event of it comes
}

// --- what the answer says, read without core/http

static bool is_alike(uint8_t a, uint8_t b) {
    uint8_t lower_a = a >= 'A' && a <= 'Z' ? (uint8_t)(a | 0x20) : a;
    uint8_t lower_b = b >= 'A' && b <= 'Z' ? (uint8_t)(b | 0x20) : b;
    return lower_a == lower_b;
}

// Whether one of the head's lines is `name`, a colon, and that value between blanks.
static bool is_said(struct span head, struct span name, struct span value) {
    for (uint32_t at = 0; at + name.length + 1 + value.length <= head.length; at++) {
        bool is_it = at > 0 && head.data[at - 1] == '\n' && head.data[at + name.length] == ':';
        for (uint32_t i = 0; is_it && i < name.length; i++) {
            is_it = is_alike(head.data[at + i], name.data[i]);
        }
        uint32_t begin = at + name.length + 1;
        while (is_it && begin < head.length &&
               (head.data[begin] == ' ' || head.data[begin] == '\t')) {
            begin++;
        }
        if (is_it && begin + value.length <= head.length &&
            memcmp(head.data + begin, value.data, value.length) == 0) {
            return true;
        }
    }
    return false;
}

static void verdict_check(struct span answer, const struct forward_verdict *verdict) {
    if (verdict->fault != FAULT_none) {
        check(verdict->reason != NULL && !verdict->is_stale);
        return;
    }
    check(answer.length > 10 && answer.data[9] == '2'); // HTTP/1.x 2
    uint32_t total = 0;
    for (uint32_t i = 0; i < FIELDS; i++) {
        total += verdict->values[i].length;
        check(verdict->values[i].length == 0 ||
              is_said(answer, fields[i].header, verdict->values[i]));
    }
    check(total <= FORWARD_VALUES_BYTES_MAX);
}

static void on_verdict(void *context, uint64_t token, const struct forward_verdict *verdict) {
    check(context == world && token == 7 && !world->is_told);
    world->is_told = true;
    verdict_check(world->answer, verdict);
}

// --- one question

static void tell(enum upstream_event_kind kind, struct span piece) {
    if (world->owner == 0 || world->is_told) {
        return; // it was dropped, or is over
    }
    struct upstream_event event = {.kind = kind,
                                   .owner = world->owner,
                                   .exchange = world->exchange,
                                   .response = &world->response,
                                   .piece = piece,
                                   .fault = fault_get(FAULT_answer_malformed)};
    forwards_on_event(&world->forwards, &event);
}

static void answer(struct span bytes) {
    uint32_t length = 0;
    while (length < bytes.length &&
           (length < 4 || memcmp(bytes.data + length - 4, "\r\n\r\n", 4))) {
        length++;
    }
    struct span head = span_first(bytes, length);
    bool is_whole = length >= 4 && memcmp(head.data + length - 4, "\r\n\r\n", 4) == 0 &&
                    http_response_parse(head, &world->response) == NULL &&
                    world->response.status >= 200;
    if (!is_whole) {
        tell(UPSTREAM_FAILED, span_empty());
        return;
    }
    tell(UPSTREAM_HEAD, span_empty());
    if (bytes.length > length) {
        tell(UPSTREAM_PIECE, span_from(bytes, length));
    }
    tell(UPSTREAM_END, span_empty());
}

static void ask(uint32_t client, struct span bytes) {
    char head[64];
    int length = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nCookie: c=%u\r\n\r\n",
                          client % CLIENTS);
    struct http_request request;
    check(http_request_parse(span_make(head, (uint32_t)length), &request) == NULL);
    struct forward_question question = {
        .request = &request, .auth = &world->auth, .client = {.kind = ADDRESS_IP}, .token = 7};
    struct forward_verdict verdict;
    world->is_told = false;
    world->answer = bytes;
    uint32_t number = forwards_ask(&world->forwards, &question, &verdict);
    if (number == 0) { // remembered: it came in by another answer
        check(verdict.fault == FAULT_none);
        return;
    }
    answer(bytes);
    check(world->is_told);
}

static void world_open(void) {
    world = calloc(1, sizeof *world);
    check(world != NULL);
    arena_init(&world->arena, reserve(ARENA_BYTES), reserve(arena_book_bytes(ARENA_BYTES)),
               ARENA_BYTES);
    world->server.authority = span_text("auth:80");
    world->upstream = (struct config_upstream){.servers = &world->server, .server_count = 1};
    world->auth = (struct config_auth){.kind = CONFIG_AUTH_FORWARD,
                                       .forward = {.target = span_text("/check"),
                                                   .sent = &sent,
                                                   .sent_count = 1,
                                                   .fields = fields,
                                                   .field_count = FIELDS}};
    world->config = (struct config){
        .upstreams = &world->upstream, .upstream_count = 1, .auths = &world->auth, .auth_count = 1};
    world->upstreams.arena = &world->arena;
    struct forwards_memory memory;
    forwards_memory_size(&memory);
    struct memory *ranges[] = {&memory.ask_space, &memory.ask_book, &memory.entry_space,
                               &memory.entry_book, &memory.buckets};
    for (uint32_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = reserve(ranges[i]->length);
    }
    world->forwards = (struct forwards){.upstreams = &world->upstreams,
                                        .arena = &world->arena,
                                        .counters = &world->counters,
                                        .owner = {.context = world, .on_verdict = on_verdict}};
    forwards_init(&world->forwards, &memory, (const uint64_t[4]){1, 2, 3, 4});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (world == NULL) {
        world_open();
    }
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    world->auth.forward.cache_ms = (data[0] & 1) != 0 ? 1000 : 0;
    world->auth.forward.entries = 1 + (data[0] >> 1 & 3);
    forwards_config_set(&world->forwards, &world->config);
    struct span rest = span_make(data + 1, (uint32_t)size - 1);
    for (uint32_t client = data[0] >> 4; rest.length > 0; client++) { // each pass takes one off
        int64_t end = span_find(rest, 0);
        struct span bytes = span_first(rest, end < 0 ? rest.length : (uint32_t)end);
        uint8_t *copy = malloc(bytes.length + 1u); // its end is seen by ASan
        check(copy != NULL);
        memcpy(copy, bytes.data, bytes.length);
        ask(client, span_make(copy, bytes.length));
        free(copy);
        rest = span_from(rest, end < 0 ? rest.length : bytes.length + 1);
        world->upstreams.now_ms += 400;
    }
    forwards_config_set(&world->forwards, &world->config); // forgets
    check(world->forwards.entries.used == 0 && world->forwards.asks.used == 0);
    check(world->arena.used_bytes == 0);
    return 0;
}
