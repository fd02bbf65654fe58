// What the files of this room share. Not for others.
#pragma once
#include "gateway/proxy/proxy.h"

// Text that is written into reserved bytes; what does not fit is noted and left out.
struct proxy_text {
    uint8_t *data;
    uint32_t length, room;
    bool is_over;
};
void text_put(struct proxy_text *text, struct span part);
void text_put_number(struct proxy_text *text, uint64_t number);
// name ": " value CR LF
void text_put_field(struct proxy_text *text, struct span name, struct span value);

// Fields that belong to one hop (RFC 9110 7.6.1), those that a Connection field of the same list
// names, and those that we write anew.
bool fields_is_hop(const struct http_field *fields, uint32_t field_count,
                   const struct http_field *field);

struct forward {
    const struct http_request *request;
    const struct address *peer;
    struct span authority; // of a server, for a request without Host
    struct prng *prng;
    bool is_trusted;
    bool is_tls; // the client speaks it
};
// The head that goes to the service: a payload, or 0 and *fault.
uint32_t forward_head(struct arena *arena, const struct forward *forward,
                      const struct fault **fault);

struct backward {
    const struct http_response *response;
    struct span date; // for an answer without one
    bool is_to_head;
    bool is_chunked; // its body goes on in chunks
    bool closes;     // the connection ends behind it
};
// The head that goes to the client: a payload, or 0: no memory.
uint32_t backward_head(struct arena *arena, const struct backward *backward);
