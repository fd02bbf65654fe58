// Can a client's head make a request, or a service's an answer, that means something else behind
// us? The first byte chooses: which of the two, and who the client is. What is taken is rebuilt,
// and what was rebuilt is read again: it is a head, with the same framing, and with nothing of one
// hop.
#include "core/base/check.h"
#include "core/hub/payload.h"
#include "gateway/proxy/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 8 << 20, CHOICE_BYTES = 1 };
enum choice { IS_ANSWER = 1, IS_TRUSTED = 2, IS_TLS = 4, IS_UNIX = 8, TO_HEAD = 16, CHUNKED = 32 };

static struct arena arena;
static struct proxy proxy;

static void open_once(void) {
    if (arena.base != NULL) {
        return;
    }
    struct memory space = {.data = aligned_alloc(64, ARENA_BYTES), .length = ARENA_BYTES};
    uint64_t book_bytes = arena_book_bytes(ARENA_BYTES);
    struct memory book = {.data = malloc(book_bytes), .length = book_bytes};
    check(space.data != NULL && book.data != NULL);
    arena_init(&arena, space, book, ARENA_BYTES);
    proxy = (struct proxy){.arena = &arena, .secret_key = {1, 2}};
    prng_init(&proxy.prng, 1);
}

// Fields that end at each hop; those that we write ourselves for this one are counted by the
// caller.
static uint32_t hops(const struct http_field *fields, uint32_t count) {
    struct hop_options options;
    hop_options_read(&options, fields, count);
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        found += hop_has(&options, fields[i].name);
    }
    return found;
}

static void forwards(const struct http_request *request, uint8_t choice) {
    static const struct config_route route = {.verb = CONFIG_VERB_TUNNEL};
    struct address peer = {.kind = (choice & IS_UNIX) != 0 ? ADDRESS_UNIX : ADDRESS_IP};
    struct span key;
    bool is_upgrade = http_wants_websocket(request) && http_upgrade_check(request, &key) == NULL;
    uint32_t block = is_upgrade ? handshake_open(&proxy, request, &route) : 0;
    struct forward forward = {.request = request,
                              .peer = &peer,
                              .handshake = block == 0 ? NULL : handshake_at(&proxy, block),
                              .authority = span_text("service"),
                              .prng = &proxy.prng,
                              .is_trusted = (choice & IS_TRUSTED) != 0,
                              .is_tls = (choice & IS_TLS) != 0};
    const struct fault *fault = NULL;
    uint32_t payload = forward_head(&arena, &forward, &fault);
    check((payload == 0) == (fault == fault_get(FAULT_header_too_large)) || payload != 0);
    static struct http_request again;
    // More fields than we take ourselves may come of it: ours stand beside the client's.
    const struct fault *wrong =
        payload == 0 ? NULL : http_request_parse(payload_wire(&arena, payload), &again);
    check(wrong == NULL || wrong->id == FAULT_header_too_many);
    if (payload != 0 && wrong == NULL) {
        check(again.method == request->method && span_equal(again.path, request->path));
        check(span_equal(again.query, request->query));
        check(again.is_chunked == request->is_chunked);
        check(again.content_length == request->content_length);
        uint32_t own = again.is_chunked + again.has_content_length + (is_upgrade ? 2 : 0);
        check(hops(again.fields, again.field_count) == own);
        check(!is_upgrade || http_upgrade_check(&again, &key) == NULL);
    }
    if (payload != 0) {
        payload_drop(&arena, payload);
    }
    if (block != 0) {
        arena_give(&arena, block);
    }
}

static void backwards(const struct http_response *response, uint8_t choice) {
    bool is_chunked = (choice & CHUNKED) != 0 && response->status >= 200 &&
                      http_response_has_body(response, (choice & TO_HEAD) != 0) &&
                      !response->has_content_length;
    struct backward backward = {.response = response,
                                .is_to_head = (choice & TO_HEAD) != 0,
                                .is_chunked = is_chunked,
                                .closes = (choice & IS_TLS) != 0};
    uint32_t payload = backward_head(&arena, &backward);
    check(payload != 0);
    static struct http_response again;
    const struct fault *wrong = http_response_parse(payload_wire(&arena, payload), &again);
    check(wrong == NULL || wrong->id == FAULT_header_too_many);
    if (wrong == NULL) {
        check(again.status == response->status && span_equal(again.reason, response->reason));
        check(again.is_chunked == is_chunked);
        check(!again.has_content_length || again.content_length == response->content_length);
        bool says_close = backward.closes && response->status >= 200;
        uint32_t own = (uint32_t)again.is_chunked + again.has_content_length + says_close;
        check(hops(again.fields, again.field_count) == own);
    }
    payload_drop(&arena, payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICE_BYTES || size > HEADER_BYTES_MAX) {
        return 0;
    }
    open_once();
    uint8_t choice = data[0];
    struct span head = span_make(data + CHOICE_BYTES, (uint32_t)(size - CHOICE_BYTES));
    static struct http_request request;
    static struct http_response response;
    struct http_scan scan = {0};
    const struct fault *fault = NULL;
    uint32_t head_bytes = 0;
    if ((choice & IS_ANSWER) == 0) {
        bool is_whole =
            http_scan_feed(&scan, head, HEADER_BYTES_MAX, &head_bytes, &fault) == HTTP_SCAN_DONE;
        if (is_whole && http_request_parse(span_first(head, head_bytes), &request) == NULL) {
            forwards(&request, choice);
        }
    } else {
        bool is_whole = http_response_scan(&scan, head, HEADER_BYTES_MAX, &head_bytes, &fault) ==
                        HTTP_SCAN_DONE;
        if (is_whole && http_response_parse(span_first(head, head_bytes), &response) == NULL) {
            backwards(&response, choice);
        }
    }
    check(arena.used_bytes == 0);
    return 0;
}
