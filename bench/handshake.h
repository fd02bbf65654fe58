// The opening handshake of RFC 6455 section 4, both ends: what a client sends and checks, what a
// floor program answers.
#ifndef BENCH_HANDSHAKE_H
#define BENCH_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

enum { HANDSHAKE_KEY_LENGTH = 24, HANDSHAKE_ACCEPT_LENGTH = 28, HANDSHAKE_HEAD_MAX = 16384 };

enum handshake_result { HANDSHAKE_DONE, HANDSHAKE_MORE, HANDSHAKE_REFUSED, HANDSHAKE_BAD_ACCEPT };

// Writes base64(SHA-1(key + GUID)), RFC 6455 s4.2.2, as a C string.
void handshake_accept(const char *key, char accept[HANDSHAKE_ACCEPT_LENGTH + 1]);
// A random key for Sec-WebSocket-Key. One key serves a whole process: the answer is then checked
// without hashing.
void handshake_key(char key[HANDSHAKE_KEY_LENGTH + 1]);
// Looks at an answer. HANDSHAKE_DONE sets *length to the size of the head; what follows it are
// frames.
enum handshake_result handshake_check(const uint8_t *bytes, size_t count, const char *accept,
                                      size_t *length);
// Finds the end of a request's head and its Sec-WebSocket-Key. 0: more bytes are needed, or there
// is no key.
size_t handshake_request(const uint8_t *bytes, size_t count, char key[HANDSHAKE_KEY_LENGTH + 1]);

#endif
