// jansson's hooks are process-wide; they find the calling thread's document by one thread-local
// variable, the only global that STYLE.md allows.
#include "gateway/auth/json_memory.h"

#include "core/base/check.h"

#include <stdlib.h>

enum {
    ALIGN_BYTES = 16,
    // Of a value: itself (an object with its 8 buckets: 208), its entry in the object that holds it
    // (72) or in an array, growing by doubling (32), its part of a hash table that does (64), and
    // what alignment adds. Measured: tests/unit/gateway/auth/test_json_memory.c.
    VALUE_BYTES = 512,
};

static _Thread_local struct {
    struct arena *arena;
    uint8_t *at, *end; // of the open document's block
    bool is_open, is_refused;
} thread_json;

static void *json_take(size_t size) {
    uint64_t room = (uint64_t)(thread_json.end - thread_json.at);
    uint64_t bytes = ((uint64_t)size + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    if (!thread_json.is_open || size == 0 || bytes > room) {
        thread_json.is_refused = true;
        return NULL;
    }
    void *memory = thread_json.at;
    thread_json.at += bytes;
    return memory;
}

static void json_give(void *memory) {
    (void)memory; // all of a document goes at once
}

void json_memory_init(void) {
    json_object_seed(0); // from the kernel's entropy: keys come from strangers
    json_set_alloc_funcs(json_take, json_give);
}

void json_memory_unbound(void) {
    json_set_alloc_funcs(malloc, free);
}

struct arena *json_memory_set(struct arena *arena) {
    struct arena *former = thread_json.arena;
    thread_json.arena = arena;
    return former;
}

// Every value begins behind one of `[{,:`, or is the whole; a token of n bytes is gathered in a
// buffer that doubles (less than 4n in all, and 64), then copied once, and once more as a key.
uint64_t json_document_bytes(struct span text) {
    uint64_t values = 1;
    uint32_t token = 0;
    uint32_t token_max = 0;
    bool is_string = false;
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        bool ends = !is_string && (byte == ',' || byte == ':' || byte == '[' || byte == '{');
        values += ends;
        token = ends ? 0 : token + 1;
        token_max = token > token_max ? token : token_max;
        if (byte == '"') {
            is_string = !is_string;
            token = is_string ? 1 : token;
        } else if (byte == '\\' && is_string && i + 1 < text.length) {
            i++;
            token++;
        }
    }
    return (uint64_t)4 * (token_max + 2) + (uint64_t)2 * text.length + VALUE_BYTES * (values + 1);
}

void json_document_open(struct json_document *document, struct span text, size_t flags) {
    check(!thread_json.is_open);
    *document = (struct json_document){.root = NULL};
    uint64_t bytes = json_document_bytes(text);
    document->block = thread_json.arena == NULL ? 0 : arena_take(thread_json.arena, bytes);
    if (document->block == 0) {
        document->is_short = true;
        return;
    }
    thread_json.at = arena_at(thread_json.arena, document->block);
    thread_json.end = thread_json.at + bytes;
    thread_json.is_open = true;
    thread_json.is_refused = false;
    document->root = json_loadb((const char *)text.data, text.length,
                                JSON_REJECT_DUPLICATES | flags, &document->error);
    check(!thread_json.is_refused); // or the arithmetic above is wrong
}

void json_document_close(struct json_document *document) {
    if (document->block != 0) {
        arena_give(thread_json.arena, document->block);
        thread_json.is_open = false;
        thread_json.at = thread_json.end = NULL;
    }
    *document = (struct json_document){.root = NULL};
}
