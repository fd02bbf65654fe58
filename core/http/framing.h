// What the fields that steer the connection and the body say together (RFC 9112 6, RFC 9110 7 and
// 10.1.1). Internal to core/http: http_request_parse notes every field and asks at the end.
#pragma once
#include "core/base/fault.h"
#include "core/http/request.h"

// What the fields seen so far say; zero it for a new head.
struct http_framing {
    struct span host;
    struct span content_length;
    uint32_t host_count;
    uint32_t content_length_count;
    uint32_t option_count; // of Connection
    uint8_t coding_state;  // enum in framing.c: what the transfer codings so far amount to
    bool has_chunked;
    bool has_other_expectation;
    bool has_expectation;
    bool lists_close;
    bool lists_keep_alive;
    bool lists_upgrade;
    bool has_upgrade_field;
};

// NULL, or a field that is wrong whatever else the head holds.
const struct fault *http_framing_note(struct http_framing *framing, const struct http_field *field);
// How the body ends (RFC 9112 6.3); all zero: no field says.
struct http_length {
    uint64_t content_length;
    bool has_content_length;
    bool is_chunked;
};
const struct fault *http_framing_length(const struct http_framing *framing, uint8_t version_minor,
                                        struct http_length *length);
// Fills host, the body framing, Expect and keep_alive of the request, whose version is known.
const struct fault *http_framing_finish(const struct http_framing *framing,
                                        struct http_request *request);
