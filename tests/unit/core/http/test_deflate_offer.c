// Offers of permessage-deflate: RFC 7692 7.1's examples, each parameter right and wrong, and offers
// in a row.
#include "core/http/deflate_offer.h"
#include "core/http/upgrade.h"
#include "tests/unit/core/http/http_test.h"

static struct http_request request;

#define HEAD                                                                                       \
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                   \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define OFFER "Sec-WebSocket-Extensions: "
#define ANSWER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// `fields`: with their line ends. `answer`: NULL for declined.
static void expect_answer(const char *fields, const char *answer) {
    char head[2048];
    int length = snprintf(head, sizeof head, HEAD "%s\r\n", fields);
    cr_assert(length > 0 && (size_t)length < sizeof head);
    http_test_parse(head, &request);
    struct span key;
    cr_assert_null(http_upgrade_check(&request, &key), "%s", fields);
    struct http_deflate_terms terms;
    bool is_accepted = http_deflate_accept(&request, &terms);
    cr_assert_eq(is_accepted, answer != NULL, "%s", fields);
    if (is_accepted) {
        uint8_t text[HTTP_DEFLATE_ANSWER_BYTES_MAX];
        uint32_t text_length = http_deflate_answer(terms, text);
        http_test_is(span_make(text, text_length), answer);
    }
}

static void expect_offer(const char *offer, const char *answer) {
    char fields[1024];
    snprintf(fields, sizeof fields, OFFER "%s\r\n", offer);
    expect_answer(fields, answer);
}

Test(deflate_offer, the_rfcs_examples) {
    expect_offer("permessage-deflate", ANSWER);
    expect_offer("permessage-deflate; client_max_window_bits; server_max_window_bits=10",
                 ANSWER "; server_max_window_bits=10");
    expect_offer("permessage-deflate; client_max_window_bits; server_max_window_bits=10, "
                 "permessage-deflate; client_max_window_bits",
                 ANSWER "; server_max_window_bits=10");
    expect_offer("permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
                 ANSWER);
}

Test(deflate_offer, each_parameter) {
    static const struct {
        const char *parameter, *more; // more: what the answer has besides; NULL: declined
    } rows[] = {
        {"server_no_context_takeover", ""},
        {"client_no_context_takeover", ""},
        {"server_no_context_takeover=1", NULL},
        {"client_no_context_takeover=true", NULL},
        {"server_no_context_takeover; client_no_context_takeover", ""},
        {"client_max_window_bits", ""},
        {"client_max_window_bits=8", ""},
        {"client_max_window_bits=15", ""},
        {"client_max_window_bits=\"15\"", ""},
        {"client_max_window_bits=7", NULL},
        {"client_max_window_bits=16", NULL},
        {"client_max_window_bits=08", NULL},
        {"client_max_window_bits=+10", NULL},
        {"client_max_window_bits=10.0", NULL},
        {"client_max_window_bits=0x0a", NULL},
        {"client_max_window_bits=abc", NULL},
        {"server_max_window_bits", NULL},
        {"server_max_window_bits=8", "; server_max_window_bits=8"},
        {"server_max_window_bits=9", "; server_max_window_bits=9"},
        {"server_max_window_bits=15", "; server_max_window_bits=15"},
        {"server_max_window_bits=\"12\"", "; server_max_window_bits=12"},
        {"server_max_window_bits=\"\\1\\2\"", "; server_max_window_bits=12"},
        {"server_max_window_bits=\"\\12\"", "; server_max_window_bits=12"},
        {"server_max_window_bits=0", NULL},
        {"server_max_window_bits=7", NULL},
        {"server_max_window_bits=16", NULL},
        {"server_max_window_bits=010", NULL},
        {"server_max_window_bits=100", NULL},
        {"server_max_window_bits=4294967306", NULL}, // 10 in 32 bits
        {"server_max_window_bits=-10", NULL},
        {"server_max_window_bits=1e1", NULL},
        {"server_max_window_bits=10; server_max_window_bits=10", NULL},
        {"client_max_window_bits; client_max_window_bits=10", NULL},
        {"server_no_context_takeover; server_no_context_takeover", NULL},
        {"client_no_context_takeover; client_no_context_takeover", NULL},
        {"max_window_bits=10", NULL},
        {"x_unknown", NULL},
        {"server_no_context_takeover; x=1", NULL},
        {"Server_No_Context_Takeover", NULL},
        {"client_max_window_bits ; server_max_window_bits = 11", "; server_max_window_bits=11"},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char offer[256];
        char answer[256];
        snprintf(offer, sizeof offer, "permessage-deflate; %s", rows[i].parameter);
        snprintf(answer, sizeof answer, ANSWER "%s", rows[i].more == NULL ? "" : rows[i].more);
        expect_offer(offer, rows[i].more == NULL ? NULL : answer);
    }
}

Test(deflate_offer, the_first_valid_offer_is_taken) {
    expect_offer("permessage-deflate; server_max_window_bits=99, permessage-deflate; "
                 "server_max_window_bits=9, permessage-deflate",
                 ANSWER "; server_max_window_bits=9");
    expect_offer("x-webkit-deflate-frame, mux; max=4, permessage-deflate", ANSWER);
    expect_offer("x-webkit-deflate-frame", NULL);
    expect_offer("permessage-deflate2", NULL);
    expect_offer("Permessage-Deflate", NULL);
    expect_offer("x; permessage-deflate", NULL);
    expect_answer("", NULL);
    expect_answer(OFFER "permessage-deflate; bad\r\nX: y\r\n" OFFER
                        "permessage-deflate; server_max_window_bits=10\r\n",
                  ANSWER "; server_max_window_bits=10");
    expect_answer(OFFER "permessage-deflate; a=\"1\"\r\n" OFFER "foo\r\n", NULL);
}

Test(deflate_offer, a_client_that_keeps_its_window_whatever_is_agreed_is_declined) {
    expect_answer(OFFER "permessage-deflate\r\nUser-Agent: Tornado/6.2\r\n", NULL);
    expect_answer("User-Agent: Tornado/\r\n" OFFER "permessage-deflate\r\n", NULL);
    expect_answer("User-Agent: Tornado\r\n" OFFER "permessage-deflate\r\n", ANSWER);
    expect_answer("User-Agent: x Tornado/6.2\r\n" OFFER "permessage-deflate\r\n", ANSWER);
    expect_answer("User-Agent:\r\n" OFFER "permessage-deflate\r\n", ANSWER);
}
