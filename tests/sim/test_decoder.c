// The decoder of the simulator's laws L2 and L3: what is legal passes in pieces of every size, and
// each illegality is seen, or the laws would be worth nothing.
#include "tests/sim/decoder.h"
#include "tests/unit/expect.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" // the example of RFC 6455 1.3
#define UPGRADED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

struct sample {
    const char *bytes;
    uint32_t length; // 0: up to the terminator
    const char *violation;
};

static const struct decoder_request upgrade = {.is_upgrade = true, .subprotocols = "chat, graph"};

static struct decoder_request upgrade_request(void) {
    struct decoder_request request = upgrade;
    memcpy(request.key, KEY, DECODER_KEY_BYTES);
    return request;
}

static struct span sample_span(const struct sample *sample) {
    return sample->length != 0 ? span_make(sample->bytes, sample->length)
                               : span_text(sample->bytes);
}

// Decodes everything in pieces of that size; returns the number of events.
static uint32_t decode(struct decoder *decoder, struct span bytes, uint32_t piece,
                       struct decoder_event *last) {
    uint32_t count = 0;
    while (bytes.length > 0 && decoder->violation == NULL) {
        uint32_t length = piece < bytes.length ? piece : bytes.length;
        struct span part = span_first(bytes, length);
        bytes = span_from(bytes, length);
        struct decoder_event event;
        while (decoder_next(decoder, &part, &event)) {
            *last = event;
            count++;
        }
    }
    return count;
}

static void expect_violation(const struct decoder_request *request, bool is_open,
                             const struct sample *sample) {
    for (uint32_t piece = 1; piece < 40; piece += 38) {
        struct decoder decoder;
        decoder_init(&decoder);
        if (request != NULL) {
            cr_assert(decoder_request(&decoder, request));
        }
        struct decoder_event event = {.kind = DECODER_NONE};
        if (is_open) {
            cr_assert_eq(decode(&decoder, span_text(UPGRADED), piece, &event), 1u);
            cr_assert_eq(event.kind, DECODER_UPGRADED);
        }
        decode(&decoder, sample_span(sample), piece, &event);
        expect(decoder.violation != NULL, "not seen: %s", sample->violation);
        expect(strcmp(decoder.violation, sample->violation) == 0, "%s instead of %s",
               decoder.violation, sample->violation);
        decoder_fini(&decoder);
    }
}

Test(decoder, a_conversation_is_read_in_pieces_of_every_size) {
    static const uint8_t stream[] =
        "HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\nbody"
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
        "HTTP/1.1 204 No Content\r\n\r\n" UPGRADED "\x81\x02hi\x01\x02\xc3\xa4\x89\x01p\x80\x01!"
        "\x82\x7e\x00\x7e"
        "......................................................................................."
        "......................................."
        "\x88\x04\x03\xe8ok";
    static const enum decoder_event_kind kinds[] = {
        DECODER_CONTINUE, DECODER_RESPONSE, DECODER_RESPONSE, DECODER_RESPONSE,
        DECODER_RESPONSE, DECODER_UPGRADED, DECODER_MESSAGE,  DECODER_PING,
        DECODER_MESSAGE,  DECODER_MESSAGE,  DECODER_CLOSE};
    for (uint32_t piece = 1; piece < sizeof stream; piece++) {
        struct decoder decoder;
        decoder_init(&decoder);
        struct decoder_request last = upgrade_request();
        cr_assert(decoder_request(&decoder, &(struct decoder_request){.expects_continue = true}));
        cr_assert(decoder_request(&decoder, &(struct decoder_request){.is_head = true}));
        cr_assert(decoder_request(&decoder, &(struct decoder_request){0}));
        cr_assert(decoder_request(&decoder, &(struct decoder_request){0}));
        cr_assert(decoder_request(&decoder, &last));
        uint32_t count = 0;
        struct span bytes = span_make(stream, sizeof stream - 1);
        while (bytes.length > 0) {
            struct span part = span_first(bytes, piece < bytes.length ? piece : bytes.length);
            bytes = span_from(bytes, part.length);
            struct decoder_event event;
            while (decoder_next(&decoder, &part, &event)) {
                expect(event.kind == kinds[count], "event %u in pieces of %u", count, piece);
                expect(count != 1 || span_is(event.payload, "body"), "body");
                expect(count != 3 || span_is(event.payload, "abc0123456789"), "chunked body");
                expect(count != 8 || span_is(event.payload, "\xc3\xa4!"), "fragmented message");
                expect(count != 9 || event.payload.length == 126, "126 bytes");
                expect(count != 10 || (event.status == 1000 && span_is(event.payload, "ok")),
                       "close");
                count++;
            }
        }
        expect(decoder.violation == NULL, "%s in pieces of %u", decoder.violation, piece);
        expect(count == 11, "%u events in pieces of %u", count, piece);
        cr_assert(decoder_is_between(&decoder));
        decoder_fini(&decoder);
    }
}

Test(decoder, illegal_frames_are_seen) {
    static const struct sample samples[] = {
        {"\xc1\x00", 2, "reserved bit without an extension"},
        {"\xa1\x00", 2, "reserved bit without an extension"},
        {"\x91\x00", 2, "reserved bit without an extension"},
        {"\x81\x80", 2, "masked frame from a server"},
        {"\x83\x00", 2, "reserved opcode"},
        {"\x87\x00", 2, "reserved opcode"},
        {"\x8b\x00", 2, "reserved control opcode"},
        {"\x8f\x00", 2, "reserved control opcode"},
        {"\x09\x00", 2, "fragmented control frame"},
        {"\x08\x00", 2, "fragmented control frame"},
        {"\x89\x7e\x00\x7e", 4, "control frame longer than 125 bytes"},
        {"\x80\x00", 2, "continuation without a message"},
        {"\x01\x01x\x81\x01y", 6, "new message inside a fragmented one"},
        {"\x81\x7e\x00\x7d", 4, "16-bit length for less than 126 bytes"},
        {"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10, "64-bit length for less than 65536 bytes"},
        {"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x01", 10, "length with the top bit set"},
        {"\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x01", 10,
         "message larger than anything that was published"},
        {"\x88\x01\x03", 3, "Close payload of one byte"},
        {"\x88\x02\x03\xed", 4, "close code that may not appear on the wire"}, // 1005
        {"\x88\x02\x03\xee", 4, "close code that may not appear on the wire"}, // 1006
        {"\x88\x02\x03\xf7", 4, "close code that may not appear on the wire"}, // 1015
        {"\x88\x02\x03\xe7", 4, "close code that may not appear on the wire"}, // 999
        {"\x88\x02\x0b\xb7", 4, "close code that may not appear on the wire"}, // 2999
        {"\x88\x02\x13\x88", 4, "close code that may not appear on the wire"}, // 5000
        {"\x88\x03\x03\xe8\xff", 5, "close reason that is not UTF-8"},
        {"\x88\x00\x8a\x00", 4, "bytes after a Close frame"},
        {"\x88\x02\x03\xe8\x88\x02\x03\xe8", 8, "bytes after a Close frame"},
        {"\x81\x01\x80", 3, "text message that is not UTF-8"},
        {"\x81\x02\xc0\x80", 4, "text message that is not UTF-8"},         // overlong
        {"\x81\x03\xed\xa0\x80", 5, "text message that is not UTF-8"},     // surrogate
        {"\x81\x04\xf4\x90\x80\x80", 6, "text message that is not UTF-8"}, // above U+10FFFF
        {"\x81\x03\xe0\x80\xaf", 5, "text message that is not UTF-8"},
        {"\x81\x01\xc3", 3, "text message that is not UTF-8"},
        {"\x01\x01\xc3\x80\x01\xc3", 6, "text message that is not UTF-8"},
    };
    struct decoder_request request = upgrade_request();
    for (uint32_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        expect_violation(&request, true, &samples[i]);
    }
}

Test(decoder, illegal_responses_are_seen) {
    static const struct sample samples[] = {
        {"\x81", 0, "bytes that begin no response, such as a frame before the 101"},
        {"HTTP/1.0 200 OK\r\n", 0, "bytes that begin no response, such as a frame before the 101"},
        {"HTTP/1.1 20 OK---\r\n\r\n", 0, "malformed status line"},
        {"HTTP/1.1 600 No\r\n\r\n", 0, "malformed status line"},
        {"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", 0, "LF without CR in a response head"},
        {"HTTP/1.1 200 OK\r\n folded\r\n\r\n", 0, "response field without a name"},
        {"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", 0, "response field without a name"},
        {"HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n", 0, "control byte in a response field"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, "Content-Length that is no number"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 0,
         "more than one length of a body"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
         "more than one length of a body"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 0,
         "transfer coding other than chunked"},
        {"HTTP/1.1 200 OK\r\n\r\n", 0, "response without a length"},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 0, "204 with a length"},
        {"HTTP/1.1 100 Continue\r\n\r\n", 0, "interim response that was not asked for"},
        {"HTTP/1.1 103 Early Hints\r\n\r\n", 0, "interim response that was not asked for"},
        {"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", 0, "426 without Upgrade"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\nx", 0,
         "bytes after a response that ends the connection"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
         0, "response without a request that does not end the connection"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 0,
         "chunk longer than its size"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 0,
         "chunk size is not hexadecimal"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 0,
         "chunk size empty or too long"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", 0,
         "trailer field"},
        {UPGRADED, 0, "101 for a request that asked for no upgrade"},
    };
    struct decoder_request request = {.is_head = false};
    for (uint32_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        expect_violation(&request, false, &samples[i]);
    }
    expect_violation(NULL, false, &(struct sample){UPGRADED, 0, "101 without a request"});
}

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

Test(decoder, a_wrong_101_is_seen) {
    static const struct sample samples[] = {
        {SWITCHING CONNECTION ACCEPT "\r\n", 0, "101 without Upgrade: websocket"},
        {SWITCHING "Upgrade: h2c\r\n" CONNECTION ACCEPT "\r\n", 0,
         "101 without Upgrade: websocket"},
        {SWITCHING UPGRADE ACCEPT "\r\n", 0, "101 without Connection: Upgrade"},
        {SWITCHING UPGRADE "Connection: close\r\n" ACCEPT "\r\n", 0,
         "101 without Connection: Upgrade"},
        {SWITCHING UPGRADE CONNECTION "\r\n", 0, "Sec-WebSocket-Accept missing or wrong"},
        {SWITCHING UPGRADE CONNECTION ACCEPT ACCEPT "\r\n", 0,
         "Sec-WebSocket-Accept missing or wrong"},
        {SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n",
         0, "Sec-WebSocket-Accept missing or wrong"},
        {SWITCHING UPGRADE CONNECTION ACCEPT "Content-Length: 0\r\n\r\n", 0, "101 with a body"},
        {SWITCHING UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
         0, "extension that was not offered"},
        {SWITCHING UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Protocol: mqtt\r\n\r\n", 0,
         "subprotocol that was not offered"},
        {SWITCHING UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Protocol: chat, graph\r\n\r\n", 0,
         "subprotocol that was not offered"},
    };
    struct decoder_request request = upgrade_request();
    for (uint32_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        expect_violation(&request, false, &samples[i]);
    }
    struct decoder decoder;
    decoder_init(&decoder);
    cr_assert(decoder_request(&decoder, &request));
    struct decoder_event event;
    static const char good[] =
        SWITCHING UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Protocol: graph\r\n\r\n";
    cr_assert_eq(decode(&decoder, span_text(good), 7, &event), 1u);
    cr_assert_eq(event.kind, DECODER_UPGRADED);
    cr_assert_null(decoder.violation);
    decoder_fini(&decoder);
}

Test(decoder, a_refusal_needs_no_request_when_it_ends_the_connection) {
    struct decoder decoder;
    decoder_init(&decoder);
    struct decoder_event event = {.kind = DECODER_NONE};
    static const char refusal[] =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    cr_assert_eq(decode(&decoder, span_text(refusal), 1, &event), 1u);
    cr_assert_eq(event.status, 408);
    cr_assert(event.is_last);
    cr_assert(decoder_is_between(&decoder));
    decoder_fini(&decoder);
}

Test(decoder, a_refused_head_request_may_get_its_body_and_no_more) {
    static const char refusal[] =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
    for (uint32_t piece = 1; piece < sizeof refusal; piece++) {
        struct decoder decoder;
        decoder_init(&decoder);
        cr_assert(decoder_request(&decoder, &(struct decoder_request){.is_head = true}));
        struct decoder_event event = {.kind = DECODER_NONE};
        expect(decode(&decoder, span_text(refusal), piece, &event) == 1, "pieces of %u", piece);
        expect(event.kind == DECODER_RESPONSE && event.payload.length == 0, "no body is its own");
        expect(decoder.violation == NULL, "pieces of %u", piece);
        decode(&decoder, span_text("x"), piece, &event);
        expect(decoder.violation != NULL, "pieces of %u", piece);
        decoder_fini(&decoder);
    }
}

Test(decoder, what_is_half_sent_is_not_between) {
    static const struct sample samples[] = {
        {"H", 0, NULL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", 0, NULL},
        {UPGRADED "\x81", 0, NULL},
        {UPGRADED "\x81\x02x", 0, NULL},
        {UPGRADED "\x01\x01x", 0, NULL},
    };
    for (uint32_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct decoder decoder;
        decoder_init(&decoder);
        struct decoder_request request = upgrade_request();
        cr_assert(decoder_request(&decoder, &request));
        cr_assert(decoder_is_between(&decoder));
        struct decoder_event event;
        decode(&decoder, sample_span(&samples[i]), 3, &event);
        expect(!decoder_is_between(&decoder), "sample %u", i);
        decoder_fini(&decoder);
    }
}
