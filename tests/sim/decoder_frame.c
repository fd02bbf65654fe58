// Frames from a server (RFC 6455 section 5), one at a time.
#include "tests/sim/decoder.h"

enum {
    FINAL = 0x80,
    RESERVED = 0x70,
    COMPRESSED = 0x40,
    OPCODE = 0x0f,
    MASK = 0x80,
    CONTROL_MAX = 125
};
enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

bool decoder_text_is_legal(struct span text) {
    uint32_t at = 0;
    while (at < text.length) {
        uint8_t lead = text.data[at];
        if (lead < 0x80) {
            at++;
            continue;
        }
        uint32_t more = lead >= 0xf0 ? 3 : (lead >= 0xe0 ? 2 : 1);
        if (lead < 0xc2 || lead > 0xf4 || text.length - at <= more) {
            return false;
        }
        uint32_t value = lead & (0x3fu >> more);
        for (uint32_t i = 1; i <= more; i++) {
            if ((text.data[at + i] & 0xc0) != 0x80) {
                return false;
            }
            value = value << 6 | (text.data[at + i] & 0x3fu);
        }
        static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
        if (value < smallest[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
            return false;
        }
        at += more + 1;
    }
    return true;
}

// Of the first two bytes: how long the head is.
static uint8_t head_length(const struct decoder *decoder) {
    uint8_t form = decoder->frame[1] & 0x7f;
    return form == 127 ? 10 : (form == 126 ? 4 : 2);
}

static bool first_bytes_judge(struct decoder *decoder) {
    uint8_t opcode = decoder->frame[0] & OPCODE;
    bool is_final = (decoder->frame[0] & FINAL) != 0;
    uint8_t reserved = decoder->frame[0] & RESERVED;
    // RSV1 marks the first frame of a compressed message, and nothing else (RFC 7692 6).
    bool may_compress = decoder->inflate != NULL && (opcode == TEXT || opcode == BINARY);
    if (reserved != 0 && !(may_compress && reserved == COMPRESSED)) {
        return decoder_fail(decoder, "reserved bit without an extension");
    }
    if ((decoder->frame[1] & MASK) != 0) {
        return decoder_fail(decoder, "masked frame from a server");
    }
    if (opcode >= CLOSE) {
        if (opcode > PONG) {
            return decoder_fail(decoder, "reserved control opcode");
        }
        if (!is_final) {
            return decoder_fail(decoder, "fragmented control frame");
        }
        if ((decoder->frame[1] & 0x7f) > CONTROL_MAX) {
            return decoder_fail(decoder, "control frame longer than 125 bytes");
        }
        return true;
    }
    if (opcode > BINARY) {
        return decoder_fail(decoder, "reserved opcode");
    }
    if (opcode == CONTINUATION && decoder->message_opcode == 0) {
        return decoder_fail(decoder, "continuation without a message");
    }
    if (opcode != CONTINUATION && decoder->message_opcode != 0) {
        return decoder_fail(decoder, "new message inside a fragmented one");
    }
    return true;
}

static bool length_judge(struct decoder *decoder) {
    uint8_t form = decoder->frame[1] & 0x7f;
    uint64_t length = 0;
    for (uint32_t i = 2; i < head_length(decoder); i++) {
        length = length << 8 | decoder->frame[i];
    }
    if (form < 126) {
        length = form;
    } else if (form == 126 && length < 126) {
        return decoder_fail(decoder, "16-bit length for less than 126 bytes");
    } else if (form == 127 && length < 65536) {
        return decoder_fail(decoder, "64-bit length for less than 65536 bytes");
    } else if (length >> 63 != 0) {
        return decoder_fail(decoder, "length with the top bit set");
    }
    if (length + decoder->data_bytes > DECODER_BODY_BYTES_MAX) {
        return decoder_fail(decoder, "message larger than anything that was published");
    }
    decoder->body_left = length;
    return true;
}

static bool code_is_legal(uint16_t code) {
    bool is_registered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
    return is_registered || (code >= 3000 && code <= 4999);
}

static bool close_end(struct decoder *decoder, struct decoder_event *event) {
    uint32_t length = decoder->control_bytes;
    event->kind = DECODER_CLOSE;
    event->status = 0;
    decoder->phase = DECODER_ENDED;
    if (length == 0) {
        return true;
    }
    if (length == 1) {
        return decoder_fail(decoder, "Close payload of one byte");
    }
    event->status = (uint16_t)(decoder->control[0] << 8 | decoder->control[1]);
    event->payload = span_make(decoder->control + 2, length - 2);
    if (!code_is_legal(event->status)) {
        return decoder_fail(decoder, "close code that may not appear on the wire");
    }
    if (!decoder_text_is_legal(event->payload)) {
        return decoder_fail(decoder, "close reason that is not UTF-8");
    }
    return true;
}

// A whole frame is there. True: it made an event.
static bool frame_end(struct decoder *decoder, struct decoder_event *event) {
    uint8_t opcode = decoder->frame[0] & OPCODE;
    bool is_final = (decoder->frame[0] & FINAL) != 0;
    decoder->frame_bytes = 0;
    decoder->phase = DECODER_FRAME_HEAD;
    *event = (struct decoder_event){.kind = DECODER_NONE};
    if (opcode == CLOSE) {
        return close_end(decoder, event);
    }
    if (opcode >= CLOSE) {
        event->kind = opcode == PING ? DECODER_PING : DECODER_PONG;
        event->payload = span_make(decoder->control, decoder->control_bytes);
        return true;
    }
    if (opcode != CONTINUATION) {
        decoder->message_opcode = opcode;
        decoder->is_compressed = (decoder->frame[0] & COMPRESSED) != 0;
    }
    if (!is_final) {
        return false;
    }
    event->kind = DECODER_MESSAGE;
    event->opcode = decoder->message_opcode;
    event->payload = span_make(decoder->data, decoder->data_bytes);
    decoder->message_opcode = 0;
    decoder->data_bytes = 0; // the bytes stay until something is appended
    if (decoder->is_compressed && !decoder_inflate_message(decoder, &event->payload)) {
        return false;
    }
    decoder->inflated_count += decoder->is_compressed;
    if (event->opcode == TEXT && !decoder_text_is_legal(event->payload)) {
        return decoder_fail(decoder, "text message that is not UTF-8");
    }
    return true;
}

// The head, byte by byte. True: it is complete, and legal.
static bool head_take(struct decoder *decoder, struct span *bytes) {
    while (bytes->length > 0) {
        decoder->frame[decoder->frame_bytes++] = bytes->data[0];
        *bytes = span_from(*bytes, 1);
        if (decoder->frame_bytes == 2 && !first_bytes_judge(decoder)) {
            return false;
        }
        if (decoder->frame_bytes >= 2 && decoder->frame_bytes == head_length(decoder)) {
            decoder->control_bytes = 0;
            return length_judge(decoder);
        }
    }
    return false;
}

static void body_take(struct decoder *decoder, struct span *bytes) {
    uint32_t length =
        bytes->length < decoder->body_left ? bytes->length : (uint32_t)decoder->body_left;
    struct span piece = span_first(*bytes, length);
    if ((decoder->frame[0] & OPCODE) >= CLOSE) {
        if (length > 0) {
            memcpy(decoder->control + decoder->control_bytes, piece.data, length);
            decoder->control_bytes = (uint8_t)(decoder->control_bytes + length);
        }
    } else {
        decoder_append(decoder, piece);
    }
    *bytes = span_from(*bytes, length);
    decoder->body_left -= length;
}

bool decoder_frame_next(struct decoder *decoder, struct span *bytes, struct decoder_event *event) {
    // Bounded: every pass consumes bytes.
    while (bytes->length > 0 && decoder->violation == NULL) {
        if (decoder->phase == DECODER_FRAME_HEAD) {
            if (!head_take(decoder, bytes)) {
                return false;
            }
            decoder->phase = DECODER_FRAME_BODY;
        }
        body_take(decoder, bytes);
        if (decoder->body_left == 0 && frame_end(decoder, event)) {
            return true;
        }
    }
    return false;
}
