// For the tests and the fuzz target of core/ws: an arena, a builder of frame streams, and a log of
// what a reader made of them, so that two ways of feeding the same bytes can be compared.
#pragma once
#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/base/prng.h"
#include "core/ws/reader.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { STREAM_BYTES_MAX = 8 << 20, TEST_ARENA_BYTES = 64 << 20 };

struct stream {
    uint8_t *bytes;
    uint32_t length;
    uint32_t capacity;
};

static inline void stream_add(struct stream *stream, const void *bytes, uint32_t length) {
    if (stream->length + length > stream->capacity) {
        stream->capacity = (stream->length + length) * 2 + 256;
        stream->bytes = realloc(stream->bytes, stream->capacity);
        check(stream->bytes != NULL);
    }
    if (length > 0) {
        memcpy(stream->bytes + stream->length, bytes, length);
    }
    stream->length += length;
}

static inline void stream_fini(struct stream *stream) {
    free(stream->bytes);
    *stream = (struct stream){0};
}

// A frame: first byte as given (FIN, RSV, opcode), shortest length form; masked when key is not
// NULL.
static inline void stream_frame(struct stream *stream, uint8_t first, const void *payload,
                                uint32_t length, const uint8_t key[4]) {
    uint8_t head[FRAME_HEAD_BYTES_MAX];
    uint32_t head_bytes = key != NULL
                              ? ws_frame_head_encode_masked(head, first & 0x0f, 0, length, key)
                              : ws_frame_head_encode(head, first & 0x0f, 0, length);
    head[0] = first;
    stream_add(stream, head, head_bytes);
    uint32_t start = stream->length;
    stream_add(stream, payload, length);
    for (uint32_t i = 0; key != NULL && i < length; i++) {
        stream->bytes[start + i] ^= key[i % 4];
    }
}

static inline void stream_text(struct stream *stream, uint8_t first, const char *text) {
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d}; // of the RFC's examples
    stream_frame(stream, first, text, (uint32_t)strlen(text), key);
}

struct test_arena {
    struct arena arena;
    struct memory space, book;
};

static inline void test_arena_init(struct test_arena *test, uint64_t limit_bytes) {
    test->book.length = arena_book_bytes(TEST_ARENA_BYTES);
    test->book.data = calloc(1, test->book.length);
    test->space.length = TEST_ARENA_BYTES;
    test->space.data = mmap(NULL, TEST_ARENA_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(test->book.data != NULL && test->space.data != MAP_FAILED);
    arena_init(&test->arena, test->space, test->book, limit_bytes);
}

static inline void test_arena_fini(struct test_arena *test) {
    check(test->arena.used_bytes == 0); // nothing is left
    munmap(test->space.data, test->space.length);
    free(test->book.data);
}

// One event in the log: a fixed head, then the payload.
struct log_head {
    uint32_t kind, opcode, is_compressed, fault, length;
};

// A connection's receiving end. Feeds pieces, logs events, gives blocks back.
struct receiver {
    struct ws_reader reader;
    struct ws_reader_rules rules;
    struct arena *arena;
    struct stream log;
    uint32_t fed_bytes;   // consumed before the end
    bool is_ended;        // by a fault or a refusal
    bool uses_target;     // receives into the message's own memory where it may
    uint32_t target_hits; // pieces that went there
};

static inline void receiver_event(struct receiver *receiver, struct ws_event event) {
    check(event.kind == WS_EVENT_FAULT || event.kind == WS_EVENT_REFUSED ||
          event.payload.data != NULL);
    struct log_head head = {.kind = (uint32_t)event.kind,
                            .opcode = event.opcode,
                            .is_compressed = event.is_compressed,
                            .fault = event.fault == NULL ? UINT32_MAX : event.fault->id,
                            .length = event.payload.length};
    stream_add(&receiver->log, &head, sizeof head);
    stream_add(&receiver->log, event.payload.data, event.payload.length);
    if (event.block != 0) {
        check(event.payload.data == arena_at(receiver->arena, event.block) + WS_MESSAGE_HEADROOM);
        check(event.payload.length + WS_MESSAGE_HEADROOM <=
              arena_block_bytes(receiver->arena, event.block));
        arena_give(receiver->arena, event.block);
    }
    if (event.kind == WS_EVENT_FAULT || event.kind == WS_EVENT_REFUSED) {
        receiver->is_ended = true;
        ws_reader_drop(&receiver->reader, receiver->arena);
    }
}

// Feeds one piece as the connection would: into the target while there is one, else from a buffer
// of exactly its size, so that a sanitizer sees every byte too far.
static inline void receiver_feed(struct receiver *receiver, const uint8_t *bytes, uint32_t length) {
    while (length > 0 && !receiver->is_ended) {
        struct span_mut target = {0};
        if (receiver->uses_target) {
            target = ws_reader_target(&receiver->reader, receiver->arena);
        }
        uint32_t taken = length;
        if (target.length > 0) {
            taken = length < target.length ? length : target.length;
            memcpy(target.data, bytes, taken);
            receiver->target_hits++;
            struct ws_event event =
                ws_reader_received(&receiver->reader, taken, receiver->arena, &receiver->rules);
            if (event.kind != WS_EVENT_NEED_MORE) {
                receiver_event(receiver, event);
            }
        } else {
            uint8_t *copy = malloc(length);
            check(copy != NULL);
            memcpy(copy, bytes, length);
            struct span_mut input = {.data = copy, .length = length};
            while (!receiver->is_ended) {
                struct ws_event event =
                    ws_reader_feed(&receiver->reader, &input, receiver->arena, &receiver->rules);
                if (event.kind == WS_EVENT_NEED_MORE) {
                    check(input.length == 0);
                    break;
                }
                receiver_event(receiver, event);
            }
            free(copy);
        }
        bytes += taken;
        length -= taken;
        receiver->fed_bytes += taken;
    }
}

static inline void receiver_fini(struct receiver *receiver) {
    ws_reader_drop(&receiver->reader, receiver->arena);
    stream_fini(&receiver->log);
}

static inline struct receiver receiver_make(struct arena *arena, struct ws_reader_rules rules) {
    return (struct receiver){.rules = rules, .arena = arena};
}

static inline struct ws_reader_rules test_rules(void) {
    return (struct ws_reader_rules){
        .message_bytes_max = 1 << 20, .fragments_max = 1024, .head = {.expects_mask = true}};
}

// The whole stream in one feed.
static inline struct receiver receiver_whole(struct arena *arena, struct ws_reader_rules rules,
                                             const struct stream *stream) {
    struct receiver receiver = receiver_make(arena, rules);
    receiver_feed(&receiver, stream->bytes, stream->length);
    return receiver;
}

static inline bool receiver_equal(const struct receiver *a, const struct receiver *b) {
    return a->log.length == b->log.length &&
           (a->log.length == 0 || memcmp(a->log.bytes, b->log.bytes, a->log.length) == 0);
}
