#include "bench/nats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096 };

static bool begins_with(const uint8_t *bytes, size_t count, const char *word) {
    size_t length = strlen(word);
    return count >= length && memcmp(bytes, word, length) == 0;
}

// The number at the end of a line of `length` bytes. False: there is none.
static bool last_number(const uint8_t *line, size_t length, size_t *value) {
    size_t first = length;
    while (first > 0 && line[first - 1] >= '0' && line[first - 1] <= '9') {
        first--;
    }
    *value = 0;
    for (size_t i = first; i < length && length - first < 9; i++) {
        *value = *value * 10 + (size_t)(line[i] - '0');
    }
    return first < length && first > 0 && line[first - 1] == ' ' && length - first < 9;
}

enum nats_kind nats_read(const uint8_t *bytes, size_t count, struct nats_item *item) {
    const uint8_t *end = memmem(bytes, count, "\r\n", 2);
    if (end == NULL) {
        return count > LINE_MAX_BYTES ? NATS_BAD : NATS_MORE;
    }
    size_t line = (size_t)(end - bytes);
    item->length = line + 2;
    if (begins_with(bytes, line, "MSG ")) {
        if (!last_number(bytes, line, &item->payload_length)) {
            return NATS_BAD;
        }
        item->payload = end + 2;
        item->length += item->payload_length + 2;
        return count < item->length ? NATS_MORE : NATS_MESSAGE;
    }
    if (begins_with(bytes, line, "PING")) {
        return NATS_PING;
    }
    bool is_known = begins_with(bytes, line, "INFO ") || begins_with(bytes, line, "PONG") ||
                    begins_with(bytes, line, "+OK");
    return is_known ? NATS_OTHER : NATS_BAD;
}

static void send_text(struct client *client, struct peer *peer, const char *text) {
    static const uint8_t mask[4] = {0x51, 0x62, 0x73, 0x14};
    uint8_t frame[14 + 512];
    size_t count = strlen(text);
    size_t header = frame_header_write(frame, OPCODE_BINARY, count, mask);
    memcpy(frame + header, text, count);
    frame_mask(frame + header, count, mask);
    client_send(client, peer, frame, header + count);
}

void nats_begin(struct client *client, struct peer *peer) {
    char text[512];
    snprintf(text, sizeof text,
             "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %.200s 1\r\n",
             client->options.nats);
    send_text(client, peer, text);
}

void nats_take(struct client *client, struct peer *peer, const uint8_t *bytes, size_t count) {
    struct bytes joined = peer->stream;
    memset(&peer->stream, 0, sizeof peer->stream);
    if (joined.count > 0) {
        if (!bytes_add(&joined, bytes, count)) {
            client_fail(client, "out of memory for an unfinished message");
            count = 0;
        }
        bytes = joined.data;
        count = joined.count;
    }
    size_t at = 0;
    enum nats_kind kind = NATS_OTHER;
    struct nats_item item;
    // Each item takes at least two bytes.
    while (at < count && (kind = nats_read(bytes + at, count - at, &item)) != NATS_MORE) {
        if (kind == NATS_BAD) {
            client_fail(client, "connection %u: not what nats-server may say: %.*s", peer->index,
                        (int)(count - at < 60 ? count - at : 60), (const char *)bytes + at);
            break;
        }
        if (kind == NATS_PING) {
            send_text(client, peer, "PONG\r\n");
        } else if (kind == NATS_MESSAGE) {
            client->message_count++;
            if (client->hooks.on_message != NULL) {
                client->hooks.on_message(client, peer, item.payload, item.payload_length);
            }
        }
        at += item.length;
    }
    if (kind == NATS_MORE && peer->fd >= 0 && !bytes_add(&peer->stream, bytes + at, count - at)) {
        client_fail(client, "out of memory for an unfinished message");
    }
    bytes_free(&joined);
}

int nats_burst(struct burst *burst, const char *subject, size_t size, uint32_t count) {
    char before[300];
    snprintf(before, sizeof before, "PUB %.200s %zu\r\n", subject, size);
    return burst_init_around(burst, &(struct burst_plan){.opcode = OPCODE_BINARY,
                                                         .size = size,
                                                         .count = count,
                                                         .before = before,
                                                         .after = "\r\n"});
}
