// What a client of the channel envelope asks: subscribe, unsubscribe, publish, and whatever else it
// sends. The first byte of the input chooses how homes answer and which kinds the route takes; the
// rest are lines, each of them one text message (the first byte 2: a binary one); an empty line
// lets the homes answer. An independent reader holds each answer against what was asked: every ask
// gets one, in order, until the Close. After each client nothing may be left.
#include "core/base/check.h"
#include "core/ws/frame.h"
#include "gateway/auth/json_memory.h"
#include "gateway/route/channel_name.h"
#include "gateway/stream/internal.h"
#include "tests/fuzz/fuzz_memory.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 << 20, CONNS = 2, NAMES = 100, ROUNDS = 64, ASKS = 1024, TEXT_MAX = 8192 };
enum {
    EARLY = 1,
    TEXT_ONLY = 2,
    BINARY_ONLY = 4
}; // of the first byte; EARLY: homes answer at once

struct expected { // one ask
    const char *answer;
    char name[CHANNEL_NAME_BYTES_MAX + 1]; // empty: none that is valid
};

struct world {
    struct conns conns;
    struct arena arena;
    struct counters counters;
    struct trace trace;
    struct histogram round_trip;
    struct conns_memory memory;
    struct hub hub;
    struct bus bus;
    struct proxy proxy; // that nothing is passed to
    struct stream stream;
    struct site site;
    struct admission *admission;
    struct pool channels, subscriptions, messages, homes;
    struct address addresses[CONNS + 1];
    uint32_t sessions[CONNS + 1], relays[CONNS + 1];
    uint8_t notes[CONNS + 1];
    struct stream_rate rates[CONNS + 1];
    struct stream_paused paused[2 * CONNS];
    struct conn_settings settings[SETTINGS_MAX];
    struct stream_rule rules[SETTINGS_MAX];
    // Of the client of this input:
    struct expected asks[ASKS];
    uint32_t asked, answered;
    bool is_wrong; // it has sent what is no ask: the Close comes, and nothing behind it
    bool is_closed;
};

static void pool_make(struct pool *pool, uint32_t element_bytes, uint32_t limit) {
    pool_init(pool, element_bytes, limit, reserve(pool_space_bytes(element_bytes, limit)),
              reserve(pool_book_bytes(element_bytes, limit)));
}

static int load_nothing(void *context, const char *path, struct span *bytes) {
    (void)context; // there are no files
    (void)path;
    (void)bytes;
    return -ENOENT;
}

static const char *environment_nothing(void *context, const char *name) {
    (void)context; // it is empty
    (void)name;
    return NULL;
}

static void site_make(struct site *site) {
    static const char routes[] =
        "listeners: [{address: 127.0.0.1:8080}]\nlimits: {channels: 4}\nroutes:\n"
        "  - {path: /any, channels: {subscribe: [own.a], publish: own.a, allow: [\"room.*\"]}}\n"
        "  - {path: /text, messages: text, channels: {subscribe: [own.a], allow: [\"room.*\"]}}\n"
        "  - {path: /binary, messages: binary, channels: {publish: own.a, allow: [\"room.*\"]}}\n";
    static struct config_errors errors;
    struct config_source source = {.text = span_text(routes),
                                   .file = "fuzz.yaml",
                                   .load = load_nothing,
                                   .environment = environment_nothing};
    site->config = config_open(&source, &errors);
    check(site->config != NULL);
    site->routes = route_table_open(site->config);
    site->route_open = calloc(site->config->route_count, sizeof *site->route_open);
    check(site->routes != NULL && site->route_open != NULL);
    site->number = 1;
    site->worker_holds = 1;
}

static void conns_make(struct world *world) {
    world->conns = (struct conns){.arena = &world->arena,
                                  .settings = world->settings,
                                  .counters = &world->counters,
                                  .trace = &world->trace,
                                  .round_trip = &world->round_trip,
                                  .head_bytes_max = 8192,
                                  .handshake_ms = 10000};
    world->memory =
        (struct conns_memory){.connection_max = CONNS, .input_max = CONNS, .entry_max = 10000};
    conns_reserve(&world->memory);
    conns_init(&world->conns, &world->memory, 1000000);
}

static void channels_make(struct world *world) {
    static const uint64_t key[2] = {5, 6};
    pool_make(&world->channels, sizeof(struct hub_channel), NAMES);
    pool_make(&world->subscriptions, sizeof(struct hub_subscription), NAMES);
    pool_make(&world->messages, sizeof(struct hub_message), 10000);
    pool_make(&world->homes, 64, NAMES);
    hub_init(&world->hub, &world->channels, &world->subscriptions, &world->messages, &world->arena,
             reserve(table_book_bytes(NAMES)), key);
    struct bus_options options = {.shared = bus_shared_init(reserve(bus_shared_bytes(1)), 1),
                                  .arena = &world->arena,
                                  .counters = &world->counters,
                                  .homes = &world->homes,
                                  .buckets = reserve(table_book_bytes(NAMES)),
                                  .backlog_bytes_max = 16 << 20};
    bus_init(&world->bus, &options);
    // The only thread is awake: nobody rings.
    bus_endpoint_set(&world->bus, (struct io_doorbell){.bell = NULL});
}

static struct world *world_open(void) {
    static const uint64_t key[2] = {1, 2};
    static const struct log_options quiet = {
        .name = "fuzz", .ring_bytes = 1 << 16, .level = LOG_LEVEL_ERROR};
    struct world *world = calloc(1, sizeof *world);
    check(world != NULL);
    arena_init(&world->arena, reserve(ARENA_BYTES), reserve(arena_book_bytes(ARENA_BYTES)),
               ARENA_BYTES);
    json_memory_init();
    json_memory_set(&world->arena);
    conns_make(world);
    channels_make(world);
    site_make(&world->site);
    struct admission_limits limits = {.connections = CONNS};
    world->admission = admission_init(reserve(admission_bytes(CONNS)), &limits, key);
    world->proxy = (struct proxy){.conns = &world->conns, .relays = world->relays};
    world->stream = (struct stream){.conns = &world->conns,
                                    .hub = &world->hub,
                                    .bus = &world->bus,
                                    .arena = &world->arena,
                                    .log = log_open(&quiet),
                                    .admission = world->admission,
                                    .proxy = &world->proxy,
                                    .addresses = world->addresses,
                                    .sessions = world->sessions,
                                    .notes = world->notes,
                                    .rates = world->rates,
                                    .paused = world->paused,
                                    .paused_max = 2 * CONNS,
                                    .settings = world->settings,
                                    .rules = world->rules};
    check(stream_site_fits(&world->stream, &world->site));
    stream_site_set(&world->stream, &world->site);
    return world;
}

// --- what is asked

// One ask as the reference says it, or the first thing that is none.
static void ask_note(struct world *world, struct span text, bool is_text) {
    static const char *const verbs[][2] = {
        {"subscribe", "subscribed"}, {"unsubscribe", "unsubscribed"}, {"publish", "published"}};
    if (world->is_wrong) {
        return;
    }
    struct json_document document;
    json_document_open(&document, text, JSON_ALLOW_NUL);
    const json_t *name = NULL;
    uint32_t found = 0;
    struct expected expected = {.answer = NULL};
    for (uint32_t i = 0; i < 3 && is_text; i++) {
        const json_t *value = json_object_get(document.root, verbs[i][0]);
        if (json_is_string(value)) {
            found++;
            name = value;
            expected.answer = verbs[i][1];
        }
    }
    world->is_wrong = found != 1;
    if (found == 1) {
        struct span span = span_make(json_string_value(name), (uint32_t)json_string_length(name));
        if (channel_name_is_valid(span)) {
            memcpy(expected.name, span.data, span.length);
        }
        check(world->asked < ASKS);
        world->asks[world->asked++] = expected;
    }
    json_document_close(&document);
}

// --- what is answered

static bool is_text_at(const json_t *object, const char *key, const char *text) {
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL && strcmp(value, text) == 0;
}

static void answer_check(struct world *world, const json_t *object) {
    check(world->answered < world->asked);
    const struct expected *ask = &world->asks[world->answered++];
    if (json_object_get(object, "error") != NULL) {
        check(ask->name[0] == '\0' ? json_object_get(object, "channel") == NULL
                                   : is_text_at(object, "channel", ask->name));
        return;
    }
    check(ask->name[0] != '\0' && is_text_at(object, ask->answer, ask->name));
    bool counts = strcmp(ask->answer, "published") == 0;
    check(json_is_integer(json_object_get(object, "subscribers")) == counts);
    check(json_object_size(object) == (counts ? 2u : 1u));
}

static void message_check(struct world *world, struct span text) {
    struct json_document document;
    json_document_open(&document, text, JSON_ALLOW_NUL);
    const json_t *object = document.root;
    check(json_is_object(object));
    if (json_object_get(object, "id") == NULL) {
        answer_check(world, object);
    } else {
        const char *channel = json_string_value(json_object_get(object, "channel"));
        check(channel != NULL && channel_name_is_valid(span_text(channel)));
        check(json_is_string(json_object_get(object, "data")) !=
              json_is_string(json_object_get(object, "base64")));
        check(json_object_size(object) == 3);
    }
    json_document_close(&document);
}

// Whole frames of one gather.
static void output_check(struct world *world, struct span bytes) {
    while (bytes.length > 0) { // each pass takes a frame off
        check(bytes.length >= 2 && !world->is_closed);
        uint32_t head = bytes.data[1] == 126 ? 4 : 2;
        check(bytes.data[1] <= 126 && bytes.length >= head);
        uint32_t length = head == 4 ? (uint32_t)bytes.data[2] << 8 | bytes.data[3] : bytes.data[1];
        check(bytes.length - head >= length);
        struct span payload = span_make(bytes.data + head, length);
        world->is_closed = bytes.data[0] == 0x88;
        if (!world->is_closed) {
            check(bytes.data[0] == 0x81);
            message_check(world, payload);
        }
        bytes = span_from(bytes, head + length);
    }
}

static void gather(struct world *world, uint32_t index, bool is_checked) {
    struct span pieces[SEND_PIECES_MAX];
    uint8_t *bytes = NULL;
    uint32_t length = 0;
    uint32_t count = conn_gather(&world->conns, index, pieces);
    for (uint32_t i = 0; i < count; i++) {
        bytes = realloc(bytes, length + pieces[i].length);
        check(bytes != NULL);
        memcpy(bytes + length, pieces[i].data, pieces[i].length);
        length += pieces[i].length;
    }
    if (count > 0) {
        conn_sent(&world->conns, index, length);
        stream_on_sent(&world->stream, index);
        if (is_checked) {
            output_check(world, span_make(bytes, length));
        }
    }
    free(bytes);
}

// --- the worker's part

static void feed(struct world *world, uint32_t index, struct span_mut bytes) {
    while (bytes.length > 0 || conn_wants_feed(&world->conns, index)) {
        if (!conn_may_feed(&world->conns, index)) {
            conn_hold(&world->conns, index, bytes);
            return;
        }
        struct conn_event event = conn_feed(&world->conns, index, &bytes);
        if (event.kind != CONN_EVENT_NONE) {
            stream_on_ask(&world->stream, index, &event);
        }
    }
}

static void feed_held(struct world *world, uint32_t index) {
    uint32_t block;
    struct span_mut held = conn_held_take(&world->conns, index, &block);
    feed(world, index, held);
    if (block != 0) {
        arena_give(&world->arena, block);
    }
}

static void settle(struct world *world, uint32_t index, bool is_checked) {
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct bus_event event;
        struct hub_delivery delivery;
        while (bus_next(&world->bus, &event)) {
            stream_on_mail(&world->stream, &event);
        }
        stream_resume(&world->stream);
        while (hub_fanout_next(&world->hub, &delivery)) {
            for (uint32_t i = 0; i < delivery.count; i++) {
                (void)conn_send(&world->conns, delivery.subscriber, delivery.payloads[i],
                                delivery.key); // any result is fine
            }
        }
        while (conn_touched_next(&world->conns) != 0) {
            if (conn_may_feed(&world->conns, index)) {
                feed_held(world, index);
            }
            if (conn_at(&world->conns, index)->state != CONN_ENDED) {
                gather(world, index, is_checked);
            }
        }
        bus_flush(&world->bus);
    }
}

static uint32_t client_open(struct world *world, uint8_t how) {
    char request[256];
    int length = snprintf(request, sizeof request,
                          "GET /%s?envelope=json HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                          (how & TEXT_ONLY) != 0     ? "text"
                          : (how & BINARY_ONLY) != 0 ? "binary"
                                                     : "any");
    uint32_t index = conn_open(&world->conns);
    check(index != 0);
    world->addresses[index] = (struct address){.kind = ADDRESS_IP, .ip = {[15] = 1}};
    check(stream_on_open(&world->stream, index));
    feed(world, index, (struct span_mut){.data = (uint8_t *)request, .length = (uint32_t)length});
    settle(world, index, false);
    check(conn_at(&world->conns, index)->state == CONN_OPEN);
    return index;
}

static void client_close(struct world *world, uint32_t index) {
    if (conn_at(&world->conns, index)->state != CONN_ENDED) {
        conn_kill(&world->conns, index, FAULT_killed);
    }
    stream_on_gone(&world->stream, index);
    conn_release(&world->conns, index);
    settle(world, index, false);
    check(world->conns.pool.used == 0 && world->conns.entries.used == 0);
    check(world->channels.used == 0 && world->subscriptions.used == 0);
    check(world->messages.used == 0 && world->homes.used == 0);
    check(world->arena.used_bytes == 0);
    check(world->stream.paused_count == 0 && admission_open_count(world->admission) == 0);
}

static void line_send(struct world *world, uint32_t index, struct span line) {
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    bool is_text = line.data[0] != 2;
    line = span_from(line, is_text ? 0 : 1);
    uint8_t *frame = malloc(FRAME_HEAD_BYTES_MAX + line.length); // its end is seen by ASan
    check(frame != NULL);
    uint32_t head =
        ws_frame_head_encode_masked(frame, is_text ? WS_TEXT : WS_BINARY, 0, line.length, key);
    for (uint32_t i = 0; i < line.length; i++) {
        frame[head + i] = line.data[i] ^ key[i % 4];
    }
    ask_note(world, line, is_text);
    uint8_t *exact = malloc(head + line.length);
    check(exact != NULL);
    memcpy(exact, frame, head + line.length);
    free(frame);
    feed(world, index, (struct span_mut){.data = exact, .length = head + line.length});
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct world *world;
    if (world == NULL) {
        world = world_open();
    }
    if (size == 0 || size > TEXT_MAX) {
        return 0;
    }
    world->asked = world->answered = 0;
    world->is_wrong = world->is_closed = false;
    uint32_t index = client_open(world, data[0]);
    struct span rest = span_make(data + 1, (uint32_t)size - 1);
    while (rest.length > 0 && world->asked < ASKS &&
           conn_at(&world->conns, index)->state == CONN_OPEN) {
        int64_t end = span_find(rest, '\n');
        struct span line = span_first(rest, end < 0 ? rest.length : (uint32_t)end);
        rest = span_from(rest, end < 0 ? rest.length : line.length + 1);
        if (line.length > 0) {
            line_send(world, index, line);
        }
        if (line.length == 0 || (data[0] & EARLY) != 0) {
            settle(world, index, true);
        }
    }
    settle(world, index, true);
    check(world->is_closed == world->is_wrong);
    check(world->is_closed || world->answered == world->asked);
    client_close(world, index);
    return 0;
}
