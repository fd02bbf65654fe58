// Body framing: Content-Length, chunked and, for responses, until the connection ends (RFC 9112 6
// and 7), streamed. Pure; pieces point into the input.
#pragma once
#include "core/base/fault.h"
#include "core/base/span.h"
#include "core/http/request.h"

struct http_body {
    uint64_t remaining;  // of the length or of the present chunk
    uint64_t total;      // body bytes so far
    uint32_t line_bytes; // of the present chunk line or trailer section, bounded
    uint8_t state;       // enum in body.c; zero: no body, already complete
    uint8_t spare[3];
};

static_assert(sizeof(struct http_body) == 24, "one per connection with a body on its way");

enum http_body_result { HTTP_BODY_NEED_MORE, HTTP_BODY_PIECE, HTTP_BODY_DONE, HTTP_BODY_FAULT };

void http_body_init(struct http_body *body, const struct http_request *request);
bool http_body_is_done(const struct http_body *body);
// The stream ended: whether the body is complete with it. False: it was cut short.
bool http_body_end(struct http_body *body);
// Consumes from *input. PIECE: *piece is body bytes inside the input (call again for the rest).
// DONE: the body is complete and *input starts with what follows it; asking again says so again.
// NEED_MORE: *input is used up. Chunk extensions and trailers are read, bounded
// (CHUNK_LINE_BYTES_MAX a line, TRAILER_BYTES_MAX together) and ignored. FAULT: chunk_malformed or
// body_too_large (total over body_bytes_max, found from the announced length before the bytes
// arrive, also with an empty input: ask once before sending 100 (Continue)).
enum http_body_result http_body_feed(struct http_body *body, struct span *input,
                                     uint64_t body_bytes_max, struct span *piece,
                                     const struct fault **fault);

// Chunks that we write ourselves: size line, data, CR LF. The last one is "0" CR LF CR LF.
enum { HTTP_CHUNK_HEAD_BYTES_MAX = 10 }; // eight digits and CR LF
// Writes the size line of a chunk of data_bytes (1 or more) and returns its length.
uint32_t http_chunk_head_write(uint8_t target[HTTP_CHUNK_HEAD_BYTES_MAX], uint32_t data_bytes);
