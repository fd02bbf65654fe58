#include "tests/unit/core/http/http_test.h"

static struct http_request request;

Test(fields, find_and_count_ignore_case_and_go_on) {
    http_test_parse("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nxx: 2\r\nx: 3\r\n\r\n", &request);
    const struct http_field *field = http_field_find(&request, "x", NULL);
    cr_assert_not_null(field);
    http_test_is(field->value, "1");
    field = http_field_find(&request, "X", field);
    cr_assert_not_null(field);
    http_test_is(field->value, "3");
    cr_assert_null(http_field_find(&request, "x", field));
    cr_assert_null(http_field_find(&request, "y", NULL));
    cr_assert_eq(http_field_count(&request, "X"), 2);
    cr_assert_eq(http_field_count(&request, "XX"), 1);
    cr_assert_eq(http_field_count(&request, "y"), 0);
}

static void expect_list(const char *list, const char *const *wanted) {
    struct span rest = span_text(list);
    struct span element;
    uint32_t count = 0;
    while (http_list_next(&rest, &element)) {
        cr_assert_not_null(wanted[count], "%s has more", list);
        http_test_is(element, wanted[count]);
        count++;
    }
    cr_assert_null(wanted[count], "%s ended before %s", list, wanted[count]);
    cr_assert_not(http_list_next(&rest, &element));
}

Test(fields, lists) {
    expect_list("", (const char *const[]){NULL});
    expect_list(" \t", (const char *const[]){NULL});
    expect_list(",", (const char *const[]){NULL});
    expect_list(" , ,\t,", (const char *const[]){NULL});
    expect_list("a", (const char *const[]){"a", NULL});
    expect_list("a,b", (const char *const[]){"a", "b", NULL});
    expect_list(" a\t,\t b ,", (const char *const[]){"a", "b", NULL});
    expect_list(",,a,,b", (const char *const[]){"a", "b", NULL});
    expect_list("a b, c;d=e", (const char *const[]){"a b", "c;d=e", NULL});
    expect_list("a=\"b,c\",d", (const char *const[]){"a=\"b,c\"", "d", NULL});
    expect_list("\"a\\\",b\",c", (const char *const[]){"\"a\\\",b\"", "c", NULL});
    expect_list("a\\,b", (const char *const[]){"a\\", "b", NULL});
    expect_list("\"a,b", (const char *const[]){"\"a,b", NULL});
    expect_list("\"a\\", (const char *const[]){"\"a\\", NULL});
}

Test(fields, list_has_looks_at_every_field_and_whole_elements) {
    http_test_parse("GET / HTTP/1.1\r\nHost: a\r\nX: one, Two\r\nY: z\r\nx: three\r\n\r\n",
                    &request);
    cr_assert(http_list_has(&request, "x", "one"));
    cr_assert(http_list_has(&request, "x", "two"));
    cr_assert(http_list_has(&request, "X", "THREE"));
    cr_assert_not(http_list_has(&request, "x", "thr"));
    cr_assert_not(http_list_has(&request, "x", "one, two"));
    cr_assert_not(http_list_has(&request, "z", "one"));
}

Test(fields, tokens) {
    cr_assert(http_is_token(span_text("a")));
    cr_assert(http_is_token(span_text("graphql-transport-ws")));
    cr_assert_not(http_is_token(span_text("")));
    cr_assert_not(http_is_token(span_text("a b")));
    cr_assert_not(http_is_token(span_text("a\xc3\xa9")));
    cr_assert_not(http_is_token(span_text("a;")));
}

static void expect_cookie(const char *fields, const char *name, const char *wanted) {
    char head[512];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    http_test_parse(head, &request);
    struct span value = span_empty();
    bool is_found = http_cookie_find(&request, span_text(name), &value);
    cr_assert_eq(is_found, wanted != NULL, "%s in %s", name, fields);
    if (wanted != NULL) {
        http_test_is(value, wanted);
    }
}

Test(fields, cookies) {
    expect_cookie("", "a", NULL);
    expect_cookie("Cookie: a=b\r\n", "a", "b");
    expect_cookie("cookie: a=b\r\n", "a", "b");
    expect_cookie("Cookie: a=b; c=d\r\n", "c", "d");
    expect_cookie("Cookie: a=b;c=d;e=f\r\n", "c", "d");
    expect_cookie("Cookie: a=b;  c=d ; e=f\r\n", "c", "d");
    expect_cookie("Cookie: a=b\r\nX: y\r\nCookie: c=d\r\n", "c", "d");
    expect_cookie("Cookie: a=1; a=2\r\n", "a", "1");
    expect_cookie("Cookie: a=\r\n", "a", "");
    expect_cookie("Cookie: a=b=c==\r\n", "a", "b=c==");
    expect_cookie("Cookie: a=\"b\"\r\n", "a", "\"b\"");
    expect_cookie("Cookie: A=b\r\n", "a", NULL);
    expect_cookie("Cookie: xa=b; ax=c\r\n", "a", NULL);
    expect_cookie("Cookie: a\r\n", "a", NULL);
    expect_cookie("Cookie: b=a=c\r\n", "a", NULL);
    expect_cookie("Cookie: ;;; ;a=b\r\n", "a", "b");
    expect_cookie("Cookie:\r\n", "a", NULL);
}

Test(fields, what_may_be_sent_as_a_value) {
    static const char *const good[] = {"", "a", "a b", "a\tb", "\xc3\xa9", "~", ","};
    static const char *const bad[] = {" a",   "a ",   "\ta",  "a\t", " ",
                                      "a\rb", "a\nb", "\x7f", "\x01"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(http_is_field_value(span_text(good[i])), "good %zu", i);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert(!http_is_field_value(span_text(bad[i])), "bad %zu", i);
    }
    cr_assert(!http_is_field_value(span_make("a\0b", 3)));
}
