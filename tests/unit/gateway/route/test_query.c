// Query parameters.
#include "tests/unit/gateway/route/harness.h"

static void finds(const char *query, const char *name, const char *expected) {
    size_t length = strlen(query);
    char *copy = malloc(length + 1);
    cr_assert(copy != NULL);
    memcpy(copy + 1, query, length); // ends where its memory does
    struct span value = span_empty();
    bool is_found = route_query_find(span_make(copy + 1, (uint32_t)length), name, &value);
    expect(is_found == (expected != NULL), "%s in %s", name, query);
    expect(expected == NULL || span_is(value, expected), "%s in %s: %.*s", name, query,
           (int)value.length, (const char *)value.data);
    free(copy);
}

Test(query, find) {
    finds("envelope=json", "envelope", "json");
    finds("a=1&envelope=json&b=2", "envelope", "json");
    finds("a=1&b=2&envelope=json", "envelope", "json");
    finds("envelope", "envelope", "");
    finds("envelope=", "envelope", "");
    finds("envelope=a=b", "envelope", "a=b");
    finds("envelope=1&envelope=2", "envelope", "1");
    finds("last_event_id=e%3A1", "last_event_id", "e%3A1");
    finds("%65nvelop%65=json", "envelope", "json");
    finds("a+b=c", "a b", "c");
    finds("&&=x&envelope=json&", "envelope", "json");
    finds("", "envelope", NULL);
    finds("&", "envelope", NULL);
    finds("xenvelope=json", "envelope", NULL);
    finds("envelop=json", "envelope", NULL);
    finds("envelopee=json", "envelope", NULL);
    finds("Envelope=json", "envelope", NULL);
    finds("a=envelope", "envelope", NULL);
    finds("envelop%6=json", "envelope", NULL);
    finds("envelope%=json", "envelope", NULL);
}

static void decodes(const char *raw, const char *expected, uint32_t room) {
    uint8_t *bytes = malloc(room);
    cr_assert(bytes != NULL || room == 0);
    struct span_mut target = {.data = bytes, .length = room};
    bool is_fine = route_query_decode(span_text(raw), &target);
    expect(is_fine == (expected != NULL), "%s in %u", raw, room);
    expect(expected == NULL || span_is(span_make(bytes, target.length), expected), "%s", raw);
    free(bytes);
}

Test(query, decode) {
    decodes("abc", "abc", 3);
    decodes("abc", NULL, 2);
    decodes("abc", "abc", 4);
    decodes("a%20b+c", "a b c", 5);
    decodes("%e2%82%AC", "\xe2\x82\xac", 3);
    decodes("", "", 0);
    uint8_t zero[2] = {1, 1};
    struct span_mut target = {.data = zero, .length = 2};
    cr_assert(route_query_decode(span_text("%00"), &target) && target.length == 1 && zero[0] == 0);
    decodes("%", NULL, 8);
    decodes("%4", NULL, 8);
    decodes("%4x", NULL, 8);
    decodes("a%2", NULL, 8);
}
