// Body framing is where requests are smuggled: two readers of one head that disagree on where its
// body ends. So everything but one digits-only Content-Length, or one Transfer-Encoding that is
// exactly `chunked`, is refused.
#include "core/http/framing.h"
#include "core/http/chars.h"
#include "core/http/host.h"

#include "core/base/limits.h"

#include "core/base/pure.h"

// 19 digits always fit into 64 bits.
enum { CONTENT_LENGTH_DIGITS_MAX = 19 };

// What the transfer codings read so far amount to; a later state is never left for an earlier one.
enum coding_state {
    CODING_NONE,
    CODING_CHUNKED,   // exactly one `chunked`, and nothing else
    CODING_UNKNOWN,   // another coding, perhaps followed by `chunked`: well-formed, not implemented
    CODING_MALFORMED, // doubled, not last, empty element, parameter, not a token
};

// Splits by hand and not by http_list_next: an empty element is a fault here.
static void framing_note_codings(struct http_framing *framing, struct span value) {
    bool has_more = true;
    while (has_more) {
        int64_t comma = span_find(value, ',');
        has_more = comma >= 0;
        struct span coding = http_trim(has_more ? span_first(value, (uint32_t)comma) : value);
        value = has_more ? span_from(value, (uint32_t)comma + 1) : span_empty();
        // `chunked` must be the last coding and has no parameters (RFC 9112 7.1).
        bool is_chunked = span_is_nocase(coding, "chunked");
        if (!http_is_token(coding) || framing->has_chunked) {
            framing->coding_state = CODING_MALFORMED;
        } else if (framing->coding_state != CODING_MALFORMED) {
            bool is_first = framing->coding_state == CODING_NONE;
            framing->coding_state = is_chunked && is_first ? CODING_CHUNKED : CODING_UNKNOWN;
        }
        framing->has_chunked |= is_chunked;
    }
}

// A list of tokens; another element could be read in two ways by what stands behind us.
static const struct fault *framing_note_connection(struct http_framing *framing,
                                                   struct span value) {
    struct span option;
    while (http_list_next(&value, &option)) {
        if (!http_is_token(option)) {
            return fault_get(FAULT_field_malformed);
        }
        framing->option_count++;
        if (framing->option_count > CONNECTION_OPTIONS_MAX) {
            return fault_get(FAULT_header_too_many);
        }
        framing->lists_close |= span_is_nocase(option, "close");
        framing->lists_keep_alive |= span_is_nocase(option, "keep-alive");
        framing->lists_upgrade |= span_is_nocase(option, "upgrade");
    }
    return NULL;
}

const struct fault *http_framing_note(struct http_framing *framing,
                                      const struct http_field *field) {
    struct span name = field->name;
    switch (name.length) { // the length rules most fields out
    case 4:
        if (span_is_nocase(name, "host")) {
            framing->host = field->value;
            framing->host_count++;
        }
        return NULL;
    case 6:
        if (span_is_nocase(name, "expect")) {
            bool is_continue = span_is_nocase(field->value, "100-continue");
            framing->has_expectation |= is_continue;
            framing->has_other_expectation |= !is_continue;
        }
        return NULL;
    case 7:
        framing->has_upgrade_field |= span_is_nocase(name, "upgrade");
        return NULL;
    case 10:
        return span_is_nocase(name, "connection") ? framing_note_connection(framing, field->value)
                                                  : NULL;
    case 14:
        if (span_is_nocase(name, "content-length")) {
            framing->content_length = field->value;
            framing->content_length_count++;
        }
        return NULL;
    case 17:
        if (span_is_nocase(name, "transfer-encoding")) {
            framing_note_codings(framing, field->value);
        }
        return NULL;
    default:
        return NULL;
    }
}

static const struct fault *framing_host(const struct http_framing *framing,
                                        struct http_request *request) {
    if (framing->host_count > 1) {
        return fault_get(FAULT_host_doubled);
    }
    if (framing->host_count == 0) { // HTTP/1.0 may do without (RFC 9112 3.2)
        return request->version_minor == 0 ? NULL : fault_get(FAULT_host_missing);
    }
    if (!http_host_is_valid(framing->host)) {
        return fault_get(FAULT_host_malformed);
    }
    // The authority of an absolute-form target wins over Host (RFC 9112 3.2.2).
    if (request->host.length == 0) {
        request->host = framing->host;
    }
    return NULL;
}

static const struct fault *framing_content_length(const struct http_framing *framing,
                                                  struct http_length *length) {
    struct span text = framing->content_length;
    // Equal duplicates too: RFC 9112 6.3 lets a server refuse them.
    if (framing->content_length_count > 1 || span_find(text, ',') >= 0) {
        return fault_get(FAULT_content_length_doubled);
    }
    if (text.length == 0 || text.length > CONTENT_LENGTH_DIGITS_MAX ||
        http_class_length(text, HTTP_CHAR_DIGIT) != text.length) {
        return fault_get(FAULT_content_length_malformed);
    }
    for (uint32_t i = 0; i < text.length; i++) {
        length->content_length = length->content_length * 10 + (uint64_t)(text.data[i] - '0');
    }
    length->has_content_length = true;
    return NULL;
}

const struct fault *http_framing_length(const struct http_framing *framing, uint8_t version_minor,
                                        struct http_length *length) {
    *length = (struct http_length){.content_length = 0};
    if (framing->coding_state == CODING_NONE) {
        return framing->content_length_count == 0 ? NULL : framing_content_length(framing, length);
    }
    if (framing->content_length_count > 0) {
        return fault_get(FAULT_length_and_encoding);
    }
    if (framing->coding_state == CODING_MALFORMED || version_minor == 0) {
        return fault_get(FAULT_transfer_encoding_malformed);
    }
    if (framing->coding_state == CODING_UNKNOWN) {
        return fault_get(FAULT_transfer_encoding_unknown);
    }
    length->is_chunked = true;
    return NULL;
}

const struct fault *http_framing_finish(const struct http_framing *framing,
                                        struct http_request *request) {
    struct http_length length = {.content_length = 0};
    const struct fault *fault = framing_host(framing, request);
    if (fault == NULL) {
        fault = http_framing_length(framing, request->version_minor, &length);
    }
    if (fault == NULL && framing->has_other_expectation) {
        fault = fault_get(FAULT_expectation_unknown);
    }
    if (fault != NULL) {
        return fault;
    }
    request->content_length = length.content_length;
    request->has_content_length = length.has_content_length;
    request->is_chunked = length.is_chunked;
    // Owed only to 1.1 and only where a body will follow (RFC 9110 10.1.1).
    bool has_body = request->is_chunked || request->content_length > 0;
    bool is_current = request->version_minor == 1;
    request->expects_continue = framing->has_expectation && has_body && is_current;
    request->keep_alive = !framing->lists_close && (is_current || framing->lists_keep_alive);
    request->has_upgrade = framing->lists_upgrade && framing->has_upgrade_field;
    return NULL;
}
