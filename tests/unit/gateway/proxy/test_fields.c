// Heads that go on: what passes, what is left out, what is written anew.
#include "core/hub/payload.h"
#include "gateway/proxy/internal.h"
#include "tests/unit/core/conn/conn_test.h"

#include <stdio.h>

static struct arena *arena_open(void) {
    static struct arena arena;
    arena_init(&arena, conn_test_reserve(16 << 20), conn_test_reserve(arena_book_bytes(16 << 20)),
               16 << 20);
    return &arena;
}

static struct address v4 = {.kind = ADDRESS_IP, .ip = {[10] = 0xff, 0xff, 203, 0, 113, 7}};

// The head as a text; ids are random and cut off.
static const char *forwarded(const char *head, const struct address *peer, bool is_trusted) {
    static char text[8192];
    static struct http_request request;
    const struct fault *fault = http_request_parse(span_text(head), &request);
    cr_assert_null(fault, "%s", fault == NULL ? "" : fault->name);
    struct prng prng;
    prng_init(&prng, 1);
    struct forward forward = {.request = &request,
                              .peer = peer,
                              .authority = span_text("10.0.0.5:80"),
                              .prng = &prng,
                              .is_trusted = is_trusted};
    struct arena *arena = arena_open();
    uint32_t payload = forward_head(arena, &forward, &fault);
    cr_assert_neq(payload, 0);
    struct span wire = payload_wire(arena, payload);
    // Whatever it is, it is a request that we would take ourselves.
    static struct http_request again;
    cr_assert_null(http_request_parse(wire, &again));
    cr_assert_eq(again.is_chunked, request.is_chunked);
    cr_assert_eq(again.content_length, request.content_length);
    memcpy(text, wire.data, wire.length);
    text[wire.length] = 0;
    payload_drop(arena, payload);
    cr_assert_eq(arena->used_bytes, 0);
    return text;
}

// Longest subject, and what a client says of itself.
Test(fields, a_clients_certificate) {
    static struct http_request request;
    const struct fault *fault =
        http_request_parse(span_text("GET / HTTP/1.1\r\nHost: a\r\n"
                                     "x-client-certificate-subject: CN=root\r\n"
                                     "X_Client_Certificate_Fingerprint: 00\r\n\r\n"),
                           &request);
    cr_assert_null(fault);
    struct tls_peer peer = {.subject_bytes = TLS_SUBJECT_BYTES_MAX};
    memset(peer.subject, 's', TLS_SUBJECT_BYTES_MAX);
    memset(peer.fingerprint, 'f', TLS_FINGERPRINT_BYTES);
    struct prng prng;
    prng_init(&prng, 1);
    struct arena *arena = arena_open();
    for (uint32_t i = 0; i < 4; i++) {
        struct forward forward = {.request = &request,
                                  .peer = &v4,
                                  .prng = &prng,
                                  .certificate = i % 2 == 0 ? NULL : &peer,
                                  .is_trusted = i >= 2};
        uint32_t payload = forward_head(arena, &forward, &fault);
        cr_assert_neq(payload, 0);
        static struct http_request passed;
        cr_assert_null(http_request_parse(payload_wire(arena, payload), &passed));
        const struct http_field *subject =
            http_field_find(&passed, "x-client-certificate-subject", NULL);
        const struct http_field *fingerprint =
            http_field_find(&passed, "x-client-certificate-fingerprint", NULL);
        cr_assert_eq(subject != NULL, i % 2 == 1);
        cr_assert_eq(fingerprint != NULL, i % 2 == 1);
        cr_assert(subject == NULL || span_equal(subject->value, tls_peer_subject(&peer)));
        cr_assert(fingerprint == NULL ||
                  span_equal(fingerprint->value, tls_peer_fingerprint(&peer)));
        cr_assert_null(http_field_find(&passed, "x_client_certificate_fingerprint", NULL));
        cr_assert_leq(http_field_count(&passed, "x-client-certificate-subject"), 1);
        payload_drop(arena, payload);
    }
    cr_assert_eq(arena->used_bytes, 0);
}

static void has(const char *text, const char *part) {
    expect(strstr(text, part) != NULL, "%s is missing in:\n%s", part, text);
}

static void has_not(const char *text, const char *part) {
    expect(strcasestr(text, part) == NULL, "%s stands in:\n%s", part, text);
}

Test(fields, a_plain_request) {
    const char *text = forwarded(
        "GET /a/b?c=d HTTP/1.1\r\nHost: site.example:81\r\nAccept: */*\r\n\r\n", &v4, false);
    char *ids = strstr(text, "X-Request-Id: ");
    cr_assert_not_null(ids);
    expect(strlen(ids) == strlen("X-Request-Id: ") + 32 + 2 + strlen("traceparent: ") + 55 + 4,
           "%s", ids);
    *ids = 0;
    cr_assert_str_eq(text, "GET /a/b?c=d HTTP/1.1\r\n"
                           "Host: site.example:81\r\n"
                           "Accept: */*\r\n"
                           "X-Forwarded-For: 203.0.113.7\r\n"
                           "X-Forwarded-Proto: http\r\n"
                           "X-Forwarded-Host: site.example:81\r\n"
                           "Forwarded: for=203.0.113.7;proto=http;host=\"site.example:81\"\r\n");
}

Test(fields, what_belongs_to_one_hop_stays_there) {
    const char *text = forwarded("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-One ,x-two\r\n"
                                 "X-One: 1\r\nX-TWO: 2\r\nKeep-Alive: 3\r\nTE: trailers\r\n"
                                 "Trailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
                                 "Proxy-Connection: x\r\nProxy-Authorization: x\r\n"
                                 "X-Three: 3\r\n\r\n",
                                 &v4, false);
    static const char *const gone[] = {"Connection", "X-One",   "X-Two", "Keep-Alive", "TE:",
                                       "Trailer",    "Upgrade", "HTTP2", "Proxy-"};
    for (uint32_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        has_not(text, gone[i]);
    }
    has(text, "\r\nX-Three: 3\r\n");
}

Test(fields, as_many_connection_options_as_the_limit_are_all_heeded) {
    char head[4096];
    int length = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (uint32_t i = 0; i < CONNECTION_OPTIONS_MAX; i++) {
        length += snprintf(head + length, sizeof head - (size_t)length,
                           "Connection: ,, X-%u,\r\nX-%u: gone\r\n", i, i);
    }
    (void)snprintf(head + length, sizeof head - (size_t)length, "X-99: y\r\n\r\n"); // it fits
    const char *text = forwarded(head, &v4, false);
    has_not(text, "gone");
    has(text, "\r\nX-99: y\r\n");
}

// CVE-2024-45410: a Connection field must not take away what the gateway says.
Test(fields, a_client_cannot_have_our_fields_left_out) {
    const char *text = forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: "
                                 "X-Forwarded-For, Host, Content-Length, X-Request-Id\r\n\r\n",
                                 &v4, false);
    has(text, "\r\nX-Forwarded-For: 203.0.113.7\r\n");
    has(text, "\r\nHost: a\r\n");
    has(text, "\r\nContent-Length: 3\r\n");
    has(text, "\r\nX-Request-Id: ");
}

Test(fields, who_the_client_is_says_nobody_but_us) {
    static const char *const names[] = {
        "X-Forwarded-For", "x-forwarded-proto", "X_Forwarded_For", "X-Forwarded-Whatever",
        "Forwarded",       "X-Real-IP",         "X_REAL_IP",       "Grip-Hold",
        "Meta-User",       "meta_user",         "Connection-Id"};
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char head[200];
        (void)snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s: evil\r\n\r\n",
                       names[i]);
        has_not(forwarded(head, &v4, false), "evil");
        has(forwarded(head, &v4, true), "evil");
    }
    has(forwarded("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarding: fine\r\n\r\n", &v4, false), "fine");
}

Test(fields, a_trusted_peer_is_believed_and_added_to) {
    const char *text = forwarded("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n"
                                 "X-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n"
                                 "X-Forwarded-Host: b\r\nForwarded: for=1.1.1.1\r\n"
                                 "X-Request-Id: mine\r\n\r\n",
                                 &v4, true);
    has(text, "\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 203.0.113.7\r\n");
    has(text, "\r\nX-Forwarded-Proto: https\r\n");
    has(text, "\r\nX-Forwarded-Host: b\r\n");
    has(text, "\r\nForwarded: for=1.1.1.1, for=203.0.113.7;proto=http;host=\"a\"\r\n");
    has(text, "\r\nX-Request-Id: mine\r\n");
    has_not(text, "X-Forwarded-Proto: http\r\n");
}

Test(fields, addresses_of_every_kind) {
    struct address v6 = {.kind = ADDRESS_IP};
    cr_assert(address_parse_ip(span_text("2001:db8::1"), &v6));
    const char *text = forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &v6, false);
    has(text, "\r\nX-Forwarded-For: 2001:db8::1\r\n");
    has(text, "\r\nForwarded: for=\"[2001:db8::1]\";proto=http;host=\"a\"\r\n");
    struct address local = {.kind = ADDRESS_UNIX};
    text = forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &local, false);
    has_not(text, "X-Forwarded-For");
    has(text, "\r\nForwarded: for=unknown;proto=http;host=\"a\"\r\n");
    text = forwarded("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", &local, true);
    has(text, "\r\nX-Forwarded-For: 1.1.1.1, unknown\r\n");
}

Test(fields, a_client_that_speaks_tls) {
    static struct http_request request;
    cr_assert_null(http_request_parse(span_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &request));
    struct prng prng;
    prng_init(&prng, 1);
    struct forward forward = {.request = &request, .peer = &v4, .prng = &prng, .is_tls = true};
    const struct fault *fault = NULL;
    struct arena *arena = arena_open();
    uint32_t payload = forward_head(arena, &forward, &fault);
    struct span wire = payload_wire(arena, payload);
    char text[1024] = "";
    memcpy(text, wire.data, wire.length);
    has(text, "\r\nX-Forwarded-Proto: https\r\n");
    has(text, "\r\nForwarded: for=203.0.113.7;proto=https;host=\"a\"\r\n");
    payload_drop(arena, payload);
}

Test(fields, targets_of_every_form) {
    has(forwarded("GET http://b/c?d HTTP/1.1\r\nHost: a\r\n\r\n", &v4, false),
        "GET /c?d HTTP/1.1\r\nHost: b\r\n");
    has(forwarded("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &v4, false), "OPTIONS * HTTP/1.1\r\n");
    has(forwarded("GET / HTTP/1.0\r\n\r\n", &v4, false), "GET / HTTP/1.1\r\nHost: 10.0.0.5:80\r\n");
    has(forwarded("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", &v4, false), "PROPFIND / HTTP/1.1\r\n");
}

Test(fields, framing_and_expectation_are_written_anew) {
    const char *text = forwarded("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n"
                                 "Expect: 100-Continue\r\n\r\n",
                                 &v4, false);
    has(text, "\r\nTransfer-Encoding: chunked\r\n");
    has(text, "\r\nExpect: 100-continue\r\n");
    text = forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", &v4, false);
    has(text, "\r\nContent-Length: 7\r\n");
    text = forwarded("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", &v4, false);
    has_not(text, "Expect"); // there is no body to wait with
}

Test(fields, traces_pass_when_they_are_well_formed) {
    static const struct {
        const char *value;
        bool passes;
    } rows[] = {
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false},
        {"", false},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[300];
        (void)snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: %s\r\n\r\n",
                       rows[i].value);
        const char *text = forwarded(head, &v4, false);
        char line[200];
        (void)snprintf(line, sizeof line, "\r\ntraceparent: %s\r\n", rows[i].value);
        expect((strstr(text, line) != NULL) == rows[i].passes, "row %u: %s", i, text);
    }
}

Test(fields, the_largest_head_fits) {
    static char head[HEADER_BYTES_MAX];
    int length = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: ");
    memset(head + length, 'h', 8000); // it stands in three places
    length += 8000;
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n\r\n");
    static struct http_request request;
    cr_assert_null(http_request_parse(span_make(head, (uint32_t)length), &request));
    struct prng prng;
    prng_init(&prng, 1);
    struct forward forward = {.request = &request, .peer = &v4, .prng = &prng};
    const struct fault *fault = NULL;
    struct arena *arena = arena_open();
    uint32_t payload = forward_head(arena, &forward, &fault);
    cr_assert_neq(payload, 0);
    payload_drop(arena, payload);
    arena->limit_bytes = 64;
    cr_assert_eq(forward_head(arena, &forward, &fault), 0);
    cr_assert_eq(fault, fault_get(FAULT_out_of_memory));
}

// --- answers

static const char *returned(const char *head, struct backward backward) {
    static char text[8192];
    static struct http_response response;
    cr_assert_null(http_response_parse(span_text(head), &response), "%s", head);
    backward.response = &response;
    struct arena *arena = arena_open();
    uint32_t payload = backward_head(arena, &backward);
    struct span wire = payload_wire(arena, payload);
    static struct http_response again;
    cr_assert_null(http_response_parse(wire, &again));
    memcpy(text, wire.data, wire.length);
    text[wire.length] = 0;
    payload_drop(arena, payload);
    return text;
}

Test(fields, a_plain_answer) {
    cr_assert_str_eq(returned("HTTP/1.0 404 Not here\r\nServer: x\r\nDate: then\r\n"
                              "Content-Length: 05\r\nConnection: keep-alive, X-One\r\nX-One: 1\r\n"
                              "Keep-Alive: 5\r\nTrailer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
                              "\r\n",
                              (struct backward){.date = span_text("now")}),
                     "HTTP/1.1 404 Not here\r\nServer: x\r\nDate: then\r\nSet-Cookie: a\r\n"
                     "Set-Cookie: b\r\nContent-Length: 5\r\n\r\n");
}

Test(fields, framing_of_answers) {
    struct backward chunked = {.date = span_text("now"), .is_chunked = true};
    cr_assert_str_eq(returned("HTTP/1.1 200\r\n\r\n", chunked),
                     "HTTP/1.1 200 \r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n");
    struct backward closes = {.closes = true};
    cr_assert_str_eq(returned("HTTP/1.1 200 OK\r\n\r\n", closes),
                     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    struct backward to_head = {.is_to_head = true};
    cr_assert_str_eq(returned("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", to_head),
                     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    struct backward plain = {.is_to_head = false};
    cr_assert_str_eq(returned("HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", plain),
                     "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n");
    cr_assert_str_eq(returned("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", plain),
                     "HTTP/1.1 204 x\r\n\r\n");
    struct backward dated = {.date = span_text("now")};
    cr_assert_str_eq(returned("HTTP/1.1 103 x\r\nLink: y\r\nConnection: close\r\n\r\n", dated),
                     "HTTP/1.1 103 x\r\nLink: y\r\n\r\n");
}
