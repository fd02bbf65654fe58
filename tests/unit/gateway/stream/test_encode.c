// The envelope around a message: its size is known before it is written, and every JSON reader gets
// the bytes back.
#include "tests/unit/gateway/stream/stream_test.h"

#include <jansson.h>

struct encoder {
    struct arena arena;
};

static void encoder_init(struct encoder *encoder) {
    enum { BYTES = 1 << 30 };
    struct memory book = conn_test_reserve(arena_book_bytes(BYTES));
    arena_init(&encoder->arena, conn_test_reserve(BYTES), book, BYTES);
    json_memory_init();
    json_memory_set(&encoder->arena);
}

static uint32_t encode(struct encoder *encoder, uint8_t opcode, struct span body) {
    struct mail mail = {.opcode = opcode,
                        .words = {0, 0x0123456789abcdef, body.length, UINT64_MAX}};
    return envelope_encode(&encoder->arena, &mail, span_text("chat.a%20b"), body);
}

static void expect_round_trip(struct encoder *encoder, uint8_t opcode, struct span body) {
    uint32_t payload = encode(encoder, opcode, body);
    cr_assert_neq(payload, 0);
    cr_assert_eq(payload_at(&encoder->arena, payload)->opcode, WS_TEXT);
    struct span data = payload_data(&encoder->arena, payload);
    struct json_document document;
    json_document_open(&document, data, JSON_ALLOW_NUL);
    const json_t *object = document.root;
    expect(object != NULL, "%s: %.*s", document.error.text, (int)data.length,
           (const char *)data.data);
    cr_assert_eq(json_object_size(object), 3);
    cr_assert_str_eq(json_string_value(json_object_get(object, "id")),
                     "0123456789abcdef-ffffffffffffffff");
    cr_assert_str_eq(json_string_value(json_object_get(object, "channel")), "chat.a%20b");
    const json_t *content = json_object_get(object, opcode == WS_TEXT ? "data" : "base64");
    struct span text = span_make(json_string_value(content), (uint32_t)json_string_length(content));
    if (opcode == WS_TEXT) {
        expect(span_equal(text, body), "%.*s", (int)text.length, (const char *)text.data);
    } else {
        uint8_t *decoded = malloc(text.length + 4);
        int64_t length = base64_decode(text, (struct span_mut){decoded, text.length + 4});
        expect(length == body.length && memcmp(decoded, body.data, body.length) == 0,
               "%u bytes in base64", body.length);
        free(decoded);
    }
    json_document_close(&document);
    payload_drop(&encoder->arena, payload);
    cr_assert_eq(encoder->arena.used_bytes, 0);
}

Test(encode, every_ascii_character) {
    struct encoder encoder;
    encoder_init(&encoder);
    for (uint32_t c = 0; c < 128; c++) {
        uint8_t text[] = {'a', (uint8_t)c, 'b'};
        expect_round_trip(&encoder, WS_TEXT, span_make(text, 3));
    }
}

Test(encode, characters_beyond_ascii_are_left_as_they_are) {
    struct encoder encoder;
    encoder_init(&encoder);
    static const char *const texts[] = {"\xc2\x80", "\xe2\x80\xa8", "\xef\xbf\xbf",
                                        "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        expect_round_trip(&encoder, WS_TEXT, span_text(texts[i]));
    }
}

Test(encode, bodies_of_every_length) {
    struct encoder encoder;
    encoder_init(&encoder);
    static uint8_t body[70000];
    for (uint32_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 37);
    }
    expect_round_trip(&encoder, WS_TEXT, span_make(body, 0));
    for (uint32_t length = 0; length < 300; length++) {
        expect_round_trip(&encoder, WS_BINARY, span_make(body, length));
    }
    static const uint32_t lengths[] = {49000, 49001, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        expect_round_trip(&encoder, WS_BINARY, span_make(body, lengths[i]));
    }
}

Test(encode, one_in_which_everything_is_escaped) {
    struct encoder encoder;
    encoder_init(&encoder);
    uint8_t *body = calloc(1, 1 << 20);
    expect_round_trip(&encoder, WS_TEXT, span_make(body, 1 << 20));
    free(body);
}

Test(encode, without_memory_there_is_none) {
    struct encoder encoder;
    encoder_init(&encoder);
    encoder.arena.limit_bytes = 0;
    cr_assert_eq(encode(&encoder, WS_TEXT, span_text("x")), 0);
}

Test(encode, an_answer_fits_with_the_longest_name) {
    struct stream_test *test =
        stream_test_simple("  - {path: /m, channels: {subscribe: [\"m\"], allow: [\"*\"]}}\n");
    struct stream_client a = client_open(test, UPGRADE("/m?envelope=json"));
    char message[600];
    char answer[600];
    char name[CHANNEL_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    for (uint32_t length = CHANNEL_NAME_BYTES_MAX; length <= CHANNEL_NAME_BYTES_MAX + 1; length++) {
        name[length] = 0;
        snprintf(message, sizeof message, "{\"subscribe\":\"%s\"}", name);
        client_frame(test, a, 0x81, message);
        if (length <= CHANNEL_NAME_BYTES_MAX) {
            snprintf(answer, sizeof answer, "{\"subscribed\":\"%s\"}", name);
            expect_messages(a, answer);
        } else {
            expect_messages(a, "{\"error\":\"invalid channel name\"}");
        }
        name[length] = 'n';
    }
    stream_test_close(test);
}
