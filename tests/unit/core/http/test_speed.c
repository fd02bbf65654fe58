// What a browser's upgrade request costs, printed; and that no input costs more than its length.
// The bounds are loose enough for a Debug build under sanitizers on a busy machine: they catch a
// quadratic loop, not a slow one.
#include "core/http/reply.h"
#include "core/http/upgrade.h"
#include "tests/unit/core/http/http_test.h"

#include <time.h>

static const char browser[] =
    "GET /chat/lobby HTTP/1.1\r\n"
    "Host: app.example.com\r\n"
    "Connection: Upgrade\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36\r\n"
    "Upgrade: websocket\r\n"
    "Origin: https://app.example.com\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    "\r\n";

static uint64_t now_ns(void) {
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// The cheapest of some batches, in nanoseconds per round.
#define SPEED(result, round)                                                                       \
    do {                                                                                           \
        result = UINT64_MAX;                                                                       \
        for (int batch = 0; batch < BATCHES; batch++) {                                            \
            uint64_t start = now_ns();                                                             \
            for (int i = 0; i < ROUNDS; i++) {                                                     \
                round;                                                                             \
            }                                                                                      \
            uint64_t spent = (now_ns() - start) / ROUNDS;                                          \
            result = spent < result ? spent : result;                                              \
        }                                                                                          \
    } while (0)

Test(speed, a_browsers_upgrade) {
    enum { BATCHES = 20, ROUNDS = 500 };
    static struct http_request request;
    struct span bytes = span_make(browser, sizeof browser - 1);
    struct span key;
    uint8_t reply[512];
    struct span_mut target = {.data = reply, .length = sizeof reply};
    uint64_t scan_ns, parse_ns, check_ns, reply_ns;
    SPEED(scan_ns, {
        struct http_scan scan = {0};
        uint32_t head_bytes = 0;
        const struct fault *fault = NULL;
        cr_assert_eq(http_scan_feed(&scan, bytes, 8192, &head_bytes, &fault), HTTP_SCAN_DONE);
    });
    SPEED(parse_ns, cr_assert_null(http_request_parse(bytes, &request)));
    SPEED(check_ns, cr_assert_null(http_upgrade_check(&request, &key)));
    SPEED(reply_ns,
          cr_assert_gt(http_reply_write_switching(key, span_empty(), span_empty(), target), 0));
    fprintf(stderr, "%u bytes: scan %lu ns, parse %lu ns, check %lu ns, 101 %lu ns\n",
            (unsigned)bytes.length, scan_ns, parse_ns, check_ns, reply_ns);
    cr_assert_lt(scan_ns + parse_ns + check_ns, 100000);
}

Test(speed, one_byte_at_a_time_is_linear) {
    static char text[HEADER_BYTES_MAX];
    static const char start[] = "GET / HTTP/1.1\r\nX: ";
    memset(text, 'a', sizeof text);
    memcpy(text, start, sizeof start - 1);
    struct http_scan scan = {0};
    uint32_t head_bytes = 0;
    const struct fault *fault = NULL;
    uint64_t began = now_ns();
    for (uint32_t length = 1; length < sizeof text; length++) {
        cr_assert_eq(
            http_scan_feed(&scan, span_make(text, length), HEADER_BYTES_MAX, &head_bytes, &fault),
            HTTP_SCAN_NEED_MORE);
        cr_assert_geq(scan.scanned + 1, length); // a CR at the end is looked at again
    }
    cr_assert_lt(now_ns() - began, 500000000); // quadratic: 2 G bytes
}
