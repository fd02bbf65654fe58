// Origins are compared exactly: nothing that merely looks alike gets in.
#include "gateway/route/origin.h"

#include "tests/unit/gateway/route/harness.h"

static enum origin_verdict verdict(const char *keys, const char *origin) {
    char routes[1024];
    snprintf(routes, sizeof(routes), "  - {path: /, echo: {}%s}\n", keys);
    const struct config *config = routes_open(routes);
    size_t length = origin == NULL ? 0 : strlen(origin);
    char *copy = malloc(length + 1);
    cr_assert(copy != NULL);
    if (length > 0) {
        memcpy(copy + 1, origin, length); // ends where its memory does
    }
    enum origin_verdict result =
        origin_check(&config->routes[0], span_make(copy + 1, (uint32_t)length), origin != NULL);
    free(copy);
    config_close(&config);
    return result;
}

#define LIST                                                                                       \
    ", origins: ['https://app.example.com', 'http://localhost:3000', 'http://[::1]', "             \
    "'capacitor://localhost']"

Test(origin, listed_ones) {
    static const char *const allowed[] = {
        "https://app.example.com",
        "https://app.example.com:443",
        "HTTPS://APP.Example.COM",
        "http://localhost:3000",
        "http://[::1]",
        "http://[::1]:80",
        "capacitor://localhost",
    };
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        expect(verdict(LIST, allowed[i]) == ORIGIN_ALLOWED, "%s", allowed[i]);
    }
}

Test(origin, others) {
    static const char *const refused[] = {
        "",
        "null",
        "https://app.example.com/",
        "https://app.example.com.",
        "https://app.example.com:8443",
        "https://app.example.com:",
        "https://app.example.com:0443",
        "http://app.example.com",
        "http://app.example.com:443",
        "https://app.example.com.evil.test",
        "https://evil.test/https://app.example.com",
        "https://evil.test?https://app.example.com",
        "https://app.example.com@evil.test",
        "https://evil.test#app.example.com",
        "https://xapp.example.com",
        "https://example.com",
        "https://app.example.com https://app.example.com",
        "https://app.example.com, https://evil.test",
        "//app.example.com",
        "app.example.com",
        "https:app.example.com",
        "https:/app.example.com",
        "https://",
        "https://:443",
        "http://localhost",
        "http://localhost:30000",
        "http://::1",
        "http://[::1",
        "http://[::2]",
        "capacitor://localhost:443",
        "*",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        expect(verdict(LIST, refused[i]) == ORIGIN_REFUSED, "%s", refused[i]);
    }
}

Test(origin, null_only_if_listed) {
    cr_assert(verdict(", origins: [null]", "null") == ORIGIN_ALLOWED);
    cr_assert(verdict(", origins: [null]", "NULL") == ORIGIN_REFUSED);
    cr_assert(verdict(", origins: [null]", "https://app.example.com") == ORIGIN_REFUSED);
    cr_assert(verdict(", origins: []", "null") == ORIGIN_REFUSED);
}

Test(origin, absent) {
    cr_assert(verdict(LIST, NULL) == ORIGIN_ABSENT);
    cr_assert(verdict("", NULL) == ORIGIN_ABSENT);
    cr_assert(verdict(LIST ", origins_required: true", NULL) == ORIGIN_REFUSED);
    cr_assert(verdict(", origins_required: true", NULL) == ORIGIN_REFUSED);
    cr_assert(verdict(", origins_required: true", "https://any.test") == ORIGIN_ALLOWED);
}

Test(origin, without_a_list_all_come_in) {
    cr_assert(verdict("", "https://any.test") == ORIGIN_ALLOWED);
    cr_assert(verdict("", "null") == ORIGIN_ALLOWED);
}
