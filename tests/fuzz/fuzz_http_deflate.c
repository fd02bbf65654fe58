// Can an offer of permessage-deflate break its reader? The input is the value of one or (behind a
// NUL) two Sec-WebSocket-Extensions fields. What is accepted must have been asked for somewhere in
// it, and the answer must be one that a client can read.
#include "core/base/check.h"
#include "core/http/deflate_offer.h"
#include "core/http/upgrade.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUE_BYTES_MAX = 4096 };

static bool contains(struct span text, const char *word) {
    return memmem(text.data, text.length, word, strlen(word)) != NULL;
}

static void field_add(struct http_request *request, struct span value) {
    request->fields[request->field_count++] =
        (struct http_field){.name = span_text("Sec-WebSocket-Extensions"), .value = value};
}

static void sound_add(struct http_request *request, const char *name, const char *value) {
    request->fields[request->field_count++] =
        (struct http_field){.name = span_text(name), .value = span_text(value)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > VALUE_BYTES_MAX) {
        return 0;
    }
    static struct http_request request;
    request = (struct http_request){.method = HTTP_GET, .version_minor = 1, .has_upgrade = true};
    sound_add(&request, "Upgrade", "websocket");
    sound_add(&request, "Sec-WebSocket-Version", "13");
    sound_add(&request, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, data, size);
    struct span whole = span_make(copy, (uint32_t)size);
    int64_t cut = span_find(whole, 0);
    field_add(&request, cut < 0 ? whole : span_first(whole, (uint32_t)cut));
    if (cut >= 0) {
        field_add(&request, span_from(whole, (uint32_t)cut + 1));
    }
    struct span key;
    struct http_deflate_terms terms;
    if (http_upgrade_check(&request, &key) == NULL && http_deflate_accept(&request, &terms)) {
        check(contains(whole, "permessage-deflate"));
        check(!terms.has_server_bits || contains(whole, "server_max_window_bits"));
        check(terms.has_server_bits || terms.server_window_bits == HTTP_DEFLATE_BITS_MAX);
        uint8_t answer[HTTP_DEFLATE_ANSWER_BYTES_MAX];
        uint32_t length = http_deflate_answer(terms, answer);
        request.field_count = 3;
        field_add(&request, span_make(answer, length));
        struct http_deflate_terms again;
        check(http_upgrade_check(&request, &key) == NULL);
        check(http_deflate_accept(&request, &again));
        check(again.server_window_bits == terms.server_window_bits);
        check(again.has_server_bits == terms.has_server_bits);
    }
    free(copy);
    return 0;
}
