// Streams in slots of one size. zlib allocates only while it opens a stream, so that a slot is
// filled from its start and given back whole.
#include "core/ws/takeover.h"

#include "core/base/check.h"
#include "core/base/span.h"
#include <zlib.h>

#include "core/base/pure.h"

enum {
    MEMORY_LEVEL = 5, // zlib's: 8 KiB of hash heads and 8 KiB of pending output
    TAIL_BYTES = 4,   // of the empty stored block at the end, left off (RFC 7692 7.2.1)
    ALIGN = 16,
};

struct slot {
    z_stream stream;
    uint32_t used_bytes; // by this head and by what zlib allocated
    uint32_t next_free;  // slot + 1
    bool is_open;
};

static_assert(TAKEOVER_SLOT_BYTES % 64 == 0, "slots are aligned");

static struct slot *slot_at(const struct ws_takeover *takeover, uint32_t slot) {
    check(slot < takeover->slot_count);
    return (struct slot *)(void *)(takeover->space.data + (uint64_t)slot * TAKEOVER_SLOT_BYTES);
}

static struct slot *stream_at(const struct ws_takeover *takeover, uint32_t stream) {
    check(stream > 0);
    struct slot *slot = slot_at(takeover, stream - 1);
    check(slot->is_open);
    return slot;
}

void ws_takeover_init(struct ws_takeover *takeover, struct memory space) {
    check((uintptr_t)space.data % 64 == 0);
    uint64_t count = space.length / TAKEOVER_SLOT_BYTES;
    check(count < UINT32_MAX);
    *takeover = (struct ws_takeover){.space = space, .slot_count = (uint32_t)count};
}

static voidpf slot_take(voidpf opaque, uInt count, uInt bytes) {
    struct slot *slot = opaque;
    uint64_t wanted = ((uint64_t)count * bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (wanted > TAKEOVER_SLOT_BYTES - slot->used_bytes) {
        return Z_NULL; // a zlib that needs more than ours did: no stream is opened
    }
    uint8_t *start = (uint8_t *)slot + slot->used_bytes;
    slot->used_bytes += (uint32_t)wanted;
    return start;
}

static void slot_give(voidpf opaque, voidpf address) { // the slot is given back whole
    (void)opaque;
    (void)address;
}

uint32_t ws_takeover_open(struct ws_takeover *takeover, uint8_t level, uint8_t bits) {
    check(level >= 1 && level <= DEFLATE_LEVEL_MAX);
    check(bits >= WS_TAKEOVER_BITS_MIN && bits <= WS_TAKEOVER_BITS_MAX);
    uint32_t stream = takeover->free_slot;
    if (stream == 0) {
        if (takeover->fresh_count == takeover->slot_count) {
            return 0;
        }
        stream = takeover->fresh_count + 1;
    }
    struct slot *slot = slot_at(takeover, stream - 1);
    uint32_t next_free = slot->next_free;
    *slot = (struct slot){.stream = {.zalloc = slot_take, .zfree = slot_give, .opaque = slot},
                          .used_bytes = (sizeof *slot + ALIGN - 1) / ALIGN * ALIGN,
                          .next_free = next_free};
    if (deflateInit2(&slot->stream, level, Z_DEFLATED, -bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return 0;
    }
    if (takeover->free_slot != 0) {
        takeover->free_slot = next_free;
    } else {
        takeover->fresh_count++;
    }
    slot->is_open = true;
    takeover->open_count++;
    return stream;
}

void ws_takeover_close(struct ws_takeover *takeover, uint32_t stream) {
    struct slot *slot = stream_at(takeover, stream);
    slot->is_open = false;
    slot->next_free = takeover->free_slot;
    takeover->free_slot = stream;
    check(takeover->open_count > 0);
    takeover->open_count--;
}

void ws_takeover_reset(struct ws_takeover *takeover, uint32_t stream) {
    check(deflateReset(&stream_at(takeover, stream)->stream) == Z_OK);
}

uint32_t ws_takeover_deflate(struct ws_takeover *takeover, uint32_t stream, struct span data,
                             struct span_mut room) {
    struct slot *slot = stream_at(takeover, stream);
    uint32_t most =
        data.length - 1 + TAIL_BYTES; // one byte less than the data, and what is left off
    if (data.length == 0) {
        return 0;
    }
    slot->stream.next_in = (Bytef *)(uintptr_t)data.data; // zlib only reads it
    slot->stream.avail_in = data.length;
    slot->stream.next_out = room.data;
    slot->stream.avail_out = room.length < most ? room.length : most;
    uint32_t room_bytes = slot->stream.avail_out;
    int result = deflate(&slot->stream, Z_SYNC_FLUSH);
    // A full room may mean that there is more to come.
    bool is_whole = result == Z_OK && slot->stream.avail_in == 0 && slot->stream.avail_out > 0;
    if (!is_whole) {
        ws_takeover_reset(takeover, stream);
        return 0;
    }
    uint32_t length = room_bytes - slot->stream.avail_out;
    check(length > TAIL_BYTES);
    return length - TAIL_BYTES;
}
