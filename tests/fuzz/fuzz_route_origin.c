// Can an Origin header get in that is not listed? What is allowed must be one of the listed origins
// when written in full.
#include "core/base/check.h"
#include "gateway/route/origin.h"

#include <stdio.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const allowed[] = {"https://app.example.com", "https://app.example.com:443",
                                      "http://[::1]:8000", "x-app://local", "null"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) {
        return 0;
    }
    static const struct config_origin origins[] = {
        {.scheme = {(const uint8_t *)"https", 5},
         .host = {(const uint8_t *)"app.example.com", 15},
         .port = 443},
        {.scheme = {(const uint8_t *)"http", 4},
         .host = {(const uint8_t *)"[::1]", 5},
         .port = 8000},
        {.scheme = {(const uint8_t *)"x-app", 5}, .host = {(const uint8_t *)"local", 5}},
        {.is_null = true},
    };
    const struct config_route route = {.origins = {.items = origins, .count = 4},
                                       .has_origins = true};
    bool is_listed = false;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        bool has_case = i == 4; // `null` is a word, not a host
        is_listed |= size == strlen(allowed[i]) &&
                     (has_case ? memcmp(data, allowed[i], size) == 0
                               : strncasecmp((const char *)data, allowed[i], size) == 0);
    }
    enum origin_verdict verdict = origin_check(&route, span_make(data, (uint32_t)size), true);
    check(verdict == (is_listed ? ORIGIN_ALLOWED : ORIGIN_REFUSED));
    return 0;
}
