// The decoder's part of permessage-deflate: what was agreed is taken, and nothing else is.
#include "tests/sim/decoder.h"
#include "tests/unit/expect.h"

#include <zlib.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define HEAD                                                                                       \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate"

enum { WINDOW_BITS = 9, BYTES_MAX = 4096 };

static const struct decoder_request plain = {.is_upgrade = true};
static const struct decoder_request offer = {.is_upgrade = true, .offers_deflate = true};
static const struct decoder_request strict = {.is_upgrade = true,
                                              .offers_deflate = true,
                                              .resets_server = true,
                                              .offers_client_bits = true,
                                              .server_bits = WINDOW_BITS};

static struct decoder_event take(struct decoder *decoder, struct span bytes) {
    struct decoder_event event = {.kind = DECODER_NONE};
    while (bytes.length > 0 && decoder->violation == NULL) {
        struct span byte = span_first(bytes, 1);
        bytes = span_from(bytes, 1);
        struct decoder_event next;
        if (decoder_next(decoder, &byte, &next)) {
            event = next;
        }
    }
    return event;
}

static struct decoder opened(const struct decoder_request *offered, const char *fields) {
    struct decoder decoder;
    decoder_init(&decoder);
    struct decoder_request request = *offered;
    memcpy(request.key, KEY, DECODER_KEY_BYTES);
    cr_assert(decoder_request(&decoder, &request));
    take(&decoder, span_text(HEAD));
    take(&decoder, span_text(fields));
    return decoder;
}

Test(decoder_deflate, answers_are_judged_against_their_offer) {
    static const char mistaken[] = "parameter of permessage-deflate that may not stand there";
    static const struct {
        const struct decoder_request *offer;
        const char *fields, *violation;
    } samples[] = {
        {&plain, "\r\n", NULL},
        {&offer, "\r\n", NULL},
        {&plain, DEFLATE "\r\n\r\n", "extension that was not offered"},
        {&offer, "Sec-WebSocket-Extensions: x\r\n\r\n", "extension that was not offered"},
        {&offer, DEFLATE "\r\n" DEFLATE "\r\n\r\n",
         "more than one answer to an offer of extensions"},
        {&offer, DEFLATE "\r\n\r\n", NULL},
        {&offer, DEFLATE ", x\r\n\r\n", "extension that was not offered"},
        {&offer, DEFLATE ";\r\n\r\n", NULL}, // an empty rest: nothing is agreed to by it
        {&offer, DEFLATE "; x\r\n\r\n", mistaken},
        {&offer, DEFLATE "; server_no_context_takeover=1\r\n\r\n", mistaken},
        {&offer, DEFLATE "; server_no_context_takeover; server_no_context_takeover\r\n\r\n",
         mistaken},
        {&offer, DEFLATE "; server_max_window_bits\r\n\r\n", mistaken},
        {&offer, DEFLATE "; server_max_window_bits=7\r\n\r\n", mistaken},
        {&offer, DEFLATE "; server_max_window_bits=8\r\n\r\n", NULL},
        {&offer, DEFLATE "; server_max_window_bits=15\r\n\r\n", NULL},
        {&offer, DEFLATE "; server_max_window_bits=16\r\n\r\n", mistaken},
        {&offer, DEFLATE "; server_max_window_bits=09\r\n\r\n", mistaken},
        {&offer, DEFLATE "; client_max_window_bits=9\r\n\r\n",
         "client_max_window_bits that was not offered"},
        {&strict, DEFLATE "\r\n\r\n", "server_no_context_takeover was asked for"},
        {&strict, DEFLATE "; server_no_context_takeover\r\n\r\n",
         "window larger than the client asked for"},
        {&strict, DEFLATE "; server_no_context_takeover; server_max_window_bits=10\r\n\r\n",
         "window larger than the client asked for"},
        {&strict,
         DEFLATE "; server_no_context_takeover; server_max_window_bits=9; "
                 "client_max_window_bits=10; client_no_context_takeover\r\n\r\n",
         NULL},
    };
    for (uint32_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct decoder decoder = opened(samples[i].offer, samples[i].fields);
        const char *violation = decoder.violation;
        bool is_as_meant = samples[i].violation == NULL
                               ? violation == NULL
                               : violation != NULL && strcmp(violation, samples[i].violation) == 0;
        expect(is_as_meant, "%u: %s", i, violation);
        decoder_fini(&decoder);
    }
}

Test(decoder_deflate, messages_are_inflated) {
    struct decoder decoder = opened(&offer, DEFLATE "\r\n\r\n");
    static const char whole[] = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 7.2.3.1
    static const char again[] = "\xc1\x05\xf2\x00\x11\x00\x00";         // 7.2.3.2: takeover
    static const char pieces[] = "\x42\x03\xfa\x0f\x00\x80\x00";        // one byte, 0xff
    static const char empty[] = "\xc1\x01\x00";
    static const char not_compressed[] = "\x81\x02hi";
    struct decoder_event event = take(&decoder, span_make(whole, sizeof whole - 1));
    cr_assert(event.kind == DECODER_MESSAGE && span_is(event.payload, "Hello"));
    event = take(&decoder, span_make(again, sizeof again - 1));
    cr_assert(event.kind == DECODER_MESSAGE && span_is(event.payload, "Hello"));
    event = take(&decoder, span_make(pieces, sizeof pieces - 1));
    cr_assert(event.kind == DECODER_MESSAGE && span_is(event.payload, "\xff"));
    event = take(&decoder, span_make(empty, sizeof empty - 1));
    cr_assert(event.kind == DECODER_MESSAGE && event.payload.length == 0);
    event = take(&decoder, span_make(not_compressed, sizeof not_compressed - 1));
    cr_assert(event.kind == DECODER_MESSAGE && span_is(event.payload, "hi"));
    cr_assert_null(decoder.violation);
    cr_assert_eq(decoder.inflated_count, 4u);
    decoder_fini(&decoder);
}

Test(decoder_deflate, illegal_messages_are_seen) {
    static const struct {
        const char *bytes;
        uint32_t length;
        const char *violation;
    } samples[] = {
        {"\xc9\x00", 2, "reserved bit without an extension"},
        {"\xa1\x00", 2, "reserved bit without an extension"},
        {"\xe1\x00", 2, "reserved bit without an extension"},
        {"\x01\x00\xc0\x00", 4, "reserved bit without an extension"},
        {"\xc1\x07\xf3\x48\xcd\xc9\xc9\x07\x00", 9,
         "BFINAL in a compressed message: most clients lose the next one"},
        {"\xc1\x03\xff\xff\xff", 5,
         "BFINAL in a compressed message: most clients lose the next one"},
        {"\xc1\x03\xfe\xff\xff", 5, "compressed message that is no DEFLATE within the window"},
        {"\xc1\x05\xf2\x00\x11\x00\x00", 7,
         "compressed message that is no DEFLATE within the window"}, // nothing was taken over
        {"\xc1\x02\xf2\x48", 4, "compressed message that ends within a block"},
        {"\xc1\x03\xfa\x0f\x00", 5, "text message that is not UTF-8"},
    };
    for (uint32_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct decoder decoder = opened(&offer, DEFLATE "; server_no_context_takeover\r\n\r\n");
        take(&decoder, span_make(samples[i].bytes, samples[i].length));
        expect(decoder.violation != NULL && strcmp(decoder.violation, samples[i].violation) == 0,
               "%u: %s", i, decoder.violation);
        decoder_fini(&decoder);
    }
}

// A message of `distance` bytes that do not repeat, twice, by a compressor with the largest window.
static bool is_taken(uint32_t distance) {
    uint8_t data[BYTES_MAX];
    uint32_t mixed = 1;
    for (uint32_t i = 0; i < 2 * distance; i++) {
        mixed = mixed * 1664525u + 1013904223u;
        data[i] = i < distance ? (uint8_t)(mixed >> 24) : data[i - distance];
    }
    uint8_t frame[BYTES_MAX] = {0xc2, 126};
    z_stream stream = {.next_in = data,
                       .avail_in = 2 * distance,
                       .next_out = frame + 4,
                       .avail_out = sizeof frame - 4};
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    cr_assert(stream.total_out - 4 < distance + distance / 4, "it reached back");
    (void)deflateEnd(&stream); // the stream has no end
    uint32_t length = (uint32_t)stream.total_out - 4;
    frame[2] = (uint8_t)(length >> 8);
    frame[3] = (uint8_t)length;
    struct decoder decoder =
        opened(&strict, DEFLATE "; server_no_context_takeover; server_max_window_bits=9\r\n\r\n");
    struct decoder_event event = take(&decoder, span_make(frame, 4 + length));
    bool is_right = event.kind == DECODER_MESSAGE && event.payload.length == 2 * distance &&
                    memcmp(event.payload.data, data, 2 * distance) == 0;
    cr_assert(is_right == (decoder.violation == NULL));
    decoder_fini(&decoder);
    return is_right;
}

Test(decoder_deflate, a_message_that_needs_a_larger_window_is_seen) {
    cr_assert(is_taken(300));
    cr_assert(is_taken((1 << WINDOW_BITS) - 1));
    cr_assert(is_taken(1 << WINDOW_BITS));
    cr_assert_not(is_taken((1 << WINDOW_BITS) + 64)); // as precisely as zlib can be made to look
    cr_assert_not(is_taken(1000));
}
