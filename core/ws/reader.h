// From bytes to messages and control frames (RFC 6455 5.4 to 5.6), fail-fast. One reader exists
// only while a connection is in the middle of something; a connection between messages needs none.
// Pure: memory comes from the worker's arena.
#pragma once
#include "core/base/arena.h"
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/span.h"
#include "core/ws/frame.h"

#include <stdbool.h>
#include <stdint.h>

// An assembled message leaves this much room in front of its bytes, so that it can become a payload
// (core/hub/payload.h) in place.
enum { WS_MESSAGE_HEADROOM = 64 };

struct ws_reader_rules {        // from the route
    uint32_t message_bytes_max; // sum of a message's payloads; of a compressed one, on the wire,
                                // what that many bytes may come to (core/ws/deflate.h)
    uint32_t fragments_max;     // frames of one message, at least 1
    struct ws_head_rules head;
};

// All zero is the state between messages.
struct ws_reader {
    uint64_t frame_remaining; // payload bytes of the present frame still to come
    uint32_t message_block;   // arena handle of the message being assembled, 0 = none
    uint32_t message_bytes;   // assembled so far
    uint32_t fragment_count;
    uint32_t mask_offset; // payload bytes of the present frame already unmasked
    uint8_t mask_key[4];
    uint8_t message_opcode; // of the message in progress, 0 = none
    uint8_t frame_opcode;   // of the frame in progress (its head is complete), 0 = none; a
                            // continuation carries its message's
    uint8_t utf8_state;
    bool is_final;      // of the frame in progress
    bool is_compressed; // RSV1 on the message's first frame
    uint8_t held_bytes; // of `held` in use: an unfinished head, or a control frame's payload so far
    uint8_t held[CONTROL_BYTES_MAX + 1];
};

enum ws_event_kind {
    WS_EVENT_NEED_MORE, // input is empty
    WS_EVENT_MESSAGE,   // a complete text or binary message
    WS_EVENT_PING,
    WS_EVENT_PONG,
    WS_EVENT_CLOSE,
    WS_EVENT_FAULT,   // `fault` says which; nothing after it may be processed, only dropped
    WS_EVENT_REFUSED, // no memory for the message: the caller's policy decides (out_of_memory).
                      // No payload was consumed: feeding the rest of the input again retries
};

struct ws_event {
    enum ws_event_kind kind;
    uint8_t opcode; // of a message: WS_TEXT or WS_BINARY
    bool is_compressed;
    uint32_t block; // arena block that holds the message (at WS_MESSAGE_HEADROOM), now owned by the
                    // caller; 0: it lies in the input
    struct span payload; // message or control payload, unmasked; valid until the input or the
                         // reader is touched; its data is never NULL, also when it is empty
    const struct fault *fault;
};

// Consumes from *input (its bytes are unmasked in place) until one event is complete. Call again
// until NEED_MORE, which means that the input is used up. A message whose bytes all lie in the
// input, in one frame, is delivered in place, without a copy; anything else is assembled in a
// block: taken for the announced size up to 64 KiB, then growing by doubling, so that an announced
// length alone holds no memory. Limits are judged from the head, byte by byte, before memory is
// taken. Text is checked as it arrives, also across frames; of a compressed message (is_compressed)
// it is the inflated bytes that count, and whoever inflates checks them. However the bytes are cut
// into pieces, the events are the same. Between messages a whole frame is handled without writing
// to the reader, so that one idle (all zero) reader may serve all connections that hold nothing.
struct ws_event ws_reader_feed(struct ws_reader *reader, struct span_mut *input,
                               struct arena *arena, const struct ws_reader_rules *rules);
// Whether it is between messages with nothing held: then it may be dropped (all zero).
bool ws_reader_is_idle(const struct ws_reader *reader);
// Where the next bytes of a large frame can be received without a copy: inside the message's block,
// at most what the frame still owes; empty when the reader is not in the middle of a data frame
// with at least RECEIVE_BUFFER_BYTES to come. Valid until the reader is touched.
struct span_mut ws_reader_target(struct ws_reader *reader, struct arena *arena);
// `length` bytes were received into the target: unmasks and checks them. Like ws_reader_feed, and
// to be followed by ws_reader_feed on what comes next.
struct ws_event ws_reader_received(struct ws_reader *reader, uint32_t length, struct arena *arena,
                                   const struct ws_reader_rules *rules);
// Gives the block back and zeroes the reader.
void ws_reader_drop(struct ws_reader *reader, struct arena *arena);
