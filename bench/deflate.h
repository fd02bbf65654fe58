// permessage-deflate (RFC 7692) as a client does it that agreed to no context takeover, neither
// way: every message stands for itself. By zlib, which the server does not use for such messages.
// One thread.
#ifndef BENCH_DEFLATE_H
#define BENCH_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/bytes.h"

// What a client offers. The answer must name server_no_context_takeover.
#define DEFLATE_OFFER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

struct inflater;

// Owned by the caller. NULL: no memory.
struct inflater *inflater_open(void);
void inflater_close(struct inflater *inflater); // NULL is fine
// Inflates a whole message. *bytes and *count become those of the plain one, lent until the next
// call. False: it is no DEFLATE, does not end where the message does, or is longer than
// PAYLOAD_MAX.
bool inflater_message(struct inflater *inflater, const uint8_t **bytes, size_t *count);

// Appends the bytes in DEFLATE blocks that are none of them the last, without the four bytes that
// RFC 7692 s7.2.1 leaves off. They may stand behind other such blocks that end with a whole byte.
// False: no memory.
bool deflate_add(struct bytes *packed, const uint8_t *bytes, size_t count);

#endif
