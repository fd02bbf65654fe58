// Can bytes break the opening of records? The first byte chooses suite and way: the rest is either
// the wire itself, or a list of records to be sealed under the right keys (type, length, padding,
// text), so that what stands behind authentication is reached, too. In pieces and whole, the events
// must be the same.
#include "core/base/check.h"
#include "gateway/tls/internal.h"
#include "tests/unit/gateway/tls/tls_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAM_BYTES_MAX = 1 << 17 };

struct outcome {
    uint64_t text_bytes;
    uint64_t digest;
    uint32_t nothing_count;
    uint32_t last; // enum tls_opened_kind
    enum tls_alert alert;
    const struct fault *fault;
};

// Feeds the stream in steps of `step` bytes, as a receive buffer would give it.
static struct outcome stream_open(struct tls_record record, const uint8_t *bytes, uint32_t length,
                                  uint32_t step) {
    static uint8_t buffer[STREAM_BYTES_MAX];
    memcpy(buffer, bytes, length);
    struct outcome outcome = {.last = TLS_OPENED_MORE};
    uint32_t at = 0;
    for (uint32_t have = 0; at < length;) {
        struct tls_opened opened =
            tls_record_open(&record, (struct span_mut){.data = buffer + at, .length = have - at});
        check(opened.consumed <= have - at);
        outcome.last = opened.kind;
        if (opened.kind == TLS_OPENED_MORE) {
            check(opened.wanted > have - at);
            check(opened.wanted <= TLS_RECORD_BYTES_MAX);
            if (have == length) {
                break;
            }
            have = length - have < step ? length : have + step;
            continue;
        }
        if (opened.kind == TLS_OPENED_FAULT) {
            outcome.fault = opened.fault;
            outcome.alert = opened.alert;
            break;
        }
        check(opened.consumed > 0 || opened.kind == TLS_OPENED_CLOSED);
        if (opened.kind == TLS_OPENED_CLOSED) {
            break;
        }
        outcome.nothing_count += opened.kind == TLS_OPENED_NOTHING ? 1 : 0;
        for (uint32_t i = 0; i < opened.data.length; i++) {
            outcome.digest = outcome.digest * 1099511628211u + opened.data.data[i];
        }
        check(opened.data.length <= TLS_TEXT_BYTES_MAX);
        outcome.text_bytes += opened.data.length;
        at += opened.consumed;
    }
    tls_record_fini(&record);
    return outcome;
}

// Each entry: type, two bytes of length, padding, text.
static uint32_t stream_seal(struct tls_record *peer, const uint8_t *data, uint32_t size,
                            uint8_t *target) {
    uint32_t written = 0;
    for (uint32_t at = 0; at + 4 <= size;) {
        uint32_t length = ((uint32_t)data[at + 1] << 8 | data[at + 2]) % 17000;
        uint32_t padding = data[at + 3] == 255 ? 300 : data[at + 3] & 7;
        uint8_t type = data[at];
        at += 4;
        if (written + length + 400 > STREAM_BYTES_MAX) {
            break;
        }
        uint32_t given = length < size - at ? length : size - at;
        struct crafted crafted = {
            .type = type, .text = data + at, .text_bytes = given, .padding = padding};
        written += pair_craft(peer, &crafted, target + written);
        // A peer that announces new keys takes them.
        if (type == TLS_CONTENT_HANDSHAKE && peer->version == TLS_VERSION_13 && given == 5 &&
            memcmp(data + at, "\x18\0\0\1", 4) == 0) {
            tls_record_rekey(peer, &peer->out);
        }
        at += given;
    }
    return written;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > STREAM_BYTES_MAX) {
        return 0;
    }
    struct pair pair;
    pair_init(&pair, data[0] % PAIR_ROWS);
    static uint8_t stream[STREAM_BYTES_MAX];
    uint32_t length = (uint32_t)size - 2;
    if (data[0] & 128) {
        memcpy(stream, data + 2, length);
    } else {
        length = stream_seal(&pair.client, data + 2, length, stream);
    }
    struct outcome whole = stream_open(pair.server, stream, length, STREAM_BYTES_MAX);
    struct outcome parts = stream_open(pair.server, stream, length, 1 + data[1] * 7u);
    check(whole.text_bytes == parts.text_bytes);
    check(whole.digest == parts.digest);
    check(whole.nothing_count == parts.nothing_count);
    check(whole.last == parts.last);
    check(whole.fault == parts.fault);
    check(whole.alert == parts.alert);
    return 0;
}
