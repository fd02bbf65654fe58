// Compressed messages: the RFC's examples, round trips judged by an inflater that is not ours and
// never reset, and what must be refused.
#include "core/base/prng.h"
#include "tests/unit/core/ws/deflate_test.h"
#include "tests/unit/expect.h"

#include <stdio.h>
#include <zlib.h>

enum { PLAIN_MAX = 300000 };

static const char *inflate_name(struct ws_deflate *deflate, const void *packed, uint32_t length,
                                uint32_t plain_bytes_max, struct span *plain) {
    const struct fault *fault =
        ws_deflate_inflate(deflate, span_make(packed, length), plain_bytes_max, plain);
    return fault == NULL ? "fine" : fault->name;
}

// RFC 7692 7.2.3.1 to 7.2.3.6 (without the one that keeps its window), and what peers do besides.
Test(ws_deflate, the_rfcs_examples) {
    static const struct {
        const char *bytes;
        uint32_t length;
        const char *verdict, *plain;
    } rows[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "fine", "Hello"},
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "fine", "Hello"},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "fine", "Hello"},
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "fine", "Hello"},
        {"\x00", 1, "fine", ""},
        {"", 0, "fine", ""},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00", 7, "fine", "Hello"}, // BFINAL, nothing behind it
        {"\x01", 1, "fine", ""},                              // BFINAL in the block left open
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00", 14, "fine", "HelloHello"},
        {"\xf2\x48\xcd\xc9\xc9\x07", 6, "message_deflate", ""}, // no empty block behind it
        {"\xf2\x00\x11\x00\x00", 5, "message_deflate", ""},     // back to before the message
        {"\xff", 1, "message_deflate", ""},                     // block of type 3
        {"\x07", 1, "message_deflate", ""},                     // the same
        {"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00", 11, "message_deflate", ""},
        {"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", 11, "message_deflate", ""}, // tail left on
        {"garbage", 7, "message_deflate", ""},
    };
    struct ws_deflate *deflate = deflate_open(PLAIN_MAX);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span plain;
        const char *verdict =
            inflate_name(deflate, rows[i].bytes, rows[i].length, PLAIN_MAX, &plain);
        cr_expect_str_eq(verdict, rows[i].verdict, "row %u: %s", i, verdict);
        if (strcmp(verdict, "fine") == 0) {
            cr_expect_not_null(plain.data);
            cr_expect(span_is(plain, rows[i].plain), "row %u", i);
        }
    }
    deflate_close(deflate);
}

Test(ws_deflate, streams_in_one_message_are_bounded) {
    struct ws_deflate *deflate = deflate_open(PLAIN_MAX);
    uint8_t packed[64];
    struct span plain;
    for (uint32_t count = 1; count <= 20; count++) {
        for (uint32_t i = 0; i < count; i++) {
            memcpy(packed + 2 * (size_t)i, "\x03\x00", 2); // an empty block with BFINAL
        }
        const char *verdict = inflate_name(deflate, packed, 2 * count, PLAIN_MAX, &plain);
        cr_expect_str_eq(verdict, count <= 16 ? "fine" : "message_deflate", "%u", count);
    }
    deflate_close(deflate);
}

// What zlib makes of it in the form of RFC 7692.
static uint32_t zlib_pack(int level, const uint8_t *data, uint32_t length, uint8_t *packed,
                          uint32_t packed_max) {
    z_stream stream = {0};
    cr_assert_eq(deflateInit2(&stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (uint8_t *)(uintptr_t)data;
    stream.avail_in = length;
    stream.next_out = packed;
    stream.avail_out = packed_max;
    cr_assert_eq(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    uint32_t made = packed_max - stream.avail_out;
    cr_assert(made >= 5 && memcmp(packed + made - 4, "\0\0\xff\xff", 4) == 0);
    deflateEnd(&stream);
    return made - 4;
}

// JSON-like, letters, runs, noise, and all of them in turn.
static void message_make(struct prng *prng, uint8_t *data, uint32_t length) {
    uint32_t kind = prng_below(prng, 5);
    uint32_t rest = 0;
    uint32_t now = kind;
    for (uint32_t i = 0; i < length; i++) {
        if (kind == 4 && rest-- == 0) {
            rest = prng_below(prng, 20000);
            now = prng_below(prng, 4);
        }
        static const char text[] = "{\"id\":12345,\"px\":901.25,\"sym\":\"ABC\"},";
        data[i] = now == 0   ? (uint8_t)prng_below(prng, 256)
                  : now == 1 ? (uint8_t)text[prng_below(prng, sizeof text - 1)]
                  : now == 2 ? (uint8_t)(i % 91)
                             : (uint8_t)(prng_below(prng, 100) < 90 ? 'a' : prng_below(prng, 256));
    }
}

static uint32_t message_length(struct prng *prng) {
    static const uint32_t bounds[] = {16, 600, 600, 9000, 9000, PLAIN_MAX};
    return prng_below(prng, bounds[prng_below(prng, 6)]) + 1;
}

Test(ws_deflate, what_zlib_packs_is_read_and_bounded) {
    struct ws_deflate *deflate = deflate_open(PLAIN_MAX);
    uint8_t *data = malloc(PLAIN_MAX + 1);
    uint8_t *packed = malloc(2 * PLAIN_MAX);
    struct prng prng;
    prng_init(&prng, 7692);
    struct span plain;
    for (int round = 0; round < 300; round++) {
        uint32_t length = message_length(&prng);
        message_make(&prng, data, length);
        uint32_t made = zlib_pack(round % 10, data, length, packed, 2 * PLAIN_MAX);
        expect(made <= ws_deflate_packed_bytes_max(length), "%u of %u", made, length);
        const char *verdict = inflate_name(deflate, packed, made, length, &plain);
        expect(strcmp(verdict, "fine") == 0, "%u: %s", length, verdict);
        expect(span_equal(plain, span_make(data, length)), "%u differs", length);
        verdict = inflate_name(deflate, packed, made, length - 1, &plain);
        expect(strcmp(verdict, "message_too_big") == 0, "%u: %s", length, verdict);
    }
    free(data);
    free(packed);
    deflate_close(deflate);
}

Test(ws_deflate, a_bomb_stays_within_its_bound) {
    struct ws_deflate *deflate = deflate_open(PLAIN_MAX);
    enum { BOMB_BYTES = 64 << 20 };
    uint8_t *zeros = calloc(1, BOMB_BYTES);
    uint8_t *packed = malloc(1 << 20);
    uint32_t made = zlib_pack(9, zeros, BOMB_BYTES, packed, 1 << 20);
    cr_assert_lt(made, 70000); // 1 to 1000
    memset(deflate->plain, 0xee, PLAIN_MAX);
    struct span plain;
    cr_expect_str_eq(inflate_name(deflate, packed, made, 100000, &plain), "message_too_big");
    cr_expect_eq(deflate->plain[50000], 0);
    for (uint32_t i = 100001; i < PLAIN_MAX; i++) {
        expect(deflate->plain[i] == 0xee, "byte %u was written", i);
    }
    free(zeros);
    free(packed);
    deflate_close(deflate);
}

// Each message is read by one zlib stream, as a client with context takeover has it: a BFINAL or a
// byte too many would spoil that message or the next.
Test(ws_deflate, what_it_packs_a_streaming_client_reads) {
    struct ws_deflate *deflate = deflate_open(PLAIN_MAX);
    uint8_t *data = malloc(PLAIN_MAX + 1);
    uint8_t *packed = malloc(PLAIN_MAX + 64);
    uint8_t *read = malloc(PLAIN_MAX + 64);
    struct prng prng;
    prng_init(&prng, 692);
    z_stream stream = {0};
    cr_assert_eq(inflateInit2(&stream, -15), Z_OK);
    uint32_t packed_count = 0;
    uint32_t multiple = 0;
    uint32_t with_zero = 0;
    for (int round = 0; round < 1500; round++) {
        uint32_t length = message_length(&prng);
        message_make(&prng, data, length);
        struct span out;
        if (!ws_deflate_compress(deflate, (uint8_t)(1 + round % 9), span_make(data, length),
                                 &out)) {
            continue;
        }
        expect(out.length <= (uint64_t)length * 9 / 10, "%u for %u", out.length, length);
        memcpy(packed, out.data, out.length);
        memcpy(packed + out.length, "\0\0\xff\xff", 4);
        stream.next_in = packed;
        stream.avail_in = out.length + 4;
        stream.next_out = read;
        stream.avail_out = length + 64;
        int result = inflate(&stream, Z_SYNC_FLUSH);
        expect(result == Z_OK, "%u: %d", length, result);
        expect(stream.avail_in == 0 && stream.avail_out == 64, "%u", length);
        expect(memcmp(read, data, length) == 0, "%u differs", length);
        packed_count++;
        with_zero += out.data[out.length - 1] == 0;
        // With BFINAL put behind it, the blocks can be counted.
        memcpy(packed + out.length + 4, "\x01\0\0\xff\xff", 5);
        struct ws_deflate_walk walk;
        expect(ws_deflate_walk(span_make(packed, out.length + 9), deflate->tables, &walk), "%u",
               length);
        expect(walk.end_bit == 8 * ((uint64_t)out.length + 9), "%u", length);
        multiple += walk.block_count > 3;
    }
    cr_expect_gt(packed_count, 800, "%u", packed_count);
    cr_expect_gt(multiple, 20, "%u", multiple);
    cr_expect_gt(with_zero, 100, "%u", with_zero);
    inflateEnd(&stream);
    free(data);
    free(packed);
    free(read);
    deflate_close(deflate);
}

Test(ws_deflate, what_does_not_pay_stays_plain) {
    struct ws_deflate *deflate = deflate_open(4096);
    uint8_t data[5000];
    struct span out;
    struct prng prng;
    prng_init(&prng, 1);
    for (uint32_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)prng_below(&prng, 256);
    }
    cr_expect_not(ws_deflate_compress(deflate, 1, span_make(data, 1000), &out), "noise");
    memset(data, 'a', sizeof data);
    for (uint32_t length = 0; length < 4; length++) {
        cr_expect_not(ws_deflate_compress(deflate, 1, span_make(data, length), &out), "%u", length);
    }
    cr_expect(ws_deflate_compress(deflate, 1, span_make(data, 4096), &out));
    cr_expect_not(ws_deflate_compress(deflate, 1, span_make(data, 4097), &out), "beyond scratch");
    cr_expect_not(ws_deflate_compress(deflate, 0, span_make(data, 4096), &out), "no compressor");
    deflate_close(deflate);
}

Test(ws_deflate, a_cut_message_is_never_taken_for_the_whole) {
    struct ws_deflate *deflate = deflate_open(PLAIN_MAX);
    uint8_t data[3000];
    uint8_t packed[4000];
    struct prng prng;
    prng_init(&prng, 3);
    message_make(&prng, data, sizeof data);
    for (int level = 0; level <= 9; level++) {
        uint32_t made = zlib_pack(level, data, sizeof data, packed, sizeof packed);
        for (uint32_t length = 0; length < made; length++) {
            struct span plain;
            const char *verdict = inflate_name(deflate, packed, length, PLAIN_MAX, &plain);
            bool is_fine = strcmp(verdict, "fine") == 0;
            // Of what zlib only stores (level 0), five missing bytes are our tail's for all one can
            // tell; it says so.
            bool is_known = length <= 1 || (level == 0 && length + 6 == made);
            expect(!is_fine || is_known, "level %d cut at %u", level, length);
        }
    }
    deflate_close(deflate);
}
