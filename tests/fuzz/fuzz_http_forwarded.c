// Can fields of a proxy name a client that they should not? What stands left of an untrusted
// address never matters, and nothing but an address is ever taken for one.
#include "core/base/check.h"
#include "core/http/forwarded.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// With `field` as the only one of that name.
static bool find(const char *name, struct span value, struct address *client) {
    static struct http_request request;
    request.field_count = 1;
    request.fields[0] = (struct http_field){.name = span_text(name), .value = value};
    struct address_range trusted;
    check(address_range_parse(span_text("10.0.0.0/8"), &trusted));
    *client = (struct address){.kind = ADDRESS_NONE};
    bool is_found = http_forwarded_find(&request, &trusted, 1, client);
    check(is_found == (client->kind == ADDRESS_IP));
    return is_found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t longer[2048 + 16];
    if (size > 2048) {
        return 0;
    }
    struct span value = span_make(data, (uint32_t)size);
    struct address client;
    struct address same;
    find("Forwarded", value, &client);
    find("X-Forwarded-For", value, &client);
    // Behind whatever stood there, an untrusted proxy's own word.
    memcpy(longer, data, size);
    memcpy(longer + size, ",203.0.113.9", 12);
    bool is_found = find("X-Forwarded-For", span_make(longer, (uint32_t)size + 12), &same);
    uint32_t quotes = 0;
    for (size_t i = 0; i < size; i++) {
        quotes += data[i] == '"';
    }
    if (quotes == 0) { // else it may stand within a string
        struct address wanted;
        check(address_parse_ip(span_text("203.0.113.9"), &wanted));
        check(is_found && address_ip_equal(&same, &wanted));
    }
    return 0;
}
