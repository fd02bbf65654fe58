#include "core/http/forwarded.h"

#include "core/base/limits.h"
#include "core/http/chars.h"

#include "core/base/pure.h"

// The last elements of a list that may stand in several fields.
struct hops {
    struct span items[FORWARDED_HOPS_MAX];
    uint32_t count; // of all
};

static void hops_read(struct hops *hops, const struct http_request *request, const char *name) {
    const struct http_field *field = http_field_find(request, name, NULL);
    while (field != NULL) { // each pass goes on to the next field
        struct span list = field->value;
        struct span element;
        while (http_list_next(&list, &element)) {
            hops->items[hops->count++ % FORWARDED_HOPS_MAX] = element;
        }
        field = http_field_find(request, name, field);
    }
}

static struct span unquote(struct span text) {
    bool is_quoted = text.length >= 2 && text.data[0] == '"' && text.data[text.length - 1] == '"';
    return is_quoted ? span_make(text.data + 1, text.length - 2) : text;
}

// The value of `for` among the pairs of one element (RFC 7239 4); empty: it has none.
static struct span for_find(struct span element) {
    while (element.length > 0) { // each pass takes a pair off
        int64_t end = span_find(element, ';');
        struct span pair = end < 0 ? element : span_first(element, (uint32_t)end);
        element = end < 0 ? span_empty() : span_from(element, (uint32_t)end + 1);
        int64_t equals = span_find(pair, '=');
        if (equals > 0 && span_is_nocase(http_trim(span_first(pair, (uint32_t)equals)), "for")) {
            return unquote(http_trim(span_from(pair, (uint32_t)equals + 1)));
        }
    }
    return span_empty();
}

// An address, perhaps with a port, IPv6 perhaps in brackets. `unknown` and `_hidden` are none.
static bool node_parse(struct span node, struct address *address) {
    if (node.length > 0 && node.data[0] == '[') {
        int64_t end = span_find(node, ']');
        return end > 0 && address_parse_ip(span_make(node.data + 1, (uint32_t)end - 1), address);
    }
    int64_t colon = span_find(node, ':');
    bool has_port = colon >= 0 && span_find(span_from(node, (uint32_t)colon + 1), ':') < 0;
    return address_parse_ip(has_port ? span_first(node, (uint32_t)colon) : node, address);
}

bool http_forwarded_find(const struct http_request *request, const struct address_range *trusted,
                         uint32_t trusted_count, struct address *client) {
    struct hops hops;
    hops.count = 0;
    hops_read(&hops, request, "x-forwarded-for");
    bool is_standard = hops.count == 0; // a field that a proxy does not know it passes on unread
    if (is_standard) {
        hops_read(&hops, request, "forwarded");
    }
    bool is_found = false;
    for (uint32_t i = 0; i < hops.count && i < FORWARDED_HOPS_MAX; i++) {
        struct span item = hops.items[(hops.count - 1 - i) % FORWARDED_HOPS_MAX];
        struct address address;
        if (!node_parse(is_standard ? for_find(item) : unquote(item), &address)) {
            break;
        }
        *client = address;
        is_found = true;
        if (!address_in_ranges(&address, trusted, trusted_count)) {
            break;
        }
    }
    return is_found;
}
