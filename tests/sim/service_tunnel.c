// A service's end of a tunnel: frames of the gateway, read by RFC 6455 alone; what it is told it
// says back, and now and then something of its own.
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "tests/sim/service.h"

enum {
    TEXT = 1,
    BINARY = 2,
    CLOSE = 8,
    PING = 9,
    PONG = 10,
    FINAL = 0x80,
    FLOOD = 120,
    FLOOD_BYTES = 2000,
    CONTROL_MAX = 125
};

struct frame {
    uint8_t opcode;
    uint64_t length;
    uint32_t head_bytes;
};

static void frame_put(struct service_line *line, uint8_t opcode, const void *bytes,
                      uint32_t length) {
    uint8_t head[4] = {(uint8_t)(FINAL | opcode), (uint8_t)length};
    uint32_t head_bytes = 2;
    check(length < 65536);
    if (length >= 126) {
        head[1] = 126;
        head[2] = (uint8_t)(length >> 8);
        head[3] = (uint8_t)length;
        head_bytes = 4;
    }
    service_put(line, head, head_bytes);
    service_put(line, bytes, length);
}

// The next message down, `kind` at its head: an echo, or one of its own.
static void message_put(struct service_line *line, uint8_t kind, uint32_t length) {
    uint32_t sequence = service_ask(line)->downs_sent++;
    uint8_t *bytes = malloc(length);
    check(bytes != NULL && length > 0);
    bytes[0] = kind;
    ask_fill(line->ask, ASK_DOWN, sequence, 1,
             (struct span_mut){.data = bytes + 1, .length = length - 1});
    frame_put(line, ask_is_binary(line->ask, sequence) ? BINARY : TEXT, bytes, length);
    free(bytes);
}

static void break_put(struct service_line *line) {
    static const struct {
        const char *bytes;
        uint32_t length;
    } frames[] = {{"\x81\x81\0\0\0\0x", 7}, // masked
                  {"\xc1\x01x", 3},         // a reserved bit
                  {"\x83\x01x", 3},         // a reserved opcode
                  {"\x80\x01x", 3},         // continues nothing
                  {"\x09\x01x", 3},         // a fragmented ping
                  {"\x81\x02\xc3\x28", 4},  // UTF-8
                  {"\x88\x02\x03\xed", 4},  // a close code that is never sent
                  {"\x82\x7f\0\0\0\0\x7f\xff\xff\xff", 10}};
    uint32_t pick = service_below(line, sizeof frames / sizeof frames[0]);
    service_put(line, frames[pick].bytes, frames[pick].length);
    line->phase = SERVICE_DEAF;
}

static void close_begin(struct service_line *line) {
    static const uint16_t codes[] = {1000, 1001, 3000, 4999};
    uint16_t code = codes[service_below(line, 4)];
    uint8_t bytes[] = {(uint8_t)(code >> 8), (uint8_t)code, 'b', 'y', 'e'};
    frame_put(line, CLOSE, bytes, sizeof bytes);
    service_ask(line)->close_code = code;
    line->phase = SERVICE_CLOSING;
}

static void message_take(struct service_line *line, const struct frame *frame,
                         struct span payload) {
    struct ask *ask = service_ask(line);
    uint32_t sequence = ask->ups_got++;
    bool is_right = ask->ups_got <= ask->ups_sent &&
                    (frame->opcode == BINARY) == ask_is_binary(line->ask, sequence) &&
                    ask_is_filled(line->ask, ASK_UP, sequence, 0, payload);
    if (!is_right) {
        service_fail(line, "a message that its client did not send next");
    }
    if (line->is_silent || line->phase == SERVICE_CLOSING) {
        return;
    }
    message_put(line, 'e', payload.length);
    if (service_does(line, SIM_FAULT_service_dies)) {
        service_drop(line);
        return;
    }
    line->is_silent = service_does(line, SIM_FAULT_service_silent);
    if (service_does(line, SIM_FAULT_service_breaks)) {
        break_put(line);
    } else if (service_does(line, SIM_FAULT_service_floods)) {
        for (uint32_t i = 0; i < FLOOD; i++) {
            message_put(line, 'p', FLOOD_BYTES);
        }
    } else if (service_below(line, 10) == 0) {
        message_put(line, 'p', 1 + service_below(line, 1000));
        frame_put(line, PING, "there?", 6);
    } else if (service_below(line, 40) == 0 && line->services->sim->phase == SIM_STORM) {
        close_begin(line);
    }
    service_flush(line);
}

static void close_take(struct service_line *line, struct span payload) {
    uint32_t code = payload.length < 2 ? 1005u : (uint32_t)payload.data[0] << 8 | payload.data[1];
    bool is_legal =
        payload.length != 1 && (code == 1005 || (code >= 1000 && code <= 1003) ||
                                (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999));
    if (!is_legal) {
        service_fail(line, "a Close with a code that is never sent");
    }
    if (line->phase == SERVICE_TUNNEL && !line->is_silent) {
        frame_put(line, CLOSE, payload.data, payload.length < 2 ? 0 : 2);
    }
    line->ends = !line->is_silent;   // the server ends the connection (RFC 6455 7.1.1)
    line->phase = SERVICE_ANSWERING; // nothing follows a Close
    service_flush(line);
}

// Head and length. False: more must come.
static bool head_read(struct service_line *line, struct span bytes, struct frame *frame) {
    if (bytes.length < 2) {
        return false;
    }
    uint32_t length = bytes.data[1] & 127;
    *frame = (struct frame){.opcode = bytes.data[0] & 15, .length = length, .head_bytes = 6};
    bool is_control = frame->opcode >= CLOSE;
    bool is_legal = (bytes.data[0] & 0xf0) == FINAL && (bytes.data[1] & 0x80) != 0 &&
                    frame->opcode > 0 && (frame->opcode <= BINARY || is_control) &&
                    frame->opcode <= PONG && (!is_control || length <= CONTROL_MAX);
    uint32_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    frame->head_bytes += extra;
    if (!is_legal) {
        service_fail(line, "a frame that is not legal from a client");
    }
    if (bytes.length < frame->head_bytes) {
        return false;
    }
    if (extra > 0) {
        frame->length = 0;
        for (uint32_t i = 0; i < extra; i++) {
            frame->length = frame->length << 8 | bytes.data[2 + i];
        }
        if (frame->length < (extra == 2 ? 126 : 65536)) {
            service_fail(line, "a length in more bytes than it needs");
        }
    }
    return true;
}

uint32_t service_frame(struct service_line *line, struct span bytes) {
    struct frame frame;
    if (!head_read(line, bytes, &frame) || bytes.length < frame.head_bytes + frame.length) {
        return 0;
    }
    uint32_t length = (uint32_t)frame.length;
    const uint8_t *mask = bytes.data + frame.head_bytes - 4;
    uint8_t *payload = malloc((size_t)length + 1);
    check(payload != NULL);
    for (uint32_t i = 0; i < length; i++) {
        payload[i] = bytes.data[frame.head_bytes + i] ^ mask[i % 4];
    }
    struct span content = span_make(payload, length);
    if (frame.opcode <= BINARY) {
        message_take(line, &frame, content);
    } else if (frame.opcode == CLOSE) {
        close_take(line, content);
    } else if (frame.opcode == PING && !line->is_silent && line->phase == SERVICE_TUNNEL) {
        frame_put(line, PONG, payload, length);
        service_flush(line);
    }
    free(payload);
    return frame.head_bytes + length;
}
