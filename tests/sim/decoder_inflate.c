// permessage-deflate as a client sees it (RFC 7692): the answer against the offer, and messages
// inflated by zlib, which the gateway does not use for them. Written without a line of core.
#include "tests/sim/decoder.h"

#include <stdlib.h>
#include <zlib.h>

#include "core/base/check.h"

enum {
    BITS_MIN = 8,
    BITS_MAX = 15,
    AFTER_BLOCK = 128, // zlib.h, data_type: the last byte ended a block
    LAST_BLOCK = 64,   // the same: within a block that has BFINAL
    PIECE_BYTES = 64,  // zlib reaches back over all that one call wrote, whatever the window
    CHUNK_BYTES = 65536,
};

struct decoder_inflate {
    z_stream stream;
    uint8_t *plain;
    uint32_t plain_bytes, plain_room;
    uint8_t server_bits; // the gateway's window
    uint8_t client_bits; // ours
    bool server_resets;  // server_no_context_takeover
};

struct terms { // of the answer
    uint32_t server_resets, client_resets, server_bits, client_bits;
};

static struct span trimmed(struct span text) {
    while (text.length > 0 && text.data[0] == ' ') {
        text = span_from(text, 1);
    }
    while (text.length > 0 && text.data[text.length - 1] == ' ') {
        text.length--;
    }
    return text;
}

// Up to the next semicolon.
static struct span part_next(struct span *rest) {
    int64_t end = span_find(*rest, ';');
    struct span part = end < 0 ? *rest : span_first(*rest, (uint32_t)end);
    *rest = end < 0 ? span_make(rest->data, 0) : span_from(*rest, (uint32_t)end + 1);
    return trimmed(part);
}

// `name=N` with N from 8 to 15, once.
static bool bits_read(struct span part, const char *name, uint32_t *bits) {
    struct span head = span_text(name);
    if (*bits != 0 || part.length <= head.length || part.length > head.length + 2 ||
        memcmp(part.data, head.data, head.length) != 0 || part.data[head.length] == '0') {
        return false;
    }
    uint32_t number = 0;
    for (uint32_t i = head.length; i < part.length; i++) {
        number = number * 10 + (uint32_t)(part.data[i] - '0');
        if (part.data[i] < '0' || part.data[i] > '9') {
            return false;
        }
    }
    *bits = number;
    return number >= BITS_MIN && number <= BITS_MAX;
}

static bool parameter_read(struct span part, struct terms *terms) {
    if (span_is(part, "server_no_context_takeover")) {
        return terms->server_resets++ == 0;
    }
    if (span_is(part, "client_no_context_takeover")) {
        return terms->client_resets++ == 0;
    }
    return bits_read(part, "server_max_window_bits=", &terms->server_bits) ||
           bits_read(part, "client_max_window_bits=", &terms->client_bits);
}

bool decoder_inflate_agree(struct decoder *decoder, const struct decoder_request *request,
                           struct span answer) {
    struct terms terms = {0};
    if (!request->offers_deflate || !span_is(part_next(&answer), "permessage-deflate")) {
        return decoder_fail(decoder, "extension that was not offered");
    }
    while (answer.length > 0) {
        if (!parameter_read(part_next(&answer), &terms)) {
            return decoder_fail(decoder,
                                "parameter of permessage-deflate that may not stand there");
        }
    }
    if (terms.client_bits != 0 && !request->offers_client_bits) { // RFC 7692 7.1.2.2
        return decoder_fail(decoder, "client_max_window_bits that was not offered");
    }
    if (request->resets_server && terms.server_resets == 0) { // 7.1.1.1
        return decoder_fail(decoder, "server_no_context_takeover was asked for");
    }
    if (request->server_bits != 0 &&
        (terms.server_bits == 0 || terms.server_bits > request->server_bits)) { // 7.1.2.1
        return decoder_fail(decoder, "window larger than the client asked for");
    }
    struct decoder_inflate *state = calloc(1, sizeof *state);
    check(state != NULL);
    state->server_resets = terms.server_resets != 0;
    state->server_bits = (uint8_t)(terms.server_bits != 0 ? terms.server_bits : BITS_MAX);
    state->client_bits = (uint8_t)(terms.client_bits != 0 ? terms.client_bits : BITS_MAX);
    check(inflateInit2(&state->stream, -(int)state->server_bits) == Z_OK);
    decoder->inflate = state;
    return true;
}

void decoder_inflate_fini(struct decoder *decoder) {
    if (decoder->inflate != NULL) {
        (void)inflateEnd(&decoder->inflate->stream); // it was initialised
        free(decoder->inflate->plain);
        free(decoder->inflate);
        decoder->inflate = NULL;
    }
}

static void room_make(struct decoder_inflate *state, uint32_t bytes) {
    if (state->plain_room - state->plain_bytes < bytes) {
        state->plain_room = 2 * state->plain_room + bytes;
        state->plain = realloc(state->plain, state->plain_room);
        check(state->plain != NULL);
    }
}

// All of these bytes. NULL, or what is wrong with them.
static const char *inflate_bytes(struct decoder_inflate *state, struct span bytes) {
    z_stream *stream = &state->stream;
    uint32_t step = state->server_bits == BITS_MAX ? CHUNK_BYTES : PIECE_BYTES;
    uint8_t input[CHUNK_BYTES];
    do { // bounded: each pass takes or makes bytes, and what is made is bounded
        uint32_t length = bytes.length < sizeof input ? bytes.length : (uint32_t)sizeof input;
        memcpy(input, bytes.data, length); // zlib's input is not const
        bytes = span_from(bytes, length);
        stream->next_in = input;
        stream->avail_in = length;
        do {
            room_make(state, step);
            stream->next_out = state->plain + state->plain_bytes;
            stream->avail_out = step;
            int result = inflate(stream, Z_SYNC_FLUSH);
            state->plain_bytes += step - stream->avail_out;
            if (result == Z_STREAM_END || (stream->data_type & LAST_BLOCK) != 0) {
                return "BFINAL in a compressed message: most clients lose the next one";
            }
            if (result != Z_OK && result != Z_BUF_ERROR) {
                return "compressed message that is no DEFLATE within the window";
            }
            if (state->plain_bytes > DECODER_BODY_BYTES_MAX) {
                return "message larger than anything that was published";
            }
        } while (stream->avail_out == 0);
        if (stream->avail_in != 0) {
            return "compressed message that zlib does not take";
        }
    } while (bytes.length > 0);
    return NULL;
}

bool decoder_inflate_message(struct decoder *decoder, struct span *payload) {
    static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff}; // 7.2.2
    struct decoder_inflate *state = decoder->inflate;
    state->plain_bytes = 0;
    room_make(state, 1); // an empty message has an address, too
    const char *violation = payload->length > 0 ? inflate_bytes(state, *payload) : NULL;
    if (violation == NULL) {
        violation = inflate_bytes(state, span_make(tail, sizeof tail));
    }
    if (violation == NULL && (state->stream.data_type & AFTER_BLOCK) == 0) {
        violation = "compressed message that ends within a block";
    }
    if (violation != NULL) {
        return decoder_fail(decoder, violation);
    }
    if (state->server_resets) {
        check(inflateReset(&state->stream) == Z_OK);
    }
    *payload = span_make(state->plain, state->plain_bytes);
    return true;
}

uint32_t decoder_deflate_bits(const struct decoder *decoder) {
    return decoder->inflate != NULL ? decoder->inflate->client_bits : 0;
}
