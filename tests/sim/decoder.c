// The stream of responses: where a head ends, how long its body is, what follows.
#include "tests/sim/decoder.h"

#include <stdlib.h>

#include "core/base/check.h"

void decoder_init(struct decoder *decoder) {
    *decoder = (struct decoder){.phase = DECODER_HEAD};
}

void decoder_fini(struct decoder *decoder) {
    free(decoder->data);
    decoder->data = NULL;
    decoder_inflate_fini(decoder);
}

bool decoder_fail(struct decoder *decoder, const char *violation) {
    if (decoder->violation == NULL) {
        decoder->violation = violation;
    }
    return false;
}

void decoder_append(struct decoder *decoder, struct span bytes) {
    if (bytes.length == 0) {
        return;
    }
    uint64_t wanted = (uint64_t)decoder->data_bytes + bytes.length;
    if (wanted > decoder->data_room) {
        uint64_t room = decoder->data_room == 0 ? 512 : decoder->data_room;
        while (room < wanted) {
            room *= 2;
        }
        check(room <= UINT32_MAX);
        decoder->data = realloc(decoder->data, room);
        check(decoder->data != NULL);
        decoder->data_room = (uint32_t)room;
    }
    memcpy(decoder->data + decoder->data_bytes, bytes.data, bytes.length);
    decoder->data_bytes = (uint32_t)wanted;
}

bool decoder_request(struct decoder *decoder, const struct decoder_request *request) {
    if (decoder->request_count == DECODER_REQUESTS_MAX) {
        return false;
    }
    uint32_t at = (decoder->request_first + decoder->request_count) % DECODER_REQUESTS_MAX;
    decoder->requests[at] = *request;
    decoder->request_count++;
    return true;
}

bool decoder_is_between(const struct decoder *decoder) {
    if (decoder->phase == DECODER_HEAD) {
        return decoder->data_bytes == 0;
    }
    bool is_frame = decoder->phase == DECODER_FRAME_HEAD && decoder->frame_bytes == 0;
    return decoder->phase == DECODER_ENDED || (is_frame && decoder->message_opcode == 0);
}

static void response_end(struct decoder *decoder, struct decoder_event *event) {
    *event = (struct decoder_event){.kind = DECODER_RESPONSE,
                                    .status = decoder->status,
                                    .is_last = decoder->is_last,
                                    .payload = span_make(decoder->data, decoder->data_bytes)};
    decoder->phase = decoder->is_last ? DECODER_ENDED : DECODER_HEAD;
    decoder->body_left = decoder->is_last ? decoder->tail_bytes : 0;
    decoder->was_continued = false;
    decoder->data_bytes = 0; // the bytes stay until something is appended
}

// Up to the empty line that ends a head.
static void head_next(struct decoder *decoder, struct span *bytes, struct decoder_event *event) {
    while (bytes->length > 0) {
        decoder_append(decoder, span_first(*bytes, 1));
        *bytes = span_from(*bytes, 1);
        uint32_t length = decoder->data_bytes;
        if (length <= 9 && memcmp(decoder->data, "HTTP/1.1 ", length) != 0) {
            decoder_fail(decoder, "bytes that begin no response, such as a frame before the 101");
            return;
        }
        if (length > DECODER_HEAD_BYTES_MAX) {
            decoder_fail(decoder, "response head longer than 8 KiB");
            return;
        }
        if (length < 4 || memcmp(decoder->data + length - 4, "\r\n\r\n", 4) != 0) {
            continue;
        }
        decoder_head(decoder, event);
        decoder->data_bytes = 0;
        bool is_empty = event->kind == DECODER_NONE && decoder->phase == DECODER_BODY &&
                        decoder->body_left == 0;
        if (decoder->violation == NULL && is_empty) {
            response_end(decoder, event);
        }
        return;
    }
}

// Of a body with a length, or of a chunk. True: it is complete.
static bool body_take(struct decoder *decoder, struct span *bytes) {
    uint32_t length =
        bytes->length < decoder->body_left ? bytes->length : (uint32_t)decoder->body_left;
    if ((uint64_t)decoder->data_bytes + length > DECODER_BODY_BYTES_MAX) {
        return decoder_fail(decoder, "response body without an end");
    }
    decoder_append(decoder, span_first(*bytes, length));
    *bytes = span_from(*bytes, length);
    decoder->body_left -= length;
    return decoder->body_left == 0;
}

// One line into `frame`, without its CRLF. True: it is complete.
static bool line_take(struct decoder *decoder, struct span *bytes) {
    while (bytes->length > 0 && decoder->violation == NULL) {
        uint8_t byte = bytes->data[0];
        *bytes = span_from(*bytes, 1);
        uint8_t count = decoder->frame_bytes;
        if (count > 0 && decoder->frame[count - 1] == '\r') {
            decoder->frame_bytes = (uint8_t)(count - 1);
            return byte == '\n' || decoder_fail(decoder, "CR without LF in chunked framing");
        }
        if (count == sizeof decoder->frame) {
            return decoder_fail(decoder, "long line in chunked framing");
        }
        decoder->frame[decoder->frame_bytes++] = byte;
    }
    return false;
}

static void chunk_line(struct decoder *decoder) {
    if (decoder->frame_bytes == 0 || decoder->frame_bytes > 8) {
        decoder_fail(decoder, "chunk size empty or too long");
        return;
    }
    decoder->body_left = 0;
    for (uint32_t i = 0; i < decoder->frame_bytes; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *found = memchr(digits, decoder->frame[i], 22);
        if (found == NULL) {
            decoder_fail(decoder, "chunk size is not hexadecimal");
            return;
        }
        uint64_t digit = (uint64_t)(found - digits);
        decoder->body_left = decoder->body_left * 16 + (digit < 16 ? digit : digit - 6);
    }
    decoder->frame_bytes = 0;
    decoder->phase = decoder->body_left == 0 ? DECODER_TRAILER : DECODER_CHUNK_BODY;
}

// One step of a chunked body.
static void chunked_step(struct decoder *decoder, struct span *bytes, struct decoder_event *event) {
    if (decoder->phase == DECODER_CHUNK_BODY) {
        if (body_take(decoder, bytes)) {
            decoder->phase = DECODER_CHUNK_END;
        }
        return;
    }
    if (!line_take(decoder, bytes)) {
        return;
    }
    if (decoder->phase == DECODER_CHUNK_LINE) {
        chunk_line(decoder);
    } else if (decoder->frame_bytes != 0) { // we send no trailer fields
        decoder_fail(decoder, decoder->phase == DECODER_TRAILER ? "trailer field"
                                                                : "chunk longer than its size");
    } else if (decoder->phase == DECODER_TRAILER) {
        response_end(decoder, event);
    } else {
        decoder->phase = DECODER_CHUNK_LINE;
    }
}

bool decoder_next(struct decoder *decoder, struct span *bytes, struct decoder_event *event) {
    event->kind = DECODER_NONE;
    // Bounded: every pass consumes bytes or changes the phase.
    while (bytes->length > 0 && decoder->violation == NULL && event->kind == DECODER_NONE) {
        switch (decoder->phase) {
        case DECODER_HEAD:
            head_next(decoder, bytes, event);
            break;
        case DECODER_BODY:
            if (body_take(decoder, bytes)) {
                response_end(decoder, event);
            }
            break;
        case DECODER_FRAME_HEAD:
        case DECODER_FRAME_BODY:
            decoder_frame_next(decoder, bytes, event);
            break;
        case DECODER_ENDED:
            if (decoder->body_left > 0) {
                (void)body_take(decoder, bytes); // see decoder_http.c: it is nobody's
                decoder->data_bytes = 0;
                break;
            }
            return decoder_fail(decoder, decoder->is_upgraded
                                             ? "bytes after a Close frame"
                                             : "bytes after a response that ends the connection");
        default:
            chunked_step(decoder, bytes, event);
        }
    }
    return event->kind != DECODER_NONE && decoder->violation == NULL;
}
