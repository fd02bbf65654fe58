// Offers are judged one by one, strictly: what is taken for valid here, and refused by the client,
// fails its connection.
#include "core/http/deflate_offer.h"

#include "core/base/check.h"
#include "core/http/upgrade.h"

#include "core/base/pure.h"

enum offer_parameter {
    SERVER_NO_CONTEXT_TAKEOVER = 1,
    CLIENT_NO_CONTEXT_TAKEOVER = 2,
    SERVER_MAX_WINDOW_BITS = 4,
    CLIENT_MAX_WINDOW_BITS = 8,
};

// Decimal without leading zeros, 8 to 15 (RFC 7692 7.1.2.1); 0 when it is not that. A quoted value
// says the same as a token (7.1), and what is escaped in it stands for itself.
static uint8_t window_bits(struct span value) {
    uint32_t number = 0;
    uint32_t digits = 0;
    for (uint32_t i = 0; i < value.length; i++) {
        if (value.data[i] == '\\' && i + 1 < value.length) {
            i++; // only a quoted string has it
        }
        uint32_t digit = (uint32_t)value.data[i] - '0';
        if (digit > 9 || digits == 2 || (digits == 0 && digit == 0)) {
            return 0;
        }
        number = 10 * number + digit;
        digits++;
    }
    bool is_valid = number >= HTTP_DEFLATE_BITS_MIN && number <= HTTP_DEFLATE_BITS_MAX;
    return is_valid ? (uint8_t)number : 0;
}

// Which parameter it is, or 0 when it is unknown or its value is not what belongs there.
static enum offer_parameter parameter_judge(const struct http_param *param, uint8_t *server_bits) {
    if (!param->is_valid) {
        return 0;
    }
    if (span_is(param->name, "server_no_context_takeover")) {
        return param->has_value ? 0 : SERVER_NO_CONTEXT_TAKEOVER;
    }
    if (span_is(param->name, "client_no_context_takeover")) {
        return param->has_value ? 0 : CLIENT_NO_CONTEXT_TAKEOVER;
    }
    if (span_is(param->name, "client_max_window_bits")) { // a hint; our inflater takes any window
        bool is_valid = !param->has_value || window_bits(param->value) != 0;
        return is_valid ? CLIENT_MAX_WINDOW_BITS : 0;
    }
    if (span_is(param->name, "server_max_window_bits") && param->has_value) {
        *server_bits = window_bits(param->value);
        return *server_bits != 0 ? SERVER_MAX_WINDOW_BITS : 0;
    }
    return 0;
}

static bool offer_judge(struct span params, struct http_deflate_terms *terms) {
    uint32_t seen = 0;
    uint8_t server_bits = HTTP_DEFLATE_BITS_MAX;
    struct http_param param;
    while (http_param_next(&params, &param)) {
        enum offer_parameter parameter = parameter_judge(&param, &server_bits);
        if (parameter == 0 || (seen & parameter) != 0) {
            return false;
        }
        seen |= parameter;
    }
    *terms = (struct http_deflate_terms){.server_window_bits = server_bits,
                                         .has_server_bits = (seen & SERVER_MAX_WINDOW_BITS) != 0,
                                         .may_take_over = (seen & SERVER_NO_CONTEXT_TAKEOVER) == 0};
    return true;
}

// Tornado's client drops parameters without a value from the answer (tornado/httputil.py,
// _parse_header, 6.2), and so goes on with its window after it was told not to: its second message
// would refer to its first. It says who it is, and gets and sends everything plain.
static bool keeps_its_window(const struct http_request *request) {
    const struct http_field *agent = http_field_find(request, "user-agent", NULL);
    struct span name = span_text("Tornado/");
    return agent != NULL && agent->value.length >= name.length &&
           span_equal(span_first(agent->value, name.length), name);
}

bool http_deflate_accept(const struct http_request *request, struct http_deflate_terms *terms) {
    if (keeps_its_window(request)) {
        return false;
    }
    struct http_list_cursor cursor = {0};
    struct span name;
    struct span params;
    while (http_extension_next(request, &cursor, &name, &params)) {
        if (span_is(name, "permessage-deflate") && offer_judge(params, terms)) {
            return true;
        }
    }
    return false;
}

static uint32_t text_append(uint8_t *target, uint32_t length, const char *text) {
    struct span piece = span_text(text);
    check(length + piece.length <= HTTP_DEFLATE_ANSWER_BYTES_MAX);
    memcpy(target + length, piece.data, piece.length);
    return length + piece.length;
}

uint32_t http_deflate_answer(struct http_deflate_terms terms,
                             uint8_t target[HTTP_DEFLATE_ANSWER_BYTES_MAX]) {
    check(terms.server_window_bits >= HTTP_DEFLATE_BITS_MIN);
    check(terms.server_window_bits <= HTTP_DEFLATE_BITS_MAX);
    check(terms.may_take_over || !terms.takes_over);
    uint32_t length = text_append(target, 0, "permessage-deflate");
    if (!terms.takes_over) {
        length = text_append(target, length, "; server_no_context_takeover");
    }
    length = text_append(target, length, "; client_no_context_takeover");
    if (terms.has_server_bits) {
        char digits[3] = {0};
        uint8_t bits = terms.server_window_bits;
        uint32_t tens = bits / 10;
        digits[0] = (char)('0' + (tens != 0 ? tens : bits));
        digits[1] = tens != 0 ? (char)('0' + bits % 10) : '\0';
        length = text_append(target, length, "; server_max_window_bits=");
        length = text_append(target, length, digits);
    }
    return length;
}
