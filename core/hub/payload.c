// Payloads: one encoding, many sends. Not for: who gets it (hub.h) or when (outbox.h). Memory: the
// worker's arena; a small one, head and all, fits one cache line.
#include "core/hub/payload.h"

#include "core/base/check.h"
#include <assert.h>

#include "core/base/pure.h"

enum {
    RUN_BYTES = 2048,      // of a run's block at least: what one receive brings fits in
    HEAD_BYTES_MAX = 10,   // of an unmasked frame (RFC 6455 5.2)
    OPCODE_CONTROL = 8,    // from here on, control frames
    RESERVED_1 = 0x40,     // of a frame's first byte: the message is compressed (RFC 7692 6)
    LENGTH_7_MAX = 125,    // longest payload with a two-byte head
    LENGTH_16_MAX = 65535, // with a four-byte one
};

static_assert(sizeof(struct payload) == 20, "one cache line holds it and a small frame");
static_assert(sizeof(struct payload) + HEAD_BYTES_MAX <= PAYLOAD_HEADROOM, "a head fits in front");

static uint32_t bytes_reserve(struct arena *arena, uint32_t data_bytes, uint8_t **data);
static uint32_t head_bytes(uint32_t data_bytes);
static void head_write(uint8_t *target, uint8_t opcode, uint32_t data_bytes);
static void payload_init(struct payload *payload, uint32_t data_start, uint8_t opcode,
                         uint32_t data_bytes);

uint32_t payload_bytes(struct arena *arena, struct span bytes) {
    uint8_t *target;
    uint32_t handle = bytes_reserve(arena, bytes.length, &target);
    if (handle != 0 && bytes.length > 0) {
        memcpy(target, bytes.data, bytes.length);
    }
    return handle;
}

uint32_t payload_frame(struct arena *arena, uint8_t opcode, struct span data) {
    uint8_t *target;
    uint32_t handle = payload_reserve(arena, opcode, data.length, &target);
    if (handle != 0 && data.length > 0) {
        memcpy(target, data.data, data.length);
    }
    return handle;
}

uint32_t payload_reserve(struct arena *arena, uint8_t opcode, uint32_t data_bytes, uint8_t **data) {
    if (opcode == 0) {
        return bytes_reserve(arena, data_bytes, data);
    }
    uint32_t data_start = (uint32_t)sizeof(struct payload) + head_bytes(data_bytes);
    uint32_t handle = arena_take(arena, (uint64_t)data_start + data_bytes);
    if (handle == 0) {
        return 0;
    }
    payload_init(payload_at(arena, handle), data_start, opcode, data_bytes);
    *data = arena_at(arena, handle) + data_start;
    return handle;
}

void payload_trim(struct arena *arena, uint32_t handle, uint32_t data_bytes) {
    struct payload *payload = payload_at(arena, handle);
    check(payload->kind == PAYLOAD_BYTES);
    check(data_bytes <= payload->data_bytes);
    payload->data_bytes = data_bytes;
    payload->wire_bytes = data_bytes;
}

uint32_t payload_adopt(struct arena *arena, uint32_t block, uint8_t opcode, uint32_t data_bytes) {
    check((uint64_t)data_bytes + PAYLOAD_HEADROOM <= arena_block_bytes(arena, block));
    payload_init(payload_at(arena, block), PAYLOAD_HEADROOM, opcode, data_bytes);
    return block;
}

static uint32_t run_init(struct arena *arena, uint32_t block, uint32_t wire_start,
                         uint32_t wire_bytes) {
    *payload_at(arena, block) = (struct payload){.references = 1,
                                                 .packed = PAYLOAD_PACKED_NONE,
                                                 .wire_bytes = wire_bytes,
                                                 .data_bytes = 1,
                                                 .wire_start = (uint16_t)wire_start,
                                                 .kind = PAYLOAD_MESSAGE};
    return block;
}

uint32_t payload_run(struct arena *arena, uint32_t wire_bytes, uint8_t **wire) {
    uint64_t bytes = sizeof(struct payload) + (uint64_t)wire_bytes;
    uint32_t block = arena_take(arena, bytes < RUN_BYTES ? RUN_BYTES : bytes);
    if (block == 0) {
        return 0;
    }
    *wire = arena_at(arena, block) + sizeof(struct payload);
    return run_init(arena, block, sizeof(struct payload), wire_bytes);
}

uint32_t payload_adopt_run(struct arena *arena, uint32_t block, uint32_t wire_start,
                           uint32_t wire_bytes) {
    check(wire_start >= sizeof(struct payload) && wire_start <= PAYLOAD_HEADROOM);
    check((uint64_t)wire_start + wire_bytes <= arena_block_bytes(arena, block));
    return run_init(arena, block, wire_start, wire_bytes);
}

uint32_t payload_control(struct arena *arena, uint8_t opcode, struct span wire) {
    check(opcode >= OPCODE_CONTROL && wire.length > 0);
    uint32_t handle = payload_bytes(arena, wire);
    if (handle != 0) {
        payload_at(arena, handle)->kind = PAYLOAD_CONTROL;
        payload_at(arena, handle)->opcode = opcode;
    }
    return handle;
}

void payload_drop(struct arena *arena, uint32_t handle) {
    struct payload *payload = payload_at(arena, handle);
    check(payload->references > 0);
    payload->references--;
    if (payload->references > 0) {
        return;
    }
    uint32_t packed = payload->packed;
    arena_give(arena, handle);
    if (packed != 0 && packed != PAYLOAD_PACKED_NONE) { // which has none of its own
        struct payload *variant = payload_at(arena, packed);
        check(variant->references > 0 && variant->packed == PAYLOAD_PACKED_NONE);
        variant->references--;
        if (variant->references == 0) {
            arena_give(arena, packed);
        }
    }
}

uint32_t payload_pack(struct arena *arena, uint32_t handle, struct span packed) {
    check(payload_at(arena, handle)->kind == PAYLOAD_MESSAGE);
    check(payload_at(arena, handle)->packed == 0);
    uint32_t variant = payload_packed(arena, payload_at(arena, handle)->opcode, packed);
    if (variant != 0) {
        payload_at(arena, handle)->packed = variant;
    }
    return variant;
}

uint32_t payload_packed(struct arena *arena, uint8_t opcode, struct span packed) {
    uint32_t handle = payload_frame(arena, opcode, packed);
    if (handle != 0) {
        payload_at(arena, handle)->packed = PAYLOAD_PACKED_NONE;
        arena_at(arena, handle)[payload_at(arena, handle)->wire_start] |= RESERVED_1;
    }
    return handle;
}

// The payload whose data begins at data_start of its block, with the frame head right before it.
static void payload_init(struct payload *payload, uint32_t data_start, uint8_t opcode,
                         uint32_t data_bytes) {
    check(opcode <= 0x0f);
    uint32_t head = head_bytes(data_bytes);
    check(data_bytes <= UINT32_MAX - head);
    *payload =
        (struct payload){.references = 1,
                         .wire_bytes = head + data_bytes,
                         .data_bytes = data_bytes,
                         .wire_start = (uint16_t)(data_start - head),
                         .kind = opcode >= OPCODE_CONTROL ? PAYLOAD_CONTROL : PAYLOAD_MESSAGE,
                         .opcode = opcode};
    head_write((uint8_t *)payload + data_start - head, opcode, data_bytes);
}

// Raw bytes, without a frame head.
static uint32_t bytes_reserve(struct arena *arena, uint32_t data_bytes, uint8_t **data) {
    uint32_t handle = arena_take(arena, sizeof(struct payload) + (uint64_t)data_bytes);
    if (handle == 0) {
        return 0;
    }
    struct payload *payload = payload_at(arena, handle);
    *payload = (struct payload){.references = 1,
                                .wire_bytes = data_bytes,
                                .data_bytes = data_bytes,
                                .wire_start = sizeof *payload,
                                .kind = PAYLOAD_BYTES};
    *data = (uint8_t *)(payload + 1);
    return handle;
}

static uint32_t head_bytes(uint32_t data_bytes) {
    if (data_bytes <= LENGTH_7_MAX) {
        return 2;
    }
    return data_bytes <= LENGTH_16_MAX ? 4 : HEAD_BYTES_MAX;
}

// An unmasked final head. core/ws writes the same; a room does not include one of its own level.
static void head_write(uint8_t *target, uint8_t opcode, uint32_t data_bytes) {
    target[0] = (uint8_t)(0x80 | opcode);
    uint32_t length_bytes = head_bytes(data_bytes) - 2;
    if (length_bytes == 0) {
        target[1] = (uint8_t)data_bytes;
        return;
    }
    target[1] = length_bytes == 2 ? 126 : 127;
    uint64_t rest = data_bytes;
    for (uint32_t i = length_bytes + 1; i >= 2; i--) { // network order, from the last byte
        target[i] = (uint8_t)rest;
        rest >>= 8;
    }
}
