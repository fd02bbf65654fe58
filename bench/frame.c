#include "bench/frame.h"

#include "bench/deflate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { RSV1 = 0x40, RSV_OTHER = 0x30 };

enum frame_result frame_read(const uint8_t *bytes, size_t count, bool may_be_packed,
                             struct frame *frame) {
    frame->length = 0;
    if (count < 2) {
        return FRAME_MORE;
    }
    frame->opcode = bytes[0] & 15;
    frame->is_final = (bytes[0] & 0x80) != 0;
    bool is_control = frame->opcode >= 8;
    frame->is_packed = (bytes[0] & RSV1) != 0;
    bool is_first = frame->opcode == OPCODE_TEXT || frame->opcode == OPCODE_BINARY;
    if ((frame->is_packed && !(may_be_packed && is_first)) || (bytes[0] & RSV_OTHER) != 0 ||
        (bytes[1] & 0x80) != 0 || frame->opcode > OPCODE_PONG ||
        (frame->opcode > OPCODE_BINARY && !is_control)) {
        return FRAME_BAD;
    }
    uint64_t length = bytes[1] & 127;
    size_t header = 2;
    if (is_control && (length > 125 || !frame->is_final)) {
        return FRAME_BAD;
    }
    if (length >= 126) {
        size_t extra = length == 126 ? 2 : 8;
        header += extra;
        if (count < header) {
            return FRAME_MORE;
        }
        length = 0;
        for (size_t i = 0; i < extra; i++) {
            length = length << 8 | bytes[2 + i];
        }
        if (length < (extra == 2 ? 126U : 65536U) || length > INT64_MAX) {
            return FRAME_BAD;
        }
    }
    frame->payload = bytes + header;
    frame->payload_length = length;
    frame->length = header + length;
    return count < frame->length ? FRAME_MORE : FRAME_DONE;
}

size_t frame_header_length(size_t payload_length) {
    if (payload_length < 126) {
        return 2;
    }
    return payload_length < 65536 ? 4 : 10;
}

size_t frame_header_write(uint8_t *target, uint8_t opcode, size_t payload_length,
                          const uint8_t mask[4]) {
    size_t header = frame_header_length(payload_length);
    target[0] = (uint8_t)(0x80 | opcode);
    if (header == 2) {
        target[1] = (uint8_t)(0x80 | payload_length);
    } else {
        target[1] = header == 4 ? 0x80 | 126 : 0x80 | 127;
        for (size_t i = header; i-- > 2;) {
            target[i] = (uint8_t)payload_length;
            payload_length >>= 8;
        }
    }
    memcpy(target + header, mask, 4);
    return header + 4;
}

void frame_mask(uint8_t *bytes, size_t count, const uint8_t mask[4]) {
    uint32_t half;
    memcpy(&half, mask, sizeof half);
    uint64_t whole = (uint64_t)half << 32 | half;
    size_t at = 0;
    for (; at + sizeof whole <= count; at += sizeof whole) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        word ^= whole;
        memcpy(bytes + at, &word, sizeof word);
    }
    for (; at < count; at++) {
        bytes[at] ^= mask[at & 3];
    }
}

// 48 bits as 8 characters of '0' to 'o': six bits each, most significant first.
static void digits_write(uint8_t *target, uint64_t value) {
    for (size_t i = 0; i < 8; i++) {
        target[i] = (uint8_t)('0' + ((value >> (42 - 6 * i)) & 63));
    }
}

static bool digits_read(const uint8_t *bytes, uint64_t *value) {
    uint64_t result = 0;
    uint32_t wrong = 0;
    for (size_t i = 0; i < 8; i++) {
        uint32_t digit = (uint32_t)bytes[i] - '0';
        wrong |= digit;
        result = result << 6 | digit;
    }
    *value = result;
    return wrong < 64;
}

// The pattern repeats every 64 bytes, so it is compared against a table that stays in the cache.
static const char PATTERN[65] = "The quick brown fox jumps over the lazy dog; 0123456789 +-*/ ABC";

static bool pattern_check(const uint8_t *bytes, size_t count) {
    size_t at = 0;
    for (; at + 64 <= count; at += 64) {
        if (memcmp(bytes + at, PATTERN, 64) != 0) {
            return false;
        }
    }
    return memcmp(bytes + at, PATTERN, count - at) == 0;
}

bool payload_read(const uint8_t *bytes, size_t count, struct payload *payload) {
    uint64_t identity;
    if (count < PAYLOAD_MIN || !digits_read(bytes, &identity) ||
        !digits_read(bytes + 8, &payload->sent_ns)) {
        return false;
    }
    payload->sequence = identity & PAYLOAD_SEQUENCE_MASK;
    payload->sender = (uint32_t)(identity >> 36);
    return pattern_check(bytes + PAYLOAD_MIN, count - PAYLOAD_MIN);
}

uint64_t payload_age(uint64_t sent_ns, uint64_t now_ns) {
    return (now_ns - sent_ns) & PAYLOAD_TIME_MASK;
}

enum { STORED_LENGTH = 5 }; // of a stored block's head that begins with a whole byte

int burst_init(struct burst *burst, uint8_t opcode, size_t size, uint32_t count) {
    return burst_init_around(
        burst, &(struct burst_plan){
                   .opcode = opcode, .size = size, .count = count, .before = "", .after = ""});
}

// What stands before, an empty payload and what stands behind it. False: no memory.
static bool data_plain(const struct burst_plan *plan, struct bytes *data) {
    uint8_t start[PAYLOAD_MIN] = {0};
    bool is_added = bytes_add(data, (const uint8_t *)plan->before, strlen(plan->before)) &&
                    bytes_add(data, start, sizeof start);
    for (size_t at = PAYLOAD_MIN; is_added && at < plan->size; at += 64) {
        size_t left = plan->size - at;
        is_added = bytes_add(data, (const uint8_t *)PATTERN, left < 64 ? left : 64);
    }
    return is_added && bytes_add(data, (const uint8_t *)plan->after, strlen(plan->after));
}

// The same payload compressed. Its start changes with every send, so it lies in a block that is not
// (RFC 1951 s3.2.4), and what follows is compressed only once. False: no memory.
static bool data_packed(const struct burst_plan *plan, struct bytes *data) {
    static const uint8_t STORED[STORED_LENGTH] = {0, PAYLOAD_MIN, 0, 0xff ^ PAYLOAD_MIN, 0xff};
    struct bytes plain = {0};
    bool is_added = data_plain(plan, &plain) && bytes_add(data, STORED, sizeof STORED) &&
                    bytes_add(data, plain.data, PAYLOAD_MIN) &&
                    deflate_add(data, plain.data + PAYLOAD_MIN, plan->size - PAYLOAD_MIN);
    bytes_free(&plain);
    return is_added;
}

static void frame_build(uint8_t *frame, const struct burst_plan *plan, const struct bytes *data) {
    uint8_t mask[4] = {0x5a, 0xc3, 0x17, 1};
    if (getrandom(mask, sizeof mask, 0) != (ssize_t)sizeof mask) {
        mask[0] = 2; // Any mask does: it hides nothing here.
    }
    size_t header = frame_header_write(frame, plan->opcode, data->count, mask);
    frame[0] |= plan->is_packed ? RSV1 : 0;
    memcpy(frame + header, data->data, data->count);
    frame_mask(frame + header, data->count, mask);
}

int burst_init_around(struct burst *burst, const struct burst_plan *plan) {
    memset(burst, 0, sizeof *burst);
    if (plan->size < PAYLOAD_MIN || plan->size > PAYLOAD_MAX || plan->count == 0) {
        return -EINVAL;
    }
    struct bytes data = {0};
    bool is_made = plan->is_packed ? data_packed(plan, &data) : data_plain(plan, &data);
    burst->header_length = frame_header_length(data.count) + 4;
    burst->payload_at =
        burst->header_length + (plan->is_packed ? STORED_LENGTH : strlen(plan->before));
    burst->frame_length = burst->header_length + data.count;
    burst->count = plan->count;
    burst->bytes = is_made ? malloc(burst->frame_length * plan->count) : NULL;
    for (uint32_t k = 0; k < plan->count && burst->bytes != NULL; k++) {
        frame_build(burst->bytes + k * burst->frame_length, plan, &data);
    }
    bytes_free(&data);
    return burst->bytes == NULL ? -ENOMEM : 0;
}

void burst_fini(struct burst *burst) {
    free(burst->bytes);
    burst->bytes = NULL;
}

void burst_write(struct burst *burst, uint32_t at, const struct payload *payload) {
    uint8_t *frame = burst->bytes + at * burst->frame_length;
    uint8_t *target = frame + burst->payload_at;
    const uint8_t *mask = frame + burst->header_length - 4;
    size_t turn = burst->payload_at - burst->header_length; // of the mask, where the payload begins
    uint64_t identity =
        (uint64_t)payload->sender << 36 | (payload->sequence & PAYLOAD_SEQUENCE_MASK);
    digits_write(target, identity);
    digits_write(target + 8, payload->sent_ns & PAYLOAD_TIME_MASK);
    const uint8_t turned[4] = {mask[turn & 3], mask[(turn + 1) & 3], mask[(turn + 2) & 3],
                               mask[(turn + 3) & 3]};
    frame_mask(target, PAYLOAD_MIN, turned);
}
