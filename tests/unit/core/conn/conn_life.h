// For the tests of core/conn: all that one connection can do in its life, as bytes.
#pragma once
#include "tests/unit/core/conn/conn_owner.h"

#define UPGRADE "GET /ws?x=1 HTTP/1.1\r\n" HANDSHAKE_FIELDS
#define SWITCHING                                                                                  \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

struct bytes {
    uint32_t length;
    uint8_t data[4096];
};

static inline void bytes_add(struct bytes *bytes, const void *data, uint32_t length) {
    cr_assert_leq(bytes->length + length, sizeof bytes->data);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static inline void bytes_frame(struct bytes *bytes, uint8_t first, const char *payload) {
    cr_assert_leq(bytes->length + 14 + strlen(payload), sizeof bytes->data);
    bytes->length +=
        frame_make(bytes->data + bytes->length, first, payload, (uint32_t)strlen(payload));
}

// Everything a connection can do in one life: requests, a body, the upgrade with bytes behind it,
// messages in pieces, a ping between them, the close.
static inline void life_make(struct bytes *life) {
    static const char requests[] =
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
        "HEAD /no HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    bytes_add(life, requests, sizeof requests - 1);
    bytes_add(life, UPGRADE, sizeof UPGRADE - 1);
    bytes_frame(life, 0x81, "first");
    bytes_frame(life, 0x01, "be");
    bytes_frame(life, 0x89, "ping");
    bytes_frame(life, 0x80, "tween");
    bytes_frame(life, 0x82, "");
    bytes_frame(life, 0x8a, "unasked");
    bytes_frame(life, 0x88, "\x03\xe8");
}

// Feeds it in pieces cut at `first` and `second`, and returns the owner.
static inline struct owner *live(const struct bytes *life, uint32_t first, uint32_t second) {
    struct owner *owner = owner_open();
    owner_receive(owner, life->data, first);
    owner_receive(owner, life->data + first, second - first);
    owner_receive(owner, life->data + second, life->length - second);
    return owner;
}
