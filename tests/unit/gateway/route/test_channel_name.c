// Names, patterns, and what templates make of captures.
#include "gateway/route/channel_name.h"
#include "gateway/tls/peer.h"

#include "tests/unit/gateway/route/harness.h"

Test(channel_name, every_byte) {
    static const char valid[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_-@~.%";
    for (uint32_t byte = 0; byte < 256; byte++) {
        const uint8_t name[] = {'a', (uint8_t)byte};
        bool is_valid = byte != 0 && strchr(valid, (int)byte) != NULL;
        expect(channel_name_is_valid(span_make(name, 2)) == is_valid, "byte %u", byte);
    }
}

Test(channel_name, lengths) {
    uint8_t name[CHANNEL_NAME_BYTES_MAX + 1];
    memset(name, 'a', sizeof(name));
    cr_assert(!channel_name_is_valid(span_empty()));
    for (uint32_t length = 1; length <= CHANNEL_NAME_BYTES_MAX + 1; length++) {
        bool is_valid = length <= CHANNEL_NAME_BYTES_MAX;
        expect(channel_name_is_valid(span_make(name, length)) == is_valid, "%u", length);
    }
}

Test(channel_name, patterns) {
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } rows[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"a", "ab", false},
        {"ab", "a", false},
        {"room.*", "room.", false},
        {"room.*", "room.1", true},
        {"room.*", "room.1.2", true},
        {"room.*", "room", false},
        {"room.*", "rOom.1", false},
        {"*", "a", true},
        {"*", "a.b.c", true},
        {"room.*", "xroom.1", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect(channel_name_matches(span_text(rows[i].pattern), span_text(rows[i].name)) ==
                   rows[i].matches,
               "%s %s", rows[i].pattern, rows[i].name);
    }
    cr_assert(!channel_name_matches(span_text("*"), span_empty()));
    cr_assert(!channel_name_matches(span_empty(), span_text("a")));
}

// What a value becomes, in a block that ends where it does.
static uint32_t encode(const char *raw, char encoded[PLACEHOLDER_BYTES_MAX + 1], uint32_t room) {
    uint8_t *target = malloc(room);
    cr_assert(target != NULL || room == 0);
    uint32_t length =
        route_value_encode(span_text(raw), (struct span_mut){.data = target, .length = room});
    expect(length <= room, "over its room");
    memcpy(encoded, target, length);
    encoded[length] = 0;
    free(target);
    return length;
}

Test(channel_name, values_are_decoded_and_encoded) {
    static const char *const rows[][2] = {
        {"abc", "abc"},     {"AZaz09_-@~", "AZaz09_-@~"},
        {"a.b", "a%2Eb"},   {"%61", "a"},
        {"a%20b", "a%20b"}, {"a%2eb", "a%2Eb"},
        {"a:b", "a%3Ab"},   {"a*b", "a%2Ab"},
        {"%2A", "%2A"},     {"%25", "%25"},
        {"%00", "%00"},     {"caf%c3%a9", "caf%C3%A9"},
        {"%3e", "%3E"},     {"a%40b", "a@b"},
        {"$", "%24"},
    };
    char encoded[PLACEHOLDER_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect(encode(rows[i][0], encoded, PLACEHOLDER_BYTES_MAX) > 0, "%s", rows[i][0]);
        expect(strcmp(encoded, rows[i][1]) == 0, "%s became %s", rows[i][0], encoded);
        expect(channel_name_is_valid(span_text(encoded)), "%s", encoded);
    }
    static const char *const bad[] = {"", "%", "%4", "%zz", "a%"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(encode(bad[i], encoded, PLACEHOLDER_BYTES_MAX) == 0, "%s", bad[i]);
    }
    for (uint32_t room = 0; room <= 6; room++) { // a, b and three bytes for the colon
        expect(encode("ab:", encoded, room) == (room >= 5 ? 5 : 0), "room %u", room);
    }
}

// The channel that `template` makes of a path /x/{a}/{b}, or "" when there is none.
static void expands(const char *list, const char *path, const char *expected) {
    char routes[1024];
    snprintf(routes, sizeof(routes), "  - {path: '/x/{a}/{b}', channels: {allow: ['%s']}}\n", list);
    const struct config *config = routes_open(routes);
    struct route_table *table = route_table_open(config);
    struct asked asked = ask("h", path, CONFIG_KIND_UPGRADE);
    struct route_match match;
    expect(route_match(table, &asked.request, &match) == ROUTE_FOUND, "%s", path);
    const struct config_template *template = &config->routes[0].channels.allow.items[0];
    uint32_t wanted = (uint32_t)strlen(expected);
    uint8_t name[CHANNEL_NAME_BYTES_MAX];
    struct span_mut target = {.data = name, .length = sizeof(name)};
    uint32_t length = route_template_expand(template, &match, target);
    expect(span_is(span_make(name, length), expected), "%s: %.*s", list, (int)length, name);
    // Every smaller room is refused, and nothing is written behind it.
    for (uint32_t room = 0; room <= wanted && wanted > 0; room++) {
        uint8_t *exact = malloc(room);
        cr_assert(exact != NULL || room == 0);
        uint32_t got = route_template_expand(template, &match,
                                             (struct span_mut){.data = exact, .length = room});
        expect(got == (room == wanted ? wanted : 0), "room %u of %u", room, wanted);
        free(exact);
    }
    asked_free(&asked);
    route_table_close(&table);
    config_close(&config);
}

Test(channel_name, templates) {
    expands("fixed", "/x/1/2", "fixed");
    expands("{a}", "/x/1/2", "1");
    expands("chat.{b}", "/x/1/lobby", "chat.lobby");
    expands("{b}.{a}.{b}", "/x/1/2", "2.1.2");
    expands("room.{a}.*", "/x/1/2", "room.1.*");
    expands("*", "/x/1/2", "*");
    // No value reaches another template's channel or a wildcard.
    expands("chat.{a}", "/x/a.b/2", "chat.a%2Eb");
    expands("chat.{a}", "/x/*/2", "chat.%2A");
    expands("chat.{a}", "/x/%3e/2", "chat.%3E");
    expands("chat.{a}", "/x/%2541/2", "chat.%2541"); // not decoded twice
}

Test(channel_name, expanded_names_end_at_255_bytes) {
    for (uint32_t literal = 126; literal <= 128; literal++) {
        char list[300];
        char path[300] = "/x/";
        memset(list, 'l', literal);
        memcpy(list + literal, "{a}", 4);
        memset(path + 3, 'v', 128);
        memcpy(path + 3 + 128, "/2", 3);
        char expected[300] = "";
        if (literal + 128 <= CHANNEL_NAME_BYTES_MAX) {
            memset(expected, 'l', literal);
            memset(expected + literal, 'v', 128);
            expected[literal + 128] = 0;
        }
        expands(list, path, expected);
    }
}

Test(channel_name, a_capture_that_is_not_there) {
    const struct config_part part = {.kind = CONFIG_PART_CAPTURE, .capture = 0};
    const struct config_part claim = {.kind = CONFIG_PART_CLAIM};
    const struct config_template template = {.parts = &part, .part_count = 1};
    const struct config_template claims = {.parts = &claim, .part_count = 1};
    const struct route_match match = {.capture_count = 0};
    uint8_t name[16];
    struct span_mut target = {.data = name, .length = sizeof(name)};
    cr_assert(route_template_expand(&template, &match, target) == 0);
    cr_assert(route_template_expand(&claims, &match, target) == 0);
}

// A claim was never encoded: two subjects of which one looks like the other's encoding stay two.
Test(channel_name, claims) {
    static const struct {
        const char *value, *name;
    } rows[] = {
        {"ada", "u.ada.x"},
        {"A-Z_a-z@~", "u.A-Z_a-z@~.x"},
        {"a.b", "u.a%2Eb.x"},
        {"a%2Eb", "u.a%252Eb.x"},
        {"*", "u.%2A.x"},
        {">", "u.%3E.x"},
        {"\xc3\xa9", "u.%C3%A9.x"},
        {"100%", "u.100%25.x"},
        {"", ""},
    };
    const struct config_part parts[] = {{.kind = CONFIG_PART_LITERAL, .text = span_text("u.")},
                                        {.kind = CONFIG_PART_CLAIM, .claim = 1},
                                        {.kind = CONFIG_PART_LITERAL, .text = span_text(".x")}};
    const struct config_template template = {.parts = parts, .part_count = 3};
    uint8_t name[CHANNEL_NAME_BYTES_MAX];
    struct span_mut target = {.data = name, .length = sizeof(name)};
    struct route_claims claims = {.values = {span_text("other")}, .count = 2};
    const struct route_match match = {.claims = &claims};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        claims.values[1] = span_text(rows[i].value);
        uint32_t length = route_template_expand(&template, &match, target);
        expect(span_is(span_make(name, length), rows[i].name), "%s: %.*s", rows[i].value,
               (int)length, (const char *)name);
    }
    claims.count = 1; // it is not there
    cr_assert_eq(route_template_expand(&template, &match, target), 0);
}

Test(channel_name, certificates) {
    struct tls_peer peer = {.subject_bytes = 10, .subject = "CN=a,O=b.c"};
    memset(peer.fingerprint, 'f', TLS_FINGERPRINT_BYTES);
    const struct config_part subject = {.kind = CONFIG_PART_SUBJECT};
    const struct config_part fingerprint = {.kind = CONFIG_PART_FINGERPRINT};
    const struct config_template by_subject = {.parts = &subject, .part_count = 1};
    const struct config_template by_fingerprint = {.parts = &fingerprint, .part_count = 1};
    uint8_t name[CHANNEL_NAME_BYTES_MAX];
    struct span_mut target = {.data = name, .length = sizeof(name)};
    struct route_match match = {.peer = &peer};
    uint32_t length = route_template_expand(&by_subject, &match, target);
    cr_assert(span_is(span_make(name, length), "CN%3Da%2CO%3Db%2Ec"));
    length = route_template_expand(&by_fingerprint, &match, target);
    cr_assert(span_equal(span_make(name, length), tls_peer_fingerprint(&peer)));
    const struct config_route route = {
        .channels = {.subscribe = {.items = &by_subject, .count = 1}, .publish = by_fingerprint}};
    match.route = &route;
    cr_assert_not(route_lacks_certificate(&match));
    peer.subject_bytes = 0; // one may have none
    cr_assert(route_lacks_certificate(&match));
    match.peer = NULL;
    cr_assert(route_lacks_certificate(&match));
    cr_assert_eq(route_template_expand(&by_subject, &match, target), 0);
    cr_assert_eq(route_template_expand(&by_fingerprint, &match, target), 0);
}

Test(channel_name, claims_around_their_bound) {
    char value[PLACEHOLDER_BYTES_MAX + 2];
    uint8_t name[2 * PLACEHOLDER_BYTES_MAX];
    struct span_mut target = {.data = name, .length = sizeof(name)};
    memset(value, 'v', sizeof(value));
    for (uint32_t length = PLACEHOLDER_BYTES_MAX - 1; length <= PLACEHOLDER_BYTES_MAX + 1;
         length++) {
        uint32_t written = route_claim_encode(span_make(value, length), target);
        cr_assert_eq(written, length <= PLACEHOLDER_BYTES_MAX ? length : 0);
    }
    value[0] = '.'; // three bytes
    cr_assert_eq(route_claim_encode(span_make(value, PLACEHOLDER_BYTES_MAX - 2), target),
                 PLACEHOLDER_BYTES_MAX);
    cr_assert_eq(route_claim_encode(span_make(value, PLACEHOLDER_BYTES_MAX - 1), target), 0);
}
