// What is refused, and as what. A row is one head; `fine` rows mark the border.
#include "tests/unit/core/http/http_test.h"

struct row {
    const char *head;
    uint32_t length;
    const char *verdict;
};

#define ROW(text, verdict)                                                                         \
    { text, sizeof(text) - 1, #verdict }
#define LINE(text, verdict) ROW(text "\r\nHost: a\r\n\r\n", verdict)
#define FIELD(text, verdict) ROW("GET / HTTP/1.1\r\nHost: a\r\n" text "\r\n\r\n", verdict)
#define FIELD_1_0(text, verdict) ROW("GET / HTTP/1.0\r\nHost: a\r\n" text "\r\n\r\n", verdict)
#define HOST(text, verdict) ROW("GET / HTTP/1.1\r\n" text "\r\n\r\n", verdict)

// Neither path may take it: the scan in front, and the parser by itself.
static void expect_rows(const struct row *rows, uint32_t count) {
    static struct http_request request;
    for (uint32_t i = 0; i < count; i++) {
        struct span head = span_make(rows[i].head, rows[i].length);
        uint8_t *copy = http_test_copy(head);
        head.data = copy;
        const char *verdict = http_test_verdict(head, &request);
        cr_expect_str_eq(verdict, rows[i].verdict, "row %u: %s instead of %s for\n%s", i, verdict,
                         rows[i].verdict, rows[i].head);
        bool is_fine = strcmp(rows[i].verdict, "fine") == 0;
        cr_expect_eq(http_request_parse(head, &request) == NULL, is_fine, "row %u alone", i);
        free(copy);
    }
}

#define EXPECT(rows) expect_rows(rows, sizeof(rows) / sizeof((rows)[0]))

Test(malformed, request_lines) {
    static const struct row rows[] = {
        LINE("GET / HTTP/1.1", fine),
        LINE("GET  / HTTP/1.1", request_line_malformed),
        LINE("GET /  HTTP/1.1", request_line_malformed),
        LINE(" GET / HTTP/1.1", request_line_malformed),
        LINE("GET / HTTP/1.1 ", request_line_malformed),
        LINE("GET\t/ HTTP/1.1", request_line_malformed),
        LINE("GET /\tHTTP/1.1", request_line_malformed),
        LINE("GET / HTTP/1.1\t", request_line_malformed),
        LINE("GET /a b HTTP/1.1", request_line_malformed),
        LINE("GET / / HTTP/1.1", request_line_malformed),
        LINE("GET /", request_line_malformed),
        LINE("GET / ", request_line_malformed),
        LINE("GET", request_line_malformed),
        LINE("GET ", request_line_malformed),
        LINE("GET HTTP/1.1", request_line_malformed),
        LINE("/ HTTP/1.1", request_line_malformed),
        LINE("GET: / HTTP/1.1", request_line_malformed),
        LINE("G(T / HTTP/1.1", request_line_malformed),
        LINE("\"GET\" / HTTP/1.1", request_line_malformed),
        LINE("G\xc3\x89T / HTTP/1.1", request_line_malformed),
        LINE("\xef\xbb\xbfGET / HTTP/1.1", request_line_malformed),
        LINE("GET\0 / HTTP/1.1", request_line_malformed),
        LINE("GET /\0 HTTP/1.1", request_line_malformed),
        LINE("GET / HTTP/1.1\0", request_line_malformed),
        LINE("GET /\v HTTP/1.1", request_line_malformed),
        LINE("GET / HTTP/1.1\x7f", request_line_malformed),
        LINE("GET / HTTP/1.1\r", request_line_malformed),
        LINE("GET /\r HTTP/1.1", request_line_malformed),
        LINE("GET /\n HTTP/1.1", request_line_malformed),
        ROW("GET / HTTP/1.1\nHost: a\n\n", request_line_malformed),
        ROW("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", request_line_malformed),
        ROW("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", request_line_malformed),
        ROW("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", fine),
        ROW("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", tls_on_plain_port),
        ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http2_preface),
    };
    EXPECT(rows);
}

Test(malformed, versions) {
    static const struct row rows[] = {
        LINE("GET / HTTP/1.0", fine),
        LINE("GET / HTTP/0.9", version_unsupported),
        LINE("GET / HTTP/2.0", version_unsupported),
        LINE("GET / HTTP/3.0", version_unsupported),
        LINE("GET / HTTP/9.9", version_unsupported),
        LINE("GET / HTTP/2", request_line_malformed),
        LINE("GET / HTTP/11", request_line_malformed),
        LINE("GET / HTTP/1.", request_line_malformed),
        LINE("GET / HTTP/.1", request_line_malformed),
        LINE("GET / HTTP/1.10", request_line_malformed),
        LINE("GET / HTTP/01.1", request_line_malformed),
        LINE("GET / HTTP/1,1", request_line_malformed),
        LINE("GET / HTTP/1.x", request_line_malformed),
        LINE("GET / HTTP/+.1", request_line_malformed),
        LINE("GET / http/1.1", request_line_malformed),
        LINE("GET / Http/1.1", request_line_malformed),
        LINE("GET / HTTPS/1.1", request_line_malformed),
        LINE("GET / HTTP 1.1", request_line_malformed),
        LINE("GET / HTTP/ 1.1", request_line_malformed),
        LINE("GET / ICY/1.1", request_line_malformed),
        LINE("GET / 1.1", request_line_malformed),
    };
    EXPECT(rows);
}

Test(malformed, targets) {
    static const struct row rows[] = {
        LINE("GET /a#b HTTP/1.1", target_malformed),
        LINE("GET /# HTTP/1.1", target_malformed),
        LINE("GET # HTTP/1.1", request_line_malformed),
        LINE("GET /\xc3\xa9 HTTP/1.1", target_malformed),
        LINE("GET /\x80 HTTP/1.1", target_malformed),
        LINE("GET a HTTP/1.1", target_malformed),
        LINE("GET ?a HTTP/1.1", target_malformed),
        LINE("GET * HTTP/1.1", target_malformed),
        LINE("POST * HTTP/1.1", target_malformed),
        LINE("OPTIONS * HTTP/1.1", fine),
        LINE("OPTIONS ** HTTP/1.1", target_malformed),
        LINE("OPTIONS *?a HTTP/1.1", target_malformed),
        LINE("GET example.com:80 HTTP/1.1", target_malformed),
        LINE("CONNECT example.com:80 HTTP/1.1", method_unknown),
        LINE("CONNECT / HTTP/1.1", method_unknown),
        LINE("GET http:// HTTP/1.1", target_malformed),
        LINE("GET http:///a HTTP/1.1", target_malformed),
        LINE("GET http://?a HTTP/1.1", target_malformed),
        LINE("GET http:/a HTTP/1.1", target_malformed),
        LINE("GET http:a HTTP/1.1", target_malformed),
        LINE("GET http HTTP/1.1", target_malformed),
        LINE("GET ftp://a/ HTTP/1.1", target_malformed),
        LINE("GET ws://a/ HTTP/1.1", target_malformed),
        LINE("GET javascript://a/ HTTP/1.1", target_malformed),
        LINE("GET http://user@a/ HTTP/1.1", target_malformed),
        LINE("GET http://user:pass@a/ HTTP/1.1", target_malformed),
        LINE("GET http://a:b/ HTTP/1.1", target_malformed),
        LINE("GET http://a:65536/ HTTP/1.1", target_malformed),
        LINE("GET http://[::1/ HTTP/1.1", target_malformed),
        LINE("GET http://a%/ HTTP/1.1", target_malformed),
        LINE("GET http://a\\b/ HTTP/1.1", target_malformed),
        ROW("GET http://a/ HTTP/1.1\r\n\r\n", host_missing),
        ROW("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", host_malformed),
        ROW("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", host_doubled),
    };
    EXPECT(rows);
}

Test(malformed, fields) {
    static const struct row rows[] = {
        FIELD("X: y", fine),
        FIELD("X:", fine),
        FIELD("X", field_malformed),
        FIELD("X y", field_malformed),
        FIELD(": y", field_malformed),
        FIELD(":", field_malformed),
        FIELD("X : y", field_malformed),
        FIELD("X\t: y", field_malformed),
        FIELD("X Y: z", field_malformed),
        FIELD("X(: y", field_malformed),
        FIELD("\"X\": y", field_malformed),
        FIELD("X/Y: z", field_malformed),
        FIELD("X\xc3\xa9: y", field_malformed),
        FIELD("X@: y", field_malformed),
        FIELD("X,Y: z", field_malformed),
        FIELD("X\0: y", field_malformed),
        FIELD("X: y\0z", field_malformed),
        FIELD("X: y\x01z", field_malformed),
        FIELD("X: y\x1b[0m", field_malformed),
        FIELD("X: y\x7f", field_malformed),
        FIELD("X: y\v", field_malformed),
        FIELD("X: y\f", field_malformed),
        FIELD("X: y\rz", field_malformed),
        FIELD("X: y\nZ: z", field_malformed),
        FIELD("X: y\r", field_malformed),
        FIELD("X: y\r\r", field_malformed),
        FIELD("X: y\r\n folded", field_folded),
        FIELD("X: y\r\n\tfolded", field_folded),
        FIELD("X: y\r\n ", field_folded),
        FIELD("X: y\r\n : z", field_folded),
        ROW("GET / HTTP/1.1\r\n Host: a\r\n\r\n", field_malformed),
        ROW("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", field_malformed),
        ROW("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", field_malformed),
        ROW("GET / HTTP/1.1\r\nHost: a\r\n\n", field_malformed),
        ROW("GET / HTTP/1.1\r\nHost: a\n\r\n", field_malformed),
        ROW("GET / HTTP/1.1\r\nHost: a\r\n\r", unfinished),
        FIELD("Connection: \"close\"", field_malformed),
        FIELD("Connection: upgrade;q=1", field_malformed),
        FIELD("Connection: keep alive", field_malformed),
    };
    EXPECT(rows);
}

Test(malformed, hosts) {
    static const struct row rows[] = {
        HOST("X: y", host_missing),
        HOST("Host: a\r\nHost: a", host_doubled),
        HOST("Host: a\r\nhOST: b", host_doubled),
        HOST("Host: a\r\nHost:", host_doubled),
        ROW("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", host_doubled),
        ROW("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", host_malformed),
        HOST("Host:", host_malformed),
        HOST("Host:  \t ", host_malformed),
        HOST("Host : a", field_malformed),
        HOST("Host: :80", host_malformed),
        HOST("Host: a b", host_malformed),
        HOST("Host: a, b", host_malformed),
        HOST("Host: a,b", host_malformed),
        HOST("Host: a/b", host_malformed),
        HOST("Host: a?b", host_malformed),
        HOST("Host: a#b", host_malformed),
        HOST("Host: a@b", host_malformed),
        HOST("Host: a\\b", host_malformed),
        HOST("Host: <a>", host_malformed),
        HOST("Host: \"a\"", host_malformed),
        HOST("Host: {a}", host_malformed),
        HOST("Host: http://a", host_malformed),
        HOST("Host: a%", host_malformed),
        HOST("Host: a%4", host_malformed),
        HOST("Host: a%4g", host_malformed),
        HOST("Host: \xc3\xa9", host_malformed),
        HOST("Host: a:b", host_malformed),
        HOST("Host: a:80:80", host_malformed),
        HOST("Host: a:-1", host_malformed),
        HOST("Host: a:+1", host_malformed),
        HOST("Host: a:65536", host_malformed),
        HOST("Host: a:99999", host_malformed),
        HOST("Host: a:000080", host_malformed),
        HOST("Host: a:4294967376", host_malformed),
        HOST("Host: ::1", host_malformed),
        HOST("Host: [", host_malformed),
        HOST("Host: []", host_malformed),
        HOST("Host: [::1", host_malformed),
        HOST("Host: [::1]]", host_malformed),
        HOST("Host: [::1]a", host_malformed),
        HOST("Host: [::1]80", host_malformed),
        HOST("Host: a[::1]", host_malformed),
        HOST("Host: [a]", host_malformed),
        HOST("Host: [1.2.3.4]", host_malformed),
        HOST("Host: [:]", host_malformed),
        HOST("Host: [:::]", host_malformed),
        HOST("Host: [:1]", host_malformed),
        HOST("Host: [1:]", host_malformed),
        HOST("Host: [1::2::3]", host_malformed),
        HOST("Host: [1:2:3:4:5:6:7]", host_malformed),
        HOST("Host: [1:2:3:4:5:6:7:8:9]", host_malformed),
        HOST("Host: [1:2:3:4:5:6:7:8::]", host_malformed),
        HOST("Host: [::1:2:3:4:5:6:7:8]", host_malformed),
        HOST("Host: [12345::]", host_malformed),
        HOST("Host: [g::]", host_malformed),
        HOST("Host: [::1.2.3]", host_malformed),
        HOST("Host: [::1.2.3.4.5]", host_malformed),
        HOST("Host: [::1.2.3.256]", host_malformed),
        HOST("Host: [::1.2.3.04]", host_malformed),
        HOST("Host: [::1.2.3.4:5]", host_malformed),
        HOST("Host: [::1.2.3.]", host_malformed),
        HOST("Host: [::a.2.3.4]", host_malformed),
        HOST("Host: [1:2:3:4:5:6:7:1.2.3.4]", host_malformed),
        HOST("Host: [fe80::1%25eth0]", host_malformed),
        HOST("Host: [v1.x]", host_malformed),
    };
    EXPECT(rows);
}

// CL.CL and numbers that others read otherwise.
Test(malformed, content_lengths) {
    static const struct row rows[] = {
        FIELD("Content-Length: 5\r\nContent-Length: 5", content_length_doubled),
        FIELD("Content-Length: 5\r\nContent-Length: 6", content_length_doubled),
        FIELD("Content-Length: 5\r\ncontent-length:", content_length_doubled),
        FIELD("Content-Length: 5,5", content_length_doubled),
        FIELD("Content-Length: 5, 6", content_length_doubled),
        FIELD("Content-Length: 5 ", fine),
        FIELD("Content-Length:\t5", fine),
        FIELD("Content-Length: +5", content_length_malformed),
        FIELD("Content-Length: -5", content_length_malformed),
        FIELD("Content-Length: -0", content_length_malformed),
        FIELD("Content-Length: 0x5", content_length_malformed),
        FIELD("Content-Length: 5.0", content_length_malformed),
        FIELD("Content-Length: 5e1", content_length_malformed),
        FIELD("Content-Length: 5 5", content_length_malformed),
        FIELD("Content-Length: 5;a", content_length_malformed),
        FIELD("Content-Length: \"5\"", content_length_malformed),
        FIELD("Content-Length: five", content_length_malformed),
        FIELD("Content-Length: \xd9\xa5", content_length_malformed),
        FIELD("Content-Length:", content_length_malformed),
        FIELD("Content-Length: 9999999999999999999", fine),
        FIELD("Content-Length: 10000000000000000000", content_length_malformed),
        FIELD("Content-Length: 18446744073709551616", content_length_malformed),
        FIELD("Content-Length: 18446744073709551621", content_length_malformed),
        FIELD("Content-Length: 00000000000000000005", content_length_malformed),
        FIELD("Content-Length : 5", field_malformed),
        FIELD("Content-Length: 5\v", field_malformed),
        FIELD("Content-Length: \v5", field_malformed),
        FIELD("Content-Length: 5\0", field_malformed),
        FIELD("Content-Length\0: 5", field_malformed),
        FIELD("Content-Length: 5\r\n 6", field_folded),
        FIELD("Content-Length: 5\nX: y", field_malformed),
        FIELD("Content-Length: 5\rX: y", field_malformed),
        FIELD("Content Length: 5", field_malformed),
        FIELD_1_0("Content-Length: 5", fine),
    };
    EXPECT(rows);
}

// CL.TE and TE.CL: two framings in one head.
Test(malformed, length_and_encoding) {
    static const struct row rows[] = {
        FIELD("Content-Length: 5\r\nTransfer-Encoding: chunked", length_and_encoding),
        FIELD("Transfer-Encoding: chunked\r\nContent-Length: 5", length_and_encoding),
        FIELD("Transfer-Encoding: chunked\r\nContent-Length: 0", length_and_encoding),
        FIELD("Transfer-Encoding: xchunked\r\nContent-Length: 5", length_and_encoding),
        FIELD("Transfer-Encoding: identity\r\nContent-Length: 5", length_and_encoding),
        FIELD("Transfer-Encoding:\r\nContent-Length: 5", length_and_encoding),
        FIELD("Transfer-Encoding: chunked\r\nContent-Length: x", length_and_encoding),
    };
    EXPECT(rows);
}

// TE.TE: names and values that one reader takes for `chunked` and another does not.
Test(malformed, transfer_encodings_in_disguise) {
    static const struct row rows[] = {
        FIELD("Transfer-Encoding: chunked", fine),
        FIELD("transfer-encoding: CHUNKED", fine),
        FIELD("Transfer-Encoding:\tchunked\t", fine),
        FIELD("Transfer-Encoding:chunked", fine),
        FIELD("Transfer-Encoding: chunked\v", field_malformed),
        FIELD("Transfer-Encoding: \vchunked", field_malformed),
        FIELD("Transfer-Encoding: chunked\f", field_malformed),
        FIELD("Transfer-Encoding: chunked\0", field_malformed),
        FIELD("Transfer-Encoding: chunked\x7f", field_malformed),
        FIELD("Transfer-Encoding : chunked", field_malformed),
        FIELD("Transfer-Encoding\t: chunked", field_malformed),
        FIELD("Transfer-Encoding\v: chunked", field_malformed),
        FIELD(" Transfer-Encoding: chunked", field_folded),
        FIELD("X: y\r\n\tTransfer-Encoding: chunked", field_folded),
        FIELD("X: y\rTransfer-Encoding: chunked", field_malformed),
        FIELD("X: y\nTransfer-Encoding: chunked", field_malformed),
        FIELD("Transfer-Encoding\r\n: chunked", field_malformed),
        FIELD("Transfer-Encoding:\r\n chunked", field_folded),
        FIELD("X: y\r\nTransfer-Encoding: x\r\n chunked", field_folded),
        FIELD("Transfer Encoding: chunked", field_malformed),
    };
    EXPECT(rows);
}

Test(malformed, transfer_codings) {
    static const struct row rows[] = {
        FIELD("Transfer-Encoding: xchunked", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: chunkedx", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: x chunked", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked x", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: \"chunked\"", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: 'chunked'", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: [chunked]", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked;a=b", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked;", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: ch\xc3\xbcnked", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: \xa0"
              "chunked",
              transfer_encoding_malformed),
        FIELD("Transfer-Encoding:", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: ,", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked,", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: ,chunked", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked, chunked", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
              transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding:", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: chunked, identity", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: identity, chunked", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: gzip, chunked", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: gzip, chunked, chunked", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked, gzip, chunked", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: chunked, gzip", transfer_encoding_malformed),
        FIELD("Transfer-Encoding: gzip", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: identity", transfer_encoding_unknown),
        FIELD("Transfer-Encoding: 1", transfer_encoding_unknown),
        FIELD_1_0("Transfer-Encoding: chunked", transfer_encoding_malformed),
        FIELD_1_0("Transfer-Encoding: gzip", transfer_encoding_malformed),
    };
    EXPECT(rows);
}

Test(malformed, expectations) {
    static const struct row rows[] = {
        FIELD("Expect: 100-continue", fine),
        FIELD("Expect: 100-Continue", fine),
        FIELD("Expect: 200-ok", expectation_unknown),
        FIELD("Expect:", expectation_unknown),
        FIELD("Expect: 100-continue, x", expectation_unknown),
        FIELD("Expect: 100-continue;a=b", expectation_unknown),
        FIELD("Expect: 100-continue\r\nExpect: x", expectation_unknown),
        FIELD_1_0("Expect: x", expectation_unknown),
    };
    EXPECT(rows);
}
