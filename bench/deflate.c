#include "bench/deflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "bench/frame.h"

enum { WINDOW_BITS = -15, LEVEL = 6, MEMORY_LEVEL = 8, ROOM_MIN = 4096 }; // negative: raw DEFLATE

static const uint8_t TAIL[4] = {0, 0, 0xff, 0xff}; // of an empty stored block, RFC 7692 s7.2.2

struct inflater {
    z_stream stream;
    uint8_t *plain;
    size_t room;
};

struct inflater *inflater_open(void) {
    struct inflater *inflater = calloc(1, sizeof *inflater);
    if (inflater == NULL) {
        return NULL;
    }
    inflater->plain = malloc(ROOM_MIN);
    inflater->room = ROOM_MIN;
    if (inflater->plain == NULL || inflateInit2(&inflater->stream, WINDOW_BITS) != Z_OK) {
        free(inflater->plain);
        free(inflater);
        return NULL;
    }
    return inflater;
}

void inflater_close(struct inflater *inflater) {
    if (inflater != NULL) {
        (void)inflateEnd(&inflater->stream); // says only that it was in the middle of a message
        free(inflater->plain);
        free(inflater);
    }
}

// Takes all of the bytes. False: they are no DEFLATE, or the message is too long.
static bool inflate_feed(struct inflater *inflater, const uint8_t *bytes, size_t count) {
    z_stream *stream = &inflater->stream;
    stream->next_in = (Bytef *)(uintptr_t)bytes;
    stream->avail_in = (uInt)count;
    for (;;) {
        stream->next_out = inflater->plain + stream->total_out;
        stream->avail_out = (uInt)(inflater->room - stream->total_out);
        int result = inflate(stream, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR) {
            return false; // also Z_STREAM_END: a last block, behind which nothing may stand
        }
        if (stream->avail_out > 0) {
            return stream->avail_in == 0;
        }
        if (inflater->room > PAYLOAD_MAX) {
            return false;
        }
        uint8_t *grown = realloc(inflater->plain, inflater->room * 2);
        if (grown == NULL) {
            return false;
        }
        inflater->plain = grown;
        inflater->room *= 2;
    }
}

bool inflater_message(struct inflater *inflater, const uint8_t **bytes, size_t *count) {
    if (inflateReset(&inflater->stream) != Z_OK || !inflate_feed(inflater, *bytes, *count) ||
        !inflate_feed(inflater, TAIL, sizeof TAIL)) {
        return false;
    }
    *bytes = inflater->plain;
    *count = inflater->stream.total_out;
    // Bits of an unfinished block would be in data_type, and so would a block that has not ended.
    return (inflater->stream.data_type & 128) != 0;
}

bool deflate_add(struct bytes *packed, const uint8_t *bytes, size_t count) {
    z_stream stream = {0};
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return false;
    }
    size_t room = deflateBound(&stream, (uLong)count) + 16; // and what a flush adds
    uint8_t *target = malloc(room);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)count;
    stream.next_out = target;
    stream.avail_out = (uInt)room;
    bool is_done = target != NULL && deflate(&stream, Z_SYNC_FLUSH) == Z_OK &&
                   stream.avail_in == 0 && stream.avail_out > 0 &&
                   bytes_add(packed, target, stream.total_out - sizeof TAIL);
    free(target);
    (void)deflateEnd(&stream); // it is in the middle of a stream, as it should
    return is_done;
}
