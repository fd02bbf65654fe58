// SHA-1 stands here because the protocol asks for it and a build without wolfSSL has none.
#include "bench/handshake.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 s1.3
static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint32_t rotate(uint32_t value, unsigned bits) {
    return (value << bits) | (value >> (32 - bits));
}

static void sha1_block(uint32_t state[5], const uint8_t block[64]) {
    uint32_t w[80];
    for (size_t i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (size_t i = 16; i < 80; i++) {
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (size_t i = 0; i < 80; i++) {
        uint32_t mix, constant;
        if (i < 20) {
            mix = (b & c) | (~b & d);
            constant = 0x5A827999;
        } else if (i < 40) {
            mix = b ^ c ^ d;
            constant = 0x6ED9EBA1;
        } else if (i < 60) {
            mix = (b & c) | (b & d) | (c & d);
            constant = 0x8F1BBCDC;
        } else {
            mix = b ^ c ^ d;
            constant = 0xCA62C1D6;
        }
        uint32_t next = rotate(a, 5) + mix + e + constant + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

// For at most 119 bytes: two blocks, all that the accept key needs.
static void sha1(const uint8_t *bytes, size_t count, uint8_t digest[20]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t block[128] = {0};
    memcpy(block, bytes, count);
    block[count] = 0x80;
    size_t end = count + 9 <= 64 ? 64 : 128;
    block[end - 2] = (uint8_t)((count * 8) >> 8);
    block[end - 1] = (uint8_t)(count * 8);
    for (size_t at = 0; at < end; at += 64) {
        sha1_block(state, block + at);
    }
    for (size_t i = 0; i < 20; i++) {
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    }
}

static void base64(const uint8_t *bytes, size_t count, char *text) {
    for (size_t i = 0; i < count; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        three |= i + 1 < count ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < count ? bytes[i + 2] : 0;
        *text++ = BASE64[three >> 18];
        *text++ = BASE64[(three >> 12) & 63];
        *text++ = i + 1 < count ? BASE64[(three >> 6) & 63] : '=';
        *text++ = i + 2 < count ? BASE64[three & 63] : '=';
    }
    *text = 0;
}

void handshake_accept(const char *key, char accept[HANDSHAKE_ACCEPT_LENGTH + 1]) {
    uint8_t joined[HANDSHAKE_KEY_LENGTH + sizeof GUID];
    uint8_t digest[20];
    memcpy(joined, key, HANDSHAKE_KEY_LENGTH);
    memcpy(joined + HANDSHAKE_KEY_LENGTH, GUID, sizeof GUID - 1);
    sha1(joined, HANDSHAKE_KEY_LENGTH + sizeof GUID - 1, digest);
    base64(digest, sizeof digest, accept);
}

void handshake_key(char key[HANDSHAKE_KEY_LENGTH + 1]) {
    uint8_t random[16] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        random[0] = 1; // Any 16 bytes make a valid key; a load generator has no secret to keep.
    }
    base64(random, sizeof random, key);
}

size_t handshake_write(char *target, size_t size, const struct handshake_request *request) {
    char path[512];
    const char *mark = strstr(request->path, "{n}");
    if (mark == NULL) {
        snprintf(path, sizeof path, "%s", request->path);
    } else {
        snprintf(path, sizeof path, "%.*s%u%s", (int)(mark - request->path), request->path,
                 request->number, mark + 3);
    }
    int length = snprintf(target, size,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                          "Sec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                          path, request->host, request->key,
                          request->extensions == NULL ? "" : "Sec-WebSocket-Extensions: ",
                          request->extensions == NULL ? "" : request->extensions,
                          request->extensions == NULL ? "" : "\r\n");
    return (size_t)length < size ? (size_t)length : size - 1;
}

// Finds a header's value inside a head that ends with an empty line. NULL: not there.
static const char *header_find(const char *head, size_t count, const char *name, size_t *length) {
    size_t name_length = strlen(name);
    const char *end = head + count;
    const char *line = memchr(head, '\n', count);
    while (line != NULL && ++line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        const char *stop = next == NULL ? end : next;
        if ((size_t)(stop - line) > name_length && line[name_length] == ':' &&
            strncasecmp(line, name, name_length) == 0) {
            const char *value = line + name_length + 1;
            while (value < stop && (*value == ' ' || *value == '\t')) {
                value++;
            }
            while (stop > value && isspace((unsigned char)stop[-1])) {
                stop--;
            }
            *length = (size_t)(stop - value);
            return value;
        }
        line = next;
    }
    return NULL;
}

enum handshake_result handshake_check(const uint8_t *bytes, size_t count, const char *accept,
                                      size_t *length) {
    const uint8_t *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (end == NULL) {
        return count > HANDSHAKE_HEAD_MAX ? HANDSHAKE_REFUSED : HANDSHAKE_MORE;
    }
    *length = (size_t)(end - bytes) + 4;
    if (count < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
        return HANDSHAKE_REFUSED;
    }
    size_t value_length = 0;
    const char *value =
        header_find((const char *)bytes, *length, "Sec-WebSocket-Accept", &value_length);
    if (value == NULL || value_length != HANDSHAKE_ACCEPT_LENGTH ||
        memcmp(value, accept, HANDSHAKE_ACCEPT_LENGTH) != 0) {
        return HANDSHAKE_BAD_ACCEPT;
    }
    return HANDSHAKE_DONE;
}

bool handshake_deflates(const uint8_t *head, size_t length) {
    static const char NAME[] = "permessage-deflate";
    static const char KEEPS_NOTHING[] = "server_no_context_takeover";
    size_t count = 0;
    const char *value = header_find((const char *)head, length, "Sec-WebSocket-Extensions", &count);
    return value != NULL && count >= sizeof NAME - 1 && memcmp(value, NAME, sizeof NAME - 1) == 0 &&
           memmem(value, count, KEEPS_NOTHING, sizeof KEEPS_NOTHING - 1) != NULL;
}

// A decimal number of at most three digits. 0: none.
static uint16_t number_read(const char *text, size_t count) {
    uint16_t value = 0;
    for (size_t i = 0; i < count && i < 3 && text[i] >= '0' && text[i] <= '9'; i++) {
        value = (uint16_t)(value * 10 + (text[i] - '0'));
    }
    return value;
}

uint16_t handshake_refusal(const uint8_t *bytes, size_t count, uint16_t *retry_after_s) {
    *retry_after_s = 0;
    if (count < 12 || memcmp(bytes, "HTTP/1.", 7) != 0) {
        return 0;
    }
    size_t length = 0;
    const char *value = header_find((const char *)bytes, count, "Retry-After", &length);
    if (value != NULL) {
        *retry_after_s = number_read(value, length);
    }
    return number_read((const char *)bytes + 9, 3);
}

size_t handshake_head(const uint8_t *bytes, size_t count, char key[HANDSHAKE_KEY_LENGTH + 1]) {
    const uint8_t *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t length = (size_t)(end - bytes) + 4;
    size_t value_length = 0;
    const char *value =
        header_find((const char *)bytes, length, "Sec-WebSocket-Key", &value_length);
    if (value == NULL || value_length != HANDSHAKE_KEY_LENGTH) {
        return 0;
    }
    memcpy(key, value, HANDSHAKE_KEY_LENGTH);
    key[HANDSHAKE_KEY_LENGTH] = 0;
    return length;
}
