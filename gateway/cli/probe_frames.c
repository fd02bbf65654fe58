// Frames, as a client sees them: pings, and how long a silence may last.
#include "gateway/cli/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mask.h"
#include "core/ws/frame.h"
#include "gateway/seam/clock.h"
#include "gateway/seam/entropy.h"

enum { PINGS = 3, IDLE_MS_FIRST = 5000, FRAMES_MAX = 1000000 };

// Sends a masked control frame; -1 when it cannot be sent.
static int control_send(struct probe *probe, uint8_t opcode, struct span payload) {
    uint8_t key[4];
    uint8_t frame[FRAME_HEAD_BYTES_MAX + CONTROL_BYTES_MAX];
    if (payload.length > CONTROL_BYTES_MAX || entropy_fill(key, sizeof key) != 0) {
        return -1;
    }
    uint32_t head = ws_frame_head_encode_masked(frame, opcode, 0, payload.length, key);
    mask_copy(frame + head, payload.data, payload.length, key, 0);
    return probe_send(probe, span_make(frame, head + payload.length));
}

static void buffer_drop(struct probe *probe, uint32_t count) {
    memmove(probe->buffer, probe->buffer + count, probe->used - count);
    probe->used -= count;
}

// A complete control frame at the front of the buffer.
static enum probe_frame control_take(struct probe *probe, const struct ws_frame_head *head,
                                     uint16_t *code) {
    struct span payload =
        span_make(probe->buffer + head->head_bytes, (uint32_t)head->payload_bytes);
    enum probe_frame frame = PROBE_FRAME_PONG;
    if (head->opcode == WS_PING) {
        frame = control_send(probe, WS_PONG, payload) == 0 ? PROBE_FRAME_PING : PROBE_FRAME_RESET;
    } else if (head->opcode == WS_CLOSE) {
        frame = PROBE_FRAME_CLOSE;
        *code = payload.length >= 2 ? (uint16_t)(payload.data[0] << 8 | payload.data[1]) : 1005;
    }
    buffer_drop(probe, head->head_bytes + payload.length);
    return frame;
}

enum probe_frame probe_frame_next(struct probe *probe, uint64_t due_ns, uint16_t *code) {
    struct ws_head_rules rules = {.expects_mask = false, .allows_rsv1 = probe->has_compression};
    uint64_t skip = 0; // payload of a data frame that is still to come: its bytes are not looked at
    bool is_data = false;
    // Bounded by the time: every pass takes bytes or waits.
    while (true) {
        uint32_t skipped = skip < probe->used ? (uint32_t)skip : probe->used;
        buffer_drop(probe, skipped);
        skip -= skipped;
        if (is_data && skip == 0) {
            return PROBE_FRAME_DATA;
        }
        struct ws_frame_head head;
        const struct fault *fault;
        enum ws_head_result result =
            is_data
                ? WS_HEAD_NEED_MORE
                : ws_frame_head_decode(span_make(probe->buffer, probe->used), rules, &head, &fault);
        if (result == WS_HEAD_FAULT) {
            (void)printf("  broken       %s\n", fault->text);
            return PROBE_FRAME_BROKEN;
        }
        bool is_control = result == WS_HEAD_DONE && head.opcode >= WS_CLOSE;
        if (is_control && probe->used >= head.head_bytes + head.payload_bytes) {
            return control_take(probe, &head, code);
        }
        if (result == WS_HEAD_DONE && !is_control) {
            buffer_drop(probe, head.head_bytes);
            is_data = true;
            skip = head.payload_bytes;
            continue;
        }
        enum probe_heard heard = probe_hear(probe, due_ns);
        if (heard != PROBE_HEARD_BYTES) {
            return heard == PROBE_HEARD_END     ? PROBE_FRAME_END
                   : heard == PROBE_HEARD_RESET ? PROBE_FRAME_RESET
                                                : PROBE_FRAME_NONE;
        }
    }
}

static const char *frame_word(enum probe_frame frame) {
    switch (frame) {
    case PROBE_FRAME_CLOSE:
        return "the server closed it";
    case PROBE_FRAME_END:
        return "the connection was closed (FIN) without a Close frame";
    case PROBE_FRAME_RESET:
        return "the connection was reset";
    case PROBE_FRAME_BROKEN:
        return "what came is not WebSocket";
    default:
        return "no answer";
    }
}

// Pings and waits for a pong: its time in *took_ns, or what came instead.
static enum probe_frame ping(struct probe *probe, uint64_t *took_ns, uint16_t *code) {
    uint64_t start_ns = clock_now_ns();
    uint64_t due_ns = start_ns + probe->options.timeout_ms * PROBE_NS_PER_MS;
    if (control_send(probe, WS_PING, span_text("holdfast")) != 0) {
        return PROBE_FRAME_RESET;
    }
    enum probe_frame frame = PROBE_FRAME_DATA;
    for (uint32_t i = 0; i < FRAMES_MAX; i++) {
        frame = probe_frame_next(probe, due_ns, code);
        if (frame != PROBE_FRAME_DATA && frame != PROBE_FRAME_PING) {
            break;
        }
    }
    *took_ns = clock_now_ns() - start_ns;
    return frame;
}

bool probe_pings(struct probe *probe) {
    (void)printf("  ping         ");
    for (int i = 0; i < PINGS; i++) {
        uint64_t took_ns = 0;
        uint16_t code = 0;
        enum probe_frame frame = ping(probe, &took_ns, &code);
        if (frame != PROBE_FRAME_PONG) {
            (void)printf("%s\n", frame_word(frame));
            return false;
        }
        (void)printf("%s%.2f ms", i == 0 ? "" : ", ", (double)took_ns / 1e6);
    }
    (void)printf("\n");
    return true;
}

// Silent for `silence_ms` on our side. What ended it; PROBE_FRAME_NONE: nothing did.
static enum probe_frame silence(struct probe *probe, uint64_t silence_ms, uint16_t *code,
                                uint32_t *ping_count) {
    uint64_t due_ns = clock_now_ns() + silence_ms * PROBE_NS_PER_MS;
    for (uint32_t i = 0; i < FRAMES_MAX; i++) {
        enum probe_frame frame = probe_frame_next(probe, due_ns, code);
        if (frame != PROBE_FRAME_DATA && frame != PROBE_FRAME_PING) {
            return frame;
        }
        *ping_count += frame == PROBE_FRAME_PING;
    }
    return PROBE_FRAME_NONE;
}

// Silences that double. One that a FIN, a reset or a Close ends is known to the millisecond; a path
// that forgets in silence is known by the ping behind it that nobody answers.
bool probe_idle(struct probe *probe) {
    uint64_t most = probe->options.idle_ms_max;
    uint64_t next = most < IDLE_MS_FIRST ? most : IDLE_MS_FIRST;
    uint64_t survived = 0;
    uint32_t ping_count = 0;
    while (survived < most) {
        uint16_t code = 0;
        uint64_t took_ns = 0;
        uint64_t start_ns = clock_now_ns();
        enum probe_frame frame = silence(probe, next, &code, &ping_count);
        double after_s = (double)(clock_now_ns() - start_ns) / 1e9;
        if (frame == PROBE_FRAME_CLOSE) {
            (void)printf("  idle         closed by the server with %u after %.1f s\n", code,
                         after_s);
            return false;
        }
        if (frame != PROBE_FRAME_NONE) {
            (void)printf("  idle         after %.1f s %s\n", after_s, frame_word(frame));
            return false;
        }
        frame = ping(probe, &took_ns, &code);
        if (frame != PROBE_FRAME_PONG) {
            (void)printf("  idle         %.1f s survived; after %.1f s the path was gone: %s\n",
                         (double)survived / 1e3, (double)next / 1e3, frame_word(frame));
            return false;
        }
        survived = next;
        (void)printf("  idle         %.1f s survived%s\n", (double)survived / 1e3,
                     ping_count > 0 ? " (the server pinged meanwhile, so it was no silence)" : "");
        (void)fflush(stdout); // it takes long: show what is known
        next = next * 2 < most ? next * 2 : most;
    }
    return true;
}

void probe_leave(struct probe *probe) {
    static const uint8_t normal[] = {1000 >> 8, 1000 & 255};
    uint16_t code;
    uint64_t due_ns = clock_now_ns() + probe->options.timeout_ms * PROBE_NS_PER_MS;
    if (control_send(probe, WS_CLOSE, span_make(normal, sizeof normal)) != 0) {
        return;
    }
    for (uint32_t i = 0; i < FRAMES_MAX; i++) {
        enum probe_frame frame = probe_frame_next(probe, due_ns, &code);
        if (frame != PROBE_FRAME_DATA && frame != PROBE_FRAME_PING && frame != PROBE_FRAME_PONG) {
            return;
        }
    }
}
