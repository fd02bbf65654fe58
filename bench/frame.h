// WebSocket frames as a client sees them (RFC 6455 s5.2): reading what a server sends, building
// what a client sends, and the test payload that every delivery is verified against. Pure: bytes
// in, bytes out.
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opcode {
    OPCODE_CONTINUATION = 0,
    OPCODE_TEXT = 1,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10,
};

enum frame_result { FRAME_DONE, FRAME_MORE, FRAME_BAD };

struct frame {
    const uint8_t *payload;
    size_t payload_length;
    size_t length; // header and payload
    uint8_t opcode;
    bool is_final;
    bool is_packed; // RSV1: the message is compressed (RFC 7692 s6)
};

// Reads the frame at `bytes`, which lends its payload to *frame. FRAME_MORE sets frame->length when
// it is known, else 0. FRAME_BAD: nothing that a server may send (a mask, a reserved bit or opcode,
// a long or split control frame, a length that is not minimal). `may_be_packed`: RSV1 was agreed
// to, which the first frame of a message may have.
enum frame_result frame_read(const uint8_t *bytes, size_t count, bool may_be_packed,
                             struct frame *frame);

size_t frame_header_length(size_t payload_length); // without a mask
// Writes a client's header and mask, returns its length (at most 14).
size_t frame_header_write(uint8_t *target, uint8_t opcode, size_t payload_length,
                          const uint8_t mask[4]);
void frame_mask(uint8_t *bytes, size_t count, const uint8_t mask[4]);

// --- The test payload: 8 characters of identity, 8 of time, then a fixed pattern. All of it is
// ASCII, so that it may travel as text. An identity is a sender (12 bits) and a sequence number (36
// bits); a time is 48 bits of nanoseconds.
enum { PAYLOAD_MIN = 16, PAYLOAD_MAX = 1 << 24, PAYLOAD_SENDER_MAX = 4095 };
#define PAYLOAD_SEQUENCE_MASK ((1ULL << 36) - 1)
#define PAYLOAD_TIME_MASK ((1ULL << 48) - 1)

struct payload {
    uint64_t sequence;
    uint64_t sent_ns; // the low 48 bits
    uint32_t sender;
};

// False: the bytes are not what frame_burst built for this size.
bool payload_read(const uint8_t *bytes, size_t count, struct payload *payload);
// Nanoseconds between a payload's time and now.
uint64_t payload_age(uint64_t sent_ns, uint64_t now_ns);

// A burst: `count` masked frames of one size lying behind each other, built once; only identity and
// time are written anew before each send. Each frame has its own mask.
struct burst {
    uint8_t *bytes;
    size_t frame_length;
    size_t header_length;
    size_t payload_at; // in a frame: behind the header and what stands before the payload
    uint32_t count;
};

struct burst_plan {
    size_t size; // of the payload
    uint32_t count;
    uint8_t opcode;
    bool is_packed; // compressed: identity and time lie in a stored block, the rest is packed once
    const char *before; // in each frame's data, around the payload; empty when it is packed
    const char *after;
};

int burst_init(struct burst *burst, uint8_t opcode, size_t size, uint32_t count);
// The same with a frame's data being more than the test payload.
int burst_init_around(struct burst *burst, const struct burst_plan *plan);
void burst_fini(struct burst *burst);
void burst_write(struct burst *burst, uint32_t at, const struct payload *payload);

#endif
