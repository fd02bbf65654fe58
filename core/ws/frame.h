// WebSocket frame heads in and out (RFC 6455 5.2). Pure.
#pragma once
#include "core/base/fault.h"
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

struct ws_frame_head {
    uint64_t payload_bytes;
    uint8_t mask_key[4]; // all zero when unmasked
    uint8_t opcode;
    bool is_final;
    bool is_masked;
    uint8_t reserved; // RSV1..3 as bits 4, 2, 1
    uint8_t head_bytes;
};

enum ws_head_result { WS_HEAD_NEED_MORE, WS_HEAD_DONE, WS_HEAD_FAULT };

// What the decoder demands of a head. A server's peers mask; a client's do not.
struct ws_head_rules {
    bool expects_mask;
    bool allows_rsv1; // an extension uses it: permitted on the first frame of a data message only
};

// Decodes a head from the front of `bytes`. Each byte is judged as soon as it is there: NEED_MORE
// is returned only while what has arrived could still become legal, and a prefix of a head that is
// DONE never faults. Of several faults, the one in the earliest byte is reported, whatever the
// pieces. Not checked here: what depends on the message (continuation order, limits). *head is
// meaningful after DONE only, *fault after FAULT only.
enum ws_head_result ws_frame_head_decode(struct span bytes, struct ws_head_rules rules,
                                         struct ws_frame_head *head, const struct fault **fault);
// The least payload length that a head beginning with `bytes` can still announce (legal so far): so
// that a limit is enforced at the first length byte that breaks it.
uint64_t ws_frame_payload_floor(struct span bytes);
// Bytes of an unmasked head for that payload: 2, 4 or 10.
uint32_t ws_frame_head_bytes(uint64_t payload_bytes);
// Writes an unmasked, final head (reserved = RSV bits as above) and returns its length.
uint32_t ws_frame_head_encode(uint8_t *target, uint8_t opcode, uint8_t reserved,
                              uint64_t payload_bytes);
// The same with a mask key, for the client side (bench, tunnel). Returns its length, at most 14.
uint32_t ws_frame_head_encode_masked(uint8_t *target, uint8_t opcode, uint8_t reserved,
                                     uint64_t payload_bytes, const uint8_t mask_key[4]);
