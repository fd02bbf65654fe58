// The opening handshake of RFC 6455 section 4, both ends: what a client sends and checks, what a
// floor program answers.
#ifndef BENCH_HANDSHAKE_H
#define BENCH_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HANDSHAKE_KEY_LENGTH = 24, HANDSHAKE_ACCEPT_LENGTH = 28, HANDSHAKE_HEAD_MAX = 16384 };

enum handshake_result { HANDSHAKE_DONE, HANDSHAKE_MORE, HANDSHAKE_REFUSED, HANDSHAKE_BAD_ACCEPT };

// Writes base64(SHA-1(key + GUID)), RFC 6455 s4.2.2, as a C string.
void handshake_accept(const char *key, char accept[HANDSHAKE_ACCEPT_LENGTH + 1]);
// A random key for Sec-WebSocket-Key. One key serves a whole process: the answer is then checked
// without hashing.
void handshake_key(char key[HANDSHAKE_KEY_LENGTH + 1]);
struct handshake_request {
    const char *path; // the first "{n}" in it becomes the number
    const char *host;
    const char *key;
    const char *extensions; // what is offered; NULL: nothing
    uint32_t number;
};

// Writes the request's head as a C string, cut at `size`. Returns its length.
size_t handshake_write(char *target, size_t size, const struct handshake_request *request);
// Looks at an answer. HANDSHAKE_DONE sets *length to the size of the head; what follows it are
// frames.
enum handshake_result handshake_check(const uint8_t *bytes, size_t count, const char *accept,
                                      size_t *length);
// True: the answer's head, of that length, agrees to permessage-deflate, and its server to keep no
// context.
bool handshake_deflates(const uint8_t *head, size_t length);
// The status of an answer that is not 101, and its Retry-After in seconds (0: none). Returns 0 when
// the bytes are no HTTP answer.
uint16_t handshake_refusal(const uint8_t *bytes, size_t count, uint16_t *retry_after_s);
// Finds the end of a request's head and its Sec-WebSocket-Key. 0: more bytes are needed, or there
// is no key.
size_t handshake_head(const uint8_t *bytes, size_t count, char key[HANDSHAKE_KEY_LENGTH + 1]);

#endif
