// The reader: heads, masks, fragments, limits and UTF-8, byte by byte or a buffer at a time, with
// the same outcome. Not for: what a message means, inflating, answering. Memory: the worker's
// arena; the message's block is the reader's until it is delivered.
#include "core/ws/reader.h"

#include "core/base/check.h"
#include "core/base/mask.h"
#include "core/base/utf8.h"
#include "core/ws/deflate.h"
#include <stddef.h>

#include "core/base/pure.h"

enum { BLOCK_BYTES_MAX_AT_ONCE = 64 << 10 }; // taken on an announcement; beyond it, by doubling

static_assert(sizeof(struct ws_reader) == 160, "exists once per connection in the middle of one");
static_assert(offsetof(struct ws_reader, held) <= 64, "all but held in the first cache line");
static_assert(FRAME_HEAD_BYTES_MAX <= CONTROL_BYTES_MAX, "held takes either");

static bool whole_frame_take(struct span_mut *input, const struct ws_reader_rules *rules,
                             struct ws_event *event);
static const struct fault *head_feed(struct ws_reader *reader, struct span_mut *input,
                                     const struct ws_reader_rules *rules);
static const struct fault *head_judge(const struct ws_reader *reader, struct span head,
                                      const struct ws_reader_rules *rules);
static uint64_t wire_bytes_max(const struct ws_reader_rules *rules, bool is_compressed);
static void frame_begin(struct ws_reader *reader, const struct ws_frame_head *head);
static struct ws_event control_feed(struct ws_reader *reader, struct span_mut *input);
static struct ws_event data_feed(struct ws_reader *reader, struct span_mut *input,
                                 struct arena *arena, const struct ws_reader_rules *rules);
static struct ws_event bytes_added(struct ws_reader *reader, const uint8_t *start, uint32_t length);
static struct ws_event message_end(struct ws_reader *reader, const uint8_t *start, uint32_t length);
static bool room_make(struct ws_reader *reader, struct arena *arena, uint32_t length,
                      uint64_t bytes_max);
static uint64_t room_bytes(const struct ws_reader *reader, const struct arena *arena);
static uint8_t *room_at(const struct ws_reader *reader, const struct arena *arena);
static struct span_mut input_take(struct span_mut *input, uint32_t length);
static void unmask(uint8_t *data, uint32_t length, const uint8_t key[4], uint32_t offset);
static enum ws_event_kind event_kind(uint8_t opcode);

struct ws_event ws_reader_feed(struct ws_reader *reader, struct span_mut *input,
                               struct arena *arena, const struct ws_reader_rules *rules) {
    struct ws_event event;
    if (ws_reader_is_idle(reader) && whole_frame_take(input, rules, &event)) {
        return event;
    }
    while (input->length > 0) { // each round takes at least a byte, or returns
        if (reader->frame_opcode == 0) {
            const struct fault *fault = head_feed(reader, input, rules);
            if (fault != NULL) {
                return (struct ws_event){.kind = WS_EVENT_FAULT, .fault = fault};
            }
            if (reader->frame_opcode == 0) {
                break; // in the middle of a head
            }
        }
        event = reader->frame_opcode >= WS_CLOSE ? control_feed(reader, input)
                                                 : data_feed(reader, input, arena, rules);
        if (event.kind != WS_EVENT_NEED_MORE) {
            return event;
        }
    }
    return (struct ws_event){.kind = WS_EVENT_NEED_MORE};
}

bool ws_reader_is_idle(const struct ws_reader *reader) {
    return (reader->message_opcode | reader->frame_opcode | reader->held_bytes) == 0;
}

struct span_mut ws_reader_target(struct ws_reader *reader, struct arena *arena) {
    bool is_data = reader->frame_opcode == WS_TEXT || reader->frame_opcode == WS_BINARY;
    if (!is_data || reader->frame_remaining < RECEIVE_BUFFER_BYTES) {
        return (struct span_mut){0};
    }
    uint64_t announced = reader->message_bytes + reader->frame_remaining;
    if (!room_make(reader, arena, RECEIVE_BUFFER_BYTES, announced)) {
        return (struct span_mut){0}; // ws_reader_feed then meets the same refusal and says so
    }
    uint64_t room = room_bytes(reader, arena) - reader->message_bytes;
    uint64_t length = room < reader->frame_remaining ? room : reader->frame_remaining;
    return (struct span_mut){.data = room_at(reader, arena), .length = (uint32_t)length};
}

struct ws_event ws_reader_received(struct ws_reader *reader, uint32_t length, struct arena *arena,
                                   const struct ws_reader_rules *rules) {
    (void)rules; // the frame's head was judged by them before the target existed
    if (length == 0) {
        return (struct ws_event){.kind = WS_EVENT_NEED_MORE};
    }
    check(reader->message_block != 0);
    check(length <= reader->frame_remaining);
    check(length <= room_bytes(reader, arena) - reader->message_bytes);
    uint8_t *start = room_at(reader, arena);
    unmask(start, length, reader->mask_key, reader->mask_offset);
    return bytes_added(reader, start - reader->message_bytes, length);
}

void ws_reader_drop(struct ws_reader *reader, struct arena *arena) {
    if (reader->message_block != 0) {
        arena_give(arena, reader->message_block);
    }
    memset(reader, 0, sizeof *reader);
}

// The hot path: between messages, a whole frame that is a message (or control frame) of its own.
// Neither reads nor writes the reader. False: not so, or wrong; nothing was consumed.
static bool whole_frame_take(struct span_mut *input, const struct ws_reader_rules *rules,
                             struct ws_event *event) {
    struct ws_frame_head head;
    const struct fault *fault;
    struct span bytes = span_make(input->data, input->length);
    if (ws_frame_head_decode(bytes, rules->head, &head, &fault) != WS_HEAD_DONE) {
        return false;
    }
    if (!head.is_final || head.opcode == WS_CONTINUATION ||
        head.payload_bytes > input->length - head.head_bytes) {
        return false;
    }
    bool is_compressed = (head.reserved & 4) != 0;
    if (head.opcode < WS_CLOSE &&
        (head.payload_bytes > wire_bytes_max(rules, is_compressed) || rules->fragments_max == 0)) {
        return false;
    }
    input_take(input, head.head_bytes);
    struct span_mut payload = input_take(input, (uint32_t)head.payload_bytes);
    unmask(payload.data, payload.length, head.mask_key, 0);
    *event = (struct ws_event){.kind = event_kind(head.opcode),
                               .opcode = head.opcode,
                               .is_compressed = is_compressed,
                               .payload = span_make(payload.data, payload.length)};
    if (head.opcode == WS_TEXT && !is_compressed && !utf8_is_valid(event->payload)) {
        *event = (struct ws_event){.kind = WS_EVENT_FAULT, .fault = fault_get(FAULT_message_utf8)};
    }
    return true;
}

// Takes a head, or the piece of it that is there. A frame is in progress when it was completed.
static const struct fault *head_feed(struct ws_reader *reader, struct span_mut *input,
                                     const struct ws_reader_rules *rules) {
    struct ws_frame_head head;
    const struct fault *fault = NULL;
    if (reader->held_bytes == 0) {
        struct span bytes = span_make(input->data, input->length);
        if (ws_frame_head_decode(bytes, rules->head, &head, &fault) == WS_HEAD_DONE &&
            head_judge(reader, span_first(bytes, head.head_bytes), rules) == NULL) {
            input_take(input, head.head_bytes);
            frame_begin(reader, &head);
            return NULL;
        }
    }
    // In pieces, or wrong: a byte at a time, so that the fault does not depend on the pieces.
    while (input->length > 0) {
        check(reader->held_bytes < FRAME_HEAD_BYTES_MAX);
        reader->held[reader->held_bytes++] = input_take(input, 1).data[0];
        struct span bytes = span_make(reader->held, reader->held_bytes);
        enum ws_head_result result = ws_frame_head_decode(bytes, rules->head, &head, &fault);
        if (result != WS_HEAD_FAULT) {
            fault = head_judge(reader, bytes, rules);
        }
        if (fault != NULL) {
            return fault;
        }
        if (result == WS_HEAD_DONE) {
            reader->held_bytes = 0;
            frame_begin(reader, &head);
            return NULL;
        }
    }
    return NULL;
}

// What of a head depends on the message: continuation order, number of fragments, and the limit,
// against the least length that the bytes so far can announce.
static const struct fault *head_judge(const struct ws_reader *reader, struct span head,
                                      const struct ws_reader_rules *rules) {
    uint8_t opcode = head.data[0] & 0x0f;
    if (opcode >= WS_CLOSE) {
        return NULL;
    }
    if (opcode == WS_CONTINUATION && reader->message_opcode == 0) {
        return fault_get(FAULT_continuation_unexpected);
    }
    if (opcode != WS_CONTINUATION && reader->message_opcode != 0) {
        return fault_get(FAULT_continuation_expected);
    }
    if (reader->fragment_count >= rules->fragments_max) {
        return fault_get(FAULT_fragments_too_many);
    }
    bool is_compressed =
        reader->message_opcode != 0 ? reader->is_compressed : (head.data[0] & 0x40) != 0;
    if (reader->message_bytes + ws_frame_payload_floor(head) >
        wire_bytes_max(rules, is_compressed)) {
        return fault_get(FAULT_message_too_big);
    }
    return NULL;
}

// The limit counts inflated bytes; those of a compressed message only whoever inflates them knows.
static uint64_t wire_bytes_max(const struct ws_reader_rules *rules, bool is_compressed) {
    return is_compressed ? ws_deflate_packed_bytes_max(rules->message_bytes_max)
                         : rules->message_bytes_max;
}

static void frame_begin(struct ws_reader *reader, const struct ws_frame_head *head) {
    reader->frame_remaining = head->payload_bytes;
    reader->mask_offset = 0;
    memcpy(reader->mask_key, head->mask_key, sizeof reader->mask_key);
    reader->is_final = head->is_final;
    if (head->opcode >= WS_CLOSE) {
        reader->frame_opcode = head->opcode;
        return;
    }
    if (reader->message_opcode == 0) {
        reader->message_opcode = head->opcode;
        reader->is_compressed = (head->reserved & 4) != 0;
    }
    reader->frame_opcode = reader->message_opcode;
    reader->fragment_count++;
}

static struct ws_event control_feed(struct ws_reader *reader, struct span_mut *input) {
    uint32_t owed = (uint32_t)reader->frame_remaining;
    struct span payload;
    if (reader->held_bytes == 0 && owed <= input->length) {
        struct span_mut bytes = input_take(input, owed);
        unmask(bytes.data, owed, reader->mask_key, 0);
        payload = span_make(bytes.data, owed);
    } else {
        struct span_mut bytes = input_take(input, owed < input->length ? owed : input->length);
        check(reader->held_bytes + bytes.length <= CONTROL_BYTES_MAX);
        mask_copy(reader->held + reader->held_bytes, bytes.data, bytes.length, reader->mask_key,
                  reader->mask_offset);
        reader->held_bytes = (uint8_t)(reader->held_bytes + bytes.length);
        reader->mask_offset += bytes.length;
        reader->frame_remaining -= bytes.length;
        if (reader->frame_remaining > 0) {
            return (struct ws_event){.kind = WS_EVENT_NEED_MORE};
        }
        payload = span_make(reader->held, reader->held_bytes);
    }
    uint8_t opcode = reader->frame_opcode;
    reader->frame_opcode = 0;
    reader->frame_remaining = 0;
    reader->mask_offset = 0;
    reader->held_bytes = 0;
    return (struct ws_event){.kind = event_kind(opcode), .opcode = opcode, .payload = payload};
}

static struct ws_event data_feed(struct ws_reader *reader, struct span_mut *input,
                                 struct arena *arena, const struct ws_reader_rules *rules) {
    uint32_t length =
        reader->frame_remaining < input->length ? (uint32_t)reader->frame_remaining : input->length;
    bool is_rest = length == reader->frame_remaining;
    if (reader->message_block == 0 && (length == 0 || (is_rest && reader->is_final))) {
        // Nothing to assemble: all of the message that has bytes lies here.
        struct span_mut bytes = input_take(input, length);
        unmask(bytes.data, length, reader->mask_key, reader->mask_offset);
        return bytes_added(reader, bytes.data, length);
    }
    if (!room_make(reader, arena, length, wire_bytes_max(rules, reader->is_compressed))) {
        return (struct ws_event){.kind = WS_EVENT_REFUSED};
    }
    uint8_t *start = room_at(reader, arena);
    if (length > 0) {
        mask_copy(start, input_take(input, length).data, length, reader->mask_key,
                  reader->mask_offset);
    }
    return bytes_added(reader, start - reader->message_bytes, length);
}

// `length` plain bytes were added to the message that begins at `start`: checks them, and ends
// frame and message where they end.
static struct ws_event bytes_added(struct ws_reader *reader, const uint8_t *start,
                                   uint32_t length) {
    bool is_text = reader->message_opcode == WS_TEXT && !reader->is_compressed;
    if (is_text && length > 0 &&
        !utf8_feed(&reader->utf8_state, span_make(start + reader->message_bytes, length))) {
        return (struct ws_event){.kind = WS_EVENT_FAULT, .fault = fault_get(FAULT_message_utf8)};
    }
    reader->message_bytes += length;
    reader->mask_offset += length;
    reader->frame_remaining -= length;
    if (reader->frame_remaining > 0) {
        return (struct ws_event){.kind = WS_EVENT_NEED_MORE};
    }
    reader->frame_opcode = 0;
    reader->mask_offset = 0;
    if (!reader->is_final) {
        return (struct ws_event){.kind = WS_EVENT_NEED_MORE};
    }
    return message_end(reader, start, reader->message_bytes);
}

// Delivers, and leaves nothing to the next message.
static struct ws_event message_end(struct ws_reader *reader, const uint8_t *start,
                                   uint32_t length) {
    if (reader->utf8_state != UTF8_ACCEPT) {
        return (struct ws_event){.kind = WS_EVENT_FAULT, .fault = fault_get(FAULT_message_utf8)};
    }
    struct ws_event event = {.kind = WS_EVENT_MESSAGE,
                             .opcode = reader->message_opcode,
                             .is_compressed = reader->is_compressed,
                             .block = reader->message_block,
                             .payload = span_make(start, length)};
    memset(reader, 0, offsetof(struct ws_reader, held));
    return event;
}

// Room for `length` more bytes of the present frame. bytes_max: what the message may come to.
static bool room_make(struct ws_reader *reader, struct arena *arena, uint32_t length,
                      uint64_t bytes_max) {
    uint64_t needed = (uint64_t)reader->message_bytes + length;
    uint64_t present = reader->message_block == 0 ? 0 : room_bytes(reader, arena);
    if (needed <= present) {
        return true;
    }
    uint64_t announced = reader->message_bytes + reader->frame_remaining;
    uint64_t wanted = announced < BLOCK_BYTES_MAX_AT_ONCE ? announced : BLOCK_BYTES_MAX_AT_ONCE;
    wanted = wanted > 2 * present ? wanted : 2 * present;
    uint64_t ceiling = reader->is_final ? announced : bytes_max;
    wanted = wanted < ceiling ? wanted : ceiling;
    wanted = wanted > needed ? wanted : needed;
    uint32_t block = arena_take(arena, WS_MESSAGE_HEADROOM + wanted);
    if (block == 0) {
        return false;
    }
    if (reader->message_block != 0) {
        memcpy(arena_at(arena, block) + WS_MESSAGE_HEADROOM,
               arena_at(arena, reader->message_block) + WS_MESSAGE_HEADROOM, reader->message_bytes);
        arena_give(arena, reader->message_block);
    }
    reader->message_block = block;
    return true;
}

// Message bytes that the block holds.
static uint64_t room_bytes(const struct ws_reader *reader, const struct arena *arena) {
    return arena_block_bytes(arena, reader->message_block) - WS_MESSAGE_HEADROOM;
}

// Where the next byte goes.
static uint8_t *room_at(const struct ws_reader *reader, const struct arena *arena) {
    return arena_at(arena, reader->message_block) + WS_MESSAGE_HEADROOM + reader->message_bytes;
}

static struct span_mut input_take(struct span_mut *input, uint32_t length) {
    struct span_mut taken = {.data = input->data, .length = length};
    input->data += length;
    input->length -= length;
    return taken;
}

// A key of zeros (a client's side, or a peer that does not care) changes nothing.
static void unmask(uint8_t *data, uint32_t length, const uint8_t key[4], uint32_t offset) {
    static const uint8_t no_key[4];
    if (length > 0 && memcmp(key, no_key, sizeof no_key) != 0) {
        mask_apply(data, length, key, offset);
    }
}

static enum ws_event_kind event_kind(uint8_t opcode) {
    switch (opcode) {
    case WS_CLOSE:
        return WS_EVENT_CLOSE;
    case WS_PING:
        return WS_EVENT_PING;
    case WS_PONG:
        return WS_EVENT_PONG;
    default:
        return WS_EVENT_MESSAGE;
    }
}
