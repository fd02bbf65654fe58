// Frame heads (RFC 6455 5.2): pure functions over bytes, no state. The decoder runs once per frame
// on the hot path of every message.
#include "core/ws/frame.h"

#include "core/base/check.h"
#include "core/base/pure.h"

enum {
    LENGTH_16 = 126, // second byte's length field: two more bytes follow
    LENGTH_64 = 127, // eight more
    OPCODES_LEGAL = 1 << WS_CONTINUATION | 1 << WS_TEXT | 1 << WS_BINARY | 1 << WS_CLOSE |
                    1 << WS_PING | 1 << WS_PONG,
};

static_assert((int)CONTROL_BYTES_MAX < (int)LENGTH_16, "a control frame has the shortest head");

static const struct fault *first_byte_judge(uint8_t first, struct ws_head_rules rules);
static const struct fault *second_byte_judge(uint8_t first, uint8_t second,
                                             struct ws_head_rules rules);
static enum ws_head_result length_decode(struct span bytes, struct ws_frame_head *head,
                                         const struct fault **fault);
static uint64_t big_endian_load(const uint8_t *bytes, uint32_t count);
static void big_endian_store(uint8_t *bytes, uint32_t count, uint64_t value);
static uint32_t head_write(uint8_t *target, uint8_t first, uint8_t mask_bit,
                           uint64_t payload_bytes);

enum ws_head_result ws_frame_head_decode(struct span bytes, struct ws_head_rules rules,
                                         struct ws_frame_head *head, const struct fault **fault) {
    if (bytes.length == 0) {
        return WS_HEAD_NEED_MORE;
    }
    uint8_t first = bytes.data[0];
    *fault = first_byte_judge(first, rules);
    if (*fault != NULL) {
        return WS_HEAD_FAULT;
    }
    if (bytes.length == 1) {
        return WS_HEAD_NEED_MORE;
    }
    *fault = second_byte_judge(first, bytes.data[1], rules);
    if (*fault != NULL) {
        return WS_HEAD_FAULT;
    }
    head->opcode = first & 0x0f;
    head->is_final = first >> 7 != 0;
    head->reserved = first >> 4 & 7;
    head->is_masked = rules.expects_mask; // as judged
    return length_decode(bytes, head, fault);
}

uint64_t ws_frame_payload_floor(struct span bytes) {
    if (bytes.length < 2) {
        return 0;
    }
    uint8_t field = bytes.data[1] & 0x7f;
    if (field < LENGTH_16) {
        return field;
    }
    uint32_t width = field == LENGTH_16 ? 2 : 8;
    uint64_t floor = field == LENGTH_16 ? LENGTH_16 : UINT64_C(0x10000);
    uint32_t present = bytes.length - 2 < width ? bytes.length - 2 : width;
    uint64_t announced = big_endian_load(bytes.data + 2, present);
    for (uint32_t i = present; i < width; i++) {
        announced <<= 8;
    }
    return announced > floor ? announced : floor;
}

uint32_t ws_frame_head_bytes(uint64_t payload_bytes) {
    if (payload_bytes < LENGTH_16) {
        return 2;
    }
    return payload_bytes <= UINT16_MAX ? 4 : 10;
}

uint32_t ws_frame_head_encode(uint8_t *target, uint8_t opcode, uint8_t reserved,
                              uint64_t payload_bytes) {
    check(opcode <= 0x0f && reserved <= 7);
    return head_write(target, (uint8_t)(0x80 | reserved << 4 | opcode), 0, payload_bytes);
}

uint32_t ws_frame_head_encode_masked(uint8_t *target, uint8_t opcode, uint8_t reserved,
                                     uint64_t payload_bytes, const uint8_t mask_key[4]) {
    check(opcode <= 0x0f && reserved <= 7);
    uint32_t length =
        head_write(target, (uint8_t)(0x80 | reserved << 4 | opcode), 0x80, payload_bytes);
    memcpy(target + length, mask_key, 4);
    return length + 4;
}

static const struct fault *first_byte_judge(uint8_t first, struct ws_head_rules rules) {
    uint8_t opcode = first & 0x0f;
    uint8_t reserved = first >> 4 & 7;
    if (reserved != 0) {
        bool begins_message = opcode == WS_TEXT || opcode == WS_BINARY;
        if (!rules.allows_rsv1 || reserved != 4 || !begins_message) {
            return fault_get(FAULT_reserved_bit);
        }
    }
    if ((OPCODES_LEGAL >> opcode & 1) == 0) {
        return fault_get(FAULT_opcode_reserved);
    }
    if (opcode >= WS_CLOSE && (first & 0x80) == 0) {
        return fault_get(FAULT_control_fragmented);
    }
    return NULL;
}

static const struct fault *second_byte_judge(uint8_t first, uint8_t second,
                                             struct ws_head_rules rules) {
    // The row is named for a server's side; at a client's, it is the masked frame that is wrong.
    if ((second >> 7 != 0) != rules.expects_mask) {
        return fault_get(FAULT_frame_unmasked);
    }
    if ((first & 0x08) != 0 && (second & 0x7f) > CONTROL_BYTES_MAX) {
        return fault_get(FAULT_control_too_long);
    }
    return NULL;
}

// From the second byte on: length, its form, and the mask key. `head` has its other fields.
static enum ws_head_result length_decode(struct span bytes, struct ws_frame_head *head,
                                         const struct fault **fault) {
    uint32_t present = bytes.length - 2;
    uint32_t width = 0;
    uint64_t payload_bytes = bytes.data[1] & 0x7f;
    if (payload_bytes == LENGTH_16) {
        width = 2;
        if (present < width) {
            return WS_HEAD_NEED_MORE; // the second byte decides whether the form is minimal
        }
        payload_bytes = big_endian_load(bytes.data + 2, 2);
        *fault = payload_bytes < LENGTH_16 ? fault_get(FAULT_length_not_minimal) : NULL;
    } else if (payload_bytes == LENGTH_64) {
        width = 8;
        uint32_t got = present < width ? present : width;
        uint64_t prefix = big_endian_load(bytes.data + 2, got);
        if (got > 0 && bytes.data[2] >> 7 != 0) {
            *fault = fault_get(FAULT_length_top_bit);
        } else if (got >= 6 && prefix >> (got - 6) * 8 == 0) { // six zero bytes: below 65536
            *fault = fault_get(FAULT_length_not_minimal);
        }
        payload_bytes = prefix;
    }
    if (*fault != NULL) {
        return WS_HEAD_FAULT;
    }
    uint32_t key_bytes = head->is_masked ? 4 : 0;
    if (present < width + key_bytes) {
        return WS_HEAD_NEED_MORE;
    }
    memset(head->mask_key, 0, sizeof head->mask_key);
    if (head->is_masked) {
        memcpy(head->mask_key, bytes.data + 2 + width, sizeof head->mask_key);
    }
    head->payload_bytes = payload_bytes;
    head->head_bytes = (uint8_t)(2 + width + key_bytes);
    return WS_HEAD_DONE;
}

static uint64_t big_endian_load(const uint8_t *bytes, uint32_t count) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void big_endian_store(uint8_t *bytes, uint32_t count, uint64_t value) {
    for (uint32_t i = count; i > 0; i--) {
        bytes[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

// First byte, mask bit and length in its shortest form; without the key.
static uint32_t head_write(uint8_t *target, uint8_t first, uint8_t mask_bit,
                           uint64_t payload_bytes) {
    check(payload_bytes >> 63 == 0);
    uint32_t length = ws_frame_head_bytes(payload_bytes);
    target[0] = first;
    if (length == 2) {
        target[1] = (uint8_t)(mask_bit | payload_bytes);
    } else {
        target[1] = (uint8_t)(mask_bit | (length == 4 ? LENGTH_16 : LENGTH_64));
        big_endian_store(target + 2, length - 2, payload_bytes);
    }
    return length;
}
