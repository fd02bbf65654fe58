// The server's preference decides among what is offered.
#include "gateway/route/subprotocol.h"

#include "tests/unit/gateway/route/harness.h"

static int32_t choose(const char *list, const char *first, const char *second) {
    char routes[256];
    snprintf(routes, sizeof(routes), "  - {path: /, echo: {}, subprotocols: [%s]}\n", list);
    const struct config *config = routes_open(routes);
    const struct span offers[] = {first != NULL ? span_text(first) : span_empty(),
                                  second != NULL ? span_text(second) : span_empty()};
    uint32_t count = first == NULL ? 0 : second == NULL ? 1 : 2;
    int32_t choice = subprotocol_choose(&config->routes[0], offers, count);
    config_close(&config);
    return choice;
}

Test(subprotocol, preference) {
    cr_assert(choose("a, b, c", "c, b", NULL) == 1);
    cr_assert(choose("a, b, c", "c", "b, a") == 0);
    cr_assert(choose("a, b, c", "c", "x, y") == 2);
    cr_assert(choose("graphql-transport-ws", "graphql-ws ,\tgraphql-transport-ws", NULL) == 0);
}

Test(subprotocol, nothing_in_common) {
    cr_assert(choose("a, b", "c", NULL) == SUBPROTOCOL_NONE);
    cr_assert(choose("a, b", NULL, NULL) == SUBPROTOCOL_NONE);
    cr_assert(choose("", "a", NULL) == SUBPROTOCOL_NONE);
    cr_assert(choose("a", "A", NULL) == SUBPROTOCOL_NONE); // tokens compare exactly (RFC 6455 1.9)
    cr_assert(choose("a", "aa", NULL) == SUBPROTOCOL_NONE);
    cr_assert(choose("a", ",, ,", NULL) == SUBPROTOCOL_NONE);
}

Test(subprotocol, malformed) {
    cr_assert(choose("a", "a b", NULL) == SUBPROTOCOL_MALFORMED);
    cr_assert(choose("a", "a, b/c", NULL) == SUBPROTOCOL_MALFORMED);
    cr_assert(choose("a", "a", "\"a\"") == SUBPROTOCOL_MALFORMED);
}
