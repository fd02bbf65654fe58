// Body framing as a pure machine. A byte that does not fit is not consumed and moves nothing, so a
// fault that was found is found again.
//
//   LENGTH ---------------------------------------------------------------------> DONE
//   UNTIL_END ------------------------(http_body_end)----------------------------> DONE
//   SIZE_FIRST -> SIZE -> (extension states ->) SIZE_LF -> DATA -> DATA_CR -> DATA_LF
//       ^                                              |                             |
//       '----------------------------------------------+-----------------------------'
//                                              (size 0)|
//                                                      v
//                            END_LF -> DONE  <- TRAILER_FIRST -> TRAILER_NAME -> TRAILER_VALUE
//                                                      ^                             |
//                                                      '------- TRAILER_LF <---------'
#include "core/http/body.h"
#include "core/base/check.h"
#include "core/http/chars.h"
#include "core/http/response.h"

#include "core/base/pure.h"

enum body_state {
    BODY_DONE,
    BODY_LENGTH,
    BODY_UNTIL_END,  // of a response: as long as the connection lasts
    BODY_SIZE_FIRST, // the first digit of a chunk size
    BODY_SIZE,
    BODY_SPACE,      // white space in a chunk line: only an extension may follow (RFC 9112 7.1.1)
    BODY_NAME_FIRST, // of an extension, behind its ';' and white space
    BODY_NAME,
    BODY_NAME_SPACE,  // white space behind the name: '=' or ';' must follow
    BODY_VALUE_FIRST, // behind '=' and white space
    BODY_VALUE,
    BODY_QUOTED,
    BODY_ESCAPE, // behind a backslash in a quoted value
    BODY_QUOTED_END,
    BODY_SIZE_LF,
    BODY_DATA,
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILER_FIRST,
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_LF,
    BODY_END_LF,
};

void http_body_init(struct http_body *body, const struct http_request *request) {
    check(!(request->is_chunked && request->has_content_length));
    *body = (struct http_body){.remaining = request->content_length, .state = BODY_DONE};
    if (request->is_chunked) {
        body->state = BODY_SIZE_FIRST;
    } else if (request->content_length > 0) {
        body->state = BODY_LENGTH;
    }
}

void http_body_init_response(struct http_body *body, const struct http_response *response,
                             bool is_to_head) {
    *body = (struct http_body){.state = BODY_DONE};
    if (!http_response_has_body(response, is_to_head)) {
        return;
    }
    check(!(response->is_chunked && response->has_content_length));
    body->remaining = response->content_length;
    if (response->is_chunked) {
        body->state = BODY_SIZE_FIRST;
    } else if (!response->has_content_length) {
        body->state = BODY_UNTIL_END;
    } else if (response->content_length > 0) {
        body->state = BODY_LENGTH;
    }
}

bool http_body_end(struct http_body *body) {
    if (body->state == BODY_UNTIL_END) {
        body->state = BODY_DONE;
    }
    return body->state == BODY_DONE;
}

bool http_body_is_done(const struct http_body *body) {
    return body->state == BODY_DONE;
}

static bool body_is_too_large(const struct http_body *body, uint64_t body_bytes_max) {
    return body->total > body_bytes_max || body->remaining > body_bytes_max - body->total;
}

// The piece of the present length or chunk that the input holds; it is not empty.
static struct span body_take_piece(struct http_body *body, struct span *input) {
    check(input->length > 0);
    if (body->state == BODY_UNTIL_END) {
        struct span all = *input;
        *input = span_from(*input, input->length);
        body->total += all.length;
        return all;
    }
    check(body->remaining > 0);
    uint32_t length = body->remaining < input->length ? (uint32_t)body->remaining : input->length;
    struct span piece = span_first(*input, length);
    *input = span_from(*input, length);
    body->remaining -= length;
    body->total += length;
    if (body->remaining == 0) {
        body->state = body->state == BODY_LENGTH ? BODY_DONE : BODY_DATA_CR;
    }
    return piece;
}

static uint64_t body_hex_value(uint8_t byte) {
    return byte <= '9' ? (uint64_t)(byte - '0') : (uint64_t)((byte | 0x20) - 'a' + 10);
}

// A size of one more digit, or false when it does not fit into 64 bits.
static bool body_add_digit(struct http_body *body, uint8_t byte) {
    if (!http_char_is(byte, HTTP_CHAR_HEX) || body->remaining > UINT64_MAX >> 4) {
        return false;
    }
    body->remaining = body->remaining << 4 | body_hex_value(byte);
    body->state = BODY_SIZE;
    return true;
}

static bool body_is_text(uint8_t byte) {
    return (byte >= 0x20 || byte == '\t') && byte != 0x7f;
}

// Moves only if the byte is the expected one.
static bool body_expect(struct http_body *body, uint8_t byte, uint8_t expected,
                        enum body_state next) {
    body->state = byte == expected ? (uint8_t)next : body->state;
    return byte == expected;
}

static bool body_is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t';
}

// Moves only if the byte is of the class.
static bool body_expect_token(struct http_body *body, uint8_t byte, enum body_state next) {
    bool is_token = http_char_is(byte, HTTP_CHAR_TOKEN);
    body->state = is_token ? (uint8_t)next : body->state;
    return is_token;
}

static bool body_expect_space(struct http_body *body, uint8_t byte, enum body_state next) {
    body->state = body_is_space(byte) ? (uint8_t)next : body->state;
    return body_is_space(byte);
}

// Another extension or the end of the line.
static bool body_expect_part(struct http_body *body, uint8_t byte) {
    return body_expect(body, byte, ';', BODY_NAME_FIRST) ||
           body_expect(body, byte, '\r', BODY_SIZE_LF);
}

// Behind the size: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112
// 7.1.1). Nothing here means anything to us, yet readers that disagree on where it ends disagree on
// where the data begins.
static bool body_step_extension(struct http_body *body, uint8_t byte) {
    switch ((enum body_state)body->state) {
    case BODY_SPACE:
        return body_is_space(byte) || body_expect(body, byte, ';', BODY_NAME_FIRST);
    case BODY_NAME_FIRST:
        return body_is_space(byte) || body_expect_token(body, byte, BODY_NAME);
    case BODY_NAME:
        return body_expect_token(body, byte, BODY_NAME) ||
               body_expect(body, byte, '=', BODY_VALUE_FIRST) ||
               body_expect_space(body, byte, BODY_NAME_SPACE) || body_expect_part(body, byte);
    case BODY_NAME_SPACE:
        return body_is_space(byte) || body_expect(body, byte, '=', BODY_VALUE_FIRST) ||
               body_expect(body, byte, ';', BODY_NAME_FIRST);
    case BODY_VALUE_FIRST:
        return body_is_space(byte) || body_expect(body, byte, '"', BODY_QUOTED) ||
               body_expect_token(body, byte, BODY_VALUE);
    case BODY_VALUE:
        return body_expect_token(body, byte, BODY_VALUE) ||
               body_expect_space(body, byte, BODY_SPACE) || body_expect_part(body, byte);
    case BODY_QUOTED:
        return body_expect(body, byte, '"', BODY_QUOTED_END) ||
               body_expect(body, byte, '\\', BODY_ESCAPE) || body_is_text(byte);
    case BODY_ESCAPE:
        body->state = body_is_text(byte) ? BODY_QUOTED : BODY_ESCAPE;
        return body_is_text(byte);
    case BODY_QUOTED_END:
        return body_expect_space(body, byte, BODY_SPACE) || body_expect_part(body, byte);
    default:
        check(false); // the caller asks for the states above only
        return false;
    }
}

// The size, the end of its line, and the CR LF behind the data.
static bool body_step_chunk(struct http_body *body, uint8_t byte) {
    switch ((enum body_state)body->state) {
    case BODY_SIZE_FIRST:
        return body_add_digit(body, byte);
    case BODY_SIZE:
        return body_expect_space(body, byte, BODY_SPACE) || body_expect_part(body, byte) ||
               body_add_digit(body, byte);
    case BODY_SIZE_LF:
        return body_expect(body, byte, '\n', body->remaining == 0 ? BODY_TRAILER_FIRST : BODY_DATA);
    case BODY_DATA_CR:
        return body_expect(body, byte, '\r', BODY_DATA_LF);
    case BODY_DATA_LF:
        return body_expect(body, byte, '\n', BODY_SIZE_FIRST);
    default:
        return body_step_extension(body, byte);
    }
}

// Trailer fields and the empty line that ends the body.
static bool body_step_trailer(struct http_body *body, uint8_t byte) {
    switch ((enum body_state)body->state) {
    case BODY_TRAILER_FIRST:
        if (http_char_is(byte, HTTP_CHAR_TOKEN)) {
            body->state = BODY_TRAILER_NAME;
            return true;
        }
        return body_expect(body, byte, '\r', BODY_END_LF);
    case BODY_TRAILER_NAME:
        return http_char_is(byte, HTTP_CHAR_TOKEN) ||
               body_expect(body, byte, ':', BODY_TRAILER_VALUE);
    case BODY_TRAILER_VALUE:
        return body_is_text(byte) || body_expect(body, byte, '\r', BODY_TRAILER_LF);
    case BODY_TRAILER_LF:
        return body_expect(body, byte, '\n', BODY_TRAILER_FIRST);
    case BODY_END_LF:
        return body_expect(body, byte, '\n', BODY_DONE);
    default:
        check(false); // as above
        return false;
    }
}

// One byte that is not body data. A new line, and the first trailer, count from zero.
static bool body_step(struct http_body *body, uint8_t byte) {
    bool is_trailer = body->state >= BODY_TRAILER_FIRST;
    uint32_t line_bytes_max = is_trailer ? TRAILER_BYTES_MAX : CHUNK_LINE_BYTES_MAX;
    if (body->line_bytes >= line_bytes_max) {
        return false;
    }
    bool is_fine = is_trailer ? body_step_trailer(body, byte) : body_step_chunk(body, byte);
    if (!is_fine) {
        return false;
    }
    bool starts_trailers = !is_trailer && body->state == BODY_TRAILER_FIRST;
    bool starts_line = body->state == BODY_SIZE_FIRST || body->state == BODY_DATA;
    body->line_bytes = starts_trailers || starts_line ? 0 : body->line_bytes + 1;
    return true;
}

enum http_body_result http_body_feed(struct http_body *body, struct span *input,
                                     uint64_t body_bytes_max, struct span *piece,
                                     const struct fault **fault) {
    for (;;) { // every turn consumes a byte, or returns
        if (body->state == BODY_DONE) {
            return HTTP_BODY_DONE;
        }
        bool is_data =
            body->state == BODY_LENGTH || body->state == BODY_UNTIL_END || body->state == BODY_DATA;
        if (is_data && body_is_too_large(body, body_bytes_max)) {
            *fault = fault_get(FAULT_body_too_large);
            return HTTP_BODY_FAULT;
        }
        if (input->length == 0) {
            return HTTP_BODY_NEED_MORE;
        }
        if (is_data) {
            *piece = body_take_piece(body, input);
            return HTTP_BODY_PIECE;
        }
        if (!body_step(body, input->data[0])) {
            *fault = fault_get(FAULT_chunk_malformed);
            return HTTP_BODY_FAULT;
        }
        *input = span_from(*input, 1);
    }
}

uint32_t http_chunk_head_write(uint8_t target[HTTP_CHUNK_HEAD_BYTES_MAX], uint32_t data_bytes) {
    check(data_bytes > 0); // a size of zero would end the body
    uint32_t digits = (35 - (uint32_t)__builtin_clz(data_bytes)) / 4;
    for (uint32_t i = 0; i < digits; i++) {
        target[i] = (uint8_t) "0123456789abcdef"[data_bytes >> (4 * (digits - 1 - i)) & 15];
    }
    target[digits] = '\r';
    target[digits + 1] = '\n';
    return digits + 2;
}
