// jansson's memory: one block of the calling thread's arena for each document, taken before it is
// read, so that what a client sends can never take more than that arena has (DESIGN.md section 6).
// One block, because jansson 2.14 cannot be refused in the middle of a token: it ignores that its
// buffer did not grow, and then reads what is not there.
#pragma once
#include "core/base/arena.h"
#include "core/base/span.h"

#include <jansson.h>

// Once per process, before any thread uses jansson.
void json_memory_init(void);
// For a command that writes one report and ends: from here on jansson's memory is the C library's.
// Never in a process that serves; no document may be opened after it.
void json_memory_unbound(void);
// Once per thread: the one thread-local pointer that process-wide hooks need. NULL: the thread's
// jansson calls fail. Returns the one before.
struct arena *json_memory_set(struct arena *arena);

struct json_document {
    json_t *root;  // NULL: is_short, or the text is not JSON
    bool is_short; // the arena has no room for it
    uint32_t block;
    json_error_t error; // when root is NULL and is_short false
};
// Reads JSON text: JSON_REJECT_DUPLICATES, and `flags`. At most one is open in a thread. Values
// live, unchanged, until json_document_close, which must be called whatever came out.
void json_document_open(struct json_document *document, struct span text, size_t flags);
void json_document_close(struct json_document *document);
// Memory that reading this text takes at most.
uint64_t json_document_bytes(struct span text);
