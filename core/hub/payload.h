// A payload: bytes to be sent, encoded once, immutable, counted by the sends and queues of one
// worker that refer to it. Lives in an arena block; the handle is the block's. Never shared between
// threads.
#pragma once
#include "core/base/arena.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PAYLOAD_HEADROOM = 64
}; // equals WS_MESSAGE_HEADROOM: struct payload, then room for the frame head right before the data

#define PAYLOAD_PACKED_NONE UINT32_MAX

enum payload_kind {
    PAYLOAD_BYTES,   // HTTP bytes: no message
    PAYLOAD_CONTROL, // a control frame: never dropped by a policy
    PAYLOAD_MESSAGE, // a data frame: policies may drop it while it waits
};

// At the start of the block.
struct payload {
    uint32_t references;
    uint32_t packed; // its compressed variant, made when it is first wanted; one reference is held.
                     // 0: not made yet; PAYLOAD_PACKED_NONE: it does not pay
    uint32_t wire_bytes; // head and data
    uint32_t data_bytes; // without the frame head; of a run: how many messages it holds
    uint16_t wire_start; // from the start of the block
    uint8_t kind;        // enum payload_kind
    uint8_t opcode;      // of a message or control frame; 0 in a message: it is a run
};

static inline struct payload *payload_at(const struct arena *arena, uint32_t handle) {
    return (struct payload *)(void *)arena_at(arena, handle);
}
static inline struct span payload_wire(const struct arena *arena, uint32_t handle) {
    const struct payload *payload = payload_at(arena, handle);
    return span_make(arena_at(arena, handle) + payload->wire_start, payload->wire_bytes);
}
static inline struct span payload_data(const struct arena *arena, uint32_t handle) {
    const struct payload *payload = payload_at(arena, handle);
    return span_make(arena_at(arena, handle) + payload->wire_start +
                         (payload->wire_bytes - payload->data_bytes),
                     payload->data_bytes);
}
// A payload of raw bytes; one reference, the caller's. 0: no memory. `bytes` is copied.
uint32_t payload_bytes(struct arena *arena, struct span bytes);
// A frame with that opcode (data: kind MESSAGE, control: kind CONTROL) around a copy of `data`.
uint32_t payload_frame(struct arena *arena, uint8_t opcode, struct span data);
// An uninitialised payload of data_bytes (opcode 0: raw bytes, without a frame head), whose data
// the caller fills at once (payload_fill_target) before it is shared.
uint32_t payload_reserve(struct arena *arena, uint8_t opcode, uint32_t data_bytes, uint8_t **data);
// Cuts a payload of raw bytes (opcode 0) to what was written into it.
void payload_trim(struct arena *arena, uint32_t handle, uint32_t data_bytes);
// Turns an assembled message (data at PAYLOAD_HEADROOM of the block) into a payload in place. The
// block's ownership moves to the payload.
uint32_t payload_adopt(struct arena *arena, uint32_t block, uint8_t opcode, uint32_t data_bytes);
// A run: whole frames of messages, head and all, which the caller writes at once. One message of so
// many bytes, and room for further ones (outbox_run_room). 0: no memory.
uint32_t payload_run(struct arena *arena, uint32_t wire_bytes, uint8_t **wire);
// Turns a block that holds such a frame from `wire_start` on into a run of one message; so much
// room in front of it as PAYLOAD_HEADROOM leaves before a head suffices.
uint32_t payload_adopt_run(struct arena *arena, uint32_t block, uint32_t wire_start,
                           uint32_t wire_bytes);
// A control frame whose bytes the caller has made, around a copy of them; 0: no memory.
uint32_t payload_control(struct arena *arena, uint8_t opcode, struct span wire);
static inline void payload_hold(struct arena *arena, uint32_t handle) {
    payload_at(arena, handle)->references++;
}
// Messages that go out with it.
static inline uint32_t payload_messages(const struct arena *arena, uint32_t handle) {
    const struct payload *payload = payload_at(arena, handle);
    if (payload->kind != PAYLOAD_MESSAGE) {
        return 0;
    }
    return payload->opcode == 0 ? payload->data_bytes : 1;
}
// Makes the compressed variant of a message (RFC 7692 6.1: RSV1 set) around a copy of `packed`, and
// lets the message keep it. Its handle, without a reference for the caller; 0: no memory, and
// nothing changed.
uint32_t payload_pack(struct arena *arena, uint32_t handle, struct span packed);
// A compressed message by itself, around a copy of `packed`; 0: no memory.
uint32_t payload_packed(struct arena *arena, uint8_t opcode, struct span packed);
// Notes that there will be none.
static inline void payload_pack_not(struct arena *arena, uint32_t handle) {
    payload_at(arena, handle)->packed = PAYLOAD_PACKED_NONE;
}
// Gives one reference back; the block, and the variant's, with the last.
void payload_drop(struct arena *arena, uint32_t handle);
