// Whom a chain of proxies speaks for.
#include "core/base/limits.h"
#include "core/http/forwarded.h"
#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct http_request request;

// The client's address as text, or "" for none, with 10.0.0.0/8 and fd00::/8 trusted.
static const char *client_of(const char *fields) {
    static char head[4096];
    static char text[ADDRESS_TEXT_BYTES];
    struct address_range trusted[2];
    cr_assert(address_range_parse(span_text("10.0.0.0/8"), &trusted[0]));
    cr_assert(address_range_parse(span_text("fd00::/8"), &trusted[1]));
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    cr_assert_null(http_request_parse(span_text(head), &request), "%s", fields);
    struct address client;
    text[0] = 0;
    if (http_forwarded_find(&request, trusted, 2, &client)) {
        address_format(&client, false, text);
    }
    return text;
}

Test(forwarded, the_rightmost_that_is_not_trusted) {
    static const struct {
        const char *fields, *client;
    } rows[] = {
        {"", ""},
        {"X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 1.1.1.1, 203.0.113.9\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.1.1.1, 10.2.2.2\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2,10.1.1.1\r\n", "2.2.2.2"},
        {"X-Forwarded-For: 10.9.9.9, 10.1.1.1\r\n", "10.9.9.9"},
        {"X-Forwarded-For: 1.1.1.1, unknown, 10.1.1.1\r\n", "10.1.1.1"},
        {"X-Forwarded-For: 1.1.1.1, unknown\r\n", ""},
        {"X-Forwarded-For: 1.1.1.1,,\r\n", "1.1.1.1"},
        {"X-Forwarded-For: 1.1.1.1:4711\r\n", "1.1.1.1"},
        {"X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
        {"X-Forwarded-For: [2001:db8::1]:80, fd00::1\r\n", "2001:db8::1"},
        {"X-Forwarded-For: [2001:db8::1\r\n", ""},
        {"X-Forwarded-For: 1.1.1.1 x\r\n", ""},
        {"Forwarded: for=203.0.113.9;proto=https\r\n", "203.0.113.9"},
        {"Forwarded: proto=https ; FOR=203.0.113.9\r\n", "203.0.113.9"},
        {"Forwarded: for=1.1.1.1, for=\"[2001:db8::1]:4711\", for=10.1.1.1;by=x\r\n",
         "2001:db8::1"},
        {"Forwarded: for=1.1.1.1, for=_hidden\r\n", ""},
        {"Forwarded: for=1.1.1.1, by=2.2.2.2\r\n", ""},
        {"Forwarded: for=1.1.1.1, fort=2.2.2.2\r\n", ""},
        // What a client wrote into the field that its proxy does not know.
        {"Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", "2.2.2.2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *found = client_of(rows[i].fields);
        expect(strcmp(found, rows[i].client) == 0, "%s gives `%s`, not `%s`", rows[i].fields, found,
               rows[i].client);
    }
}

// n - 1, n and n + 1 trusted hops in front of the client.
Test(forwarded, a_chain_is_followed_so_far) {
    for (uint32_t hops = FORWARDED_HOPS_MAX - 2; hops <= FORWARDED_HOPS_MAX; hops++) {
        char fields[1024] = "X-Forwarded-For: 203.0.113.9";
        for (uint32_t i = 0; i < hops; i++) {
            snprintf(fields + strlen(fields), sizeof fields - strlen(fields), ", 10.0.0.%u", i);
        }
        strcat(fields, "\r\n");
        cr_assert_str_eq(client_of(fields), hops < FORWARDED_HOPS_MAX ? "203.0.113.9" : "10.0.0.0");
    }
}
