// What a client may believe of the bytes that the gateway sends it: HTTP/1.1 responses (RFC 9112),
// then frames (RFC 6455). Written from the RFCs alone, without a line of core/http or core/ws, so
// that a mistake of theirs is not shared. Bytes come in any pieces. The first illegality is kept in
// `violation` and nothing is decoded after it. One per connection; it owns a buffer of its own
// until decoder_fini.
#pragma once
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DECODER_HEAD_BYTES_MAX = 8192,
    DECODER_BODY_BYTES_MAX = 64 << 20,
    DECODER_REQUESTS_MAX = 8, // asked and unanswered
    DECODER_KEY_BYTES = 24,   // Sec-WebSocket-Key
    DECODER_ACCEPT_BYTES = 28,
};

enum decoder_phase {
    DECODER_HEAD,
    DECODER_BODY, // of a known length
    DECODER_CHUNK_LINE,
    DECODER_CHUNK_BODY,
    DECODER_CHUNK_END,
    DECODER_TRAILER,
    DECODER_FRAME_HEAD,
    DECODER_FRAME_BODY,
    DECODER_ENDED, // after a Close frame, or after a response that said `Connection: close`
};

// What a client has asked, so that the answer can be judged.
struct decoder_request {
    bool is_head;
    bool is_upgrade;
    bool expects_continue;
    bool takes_hints;         // heads of 1xx may come before the answer, from a service
    const char *subprotocols; // offered, separated by ", "; NULL: none. A constant
    bool offers_deflate;      // permessage-deflate, once, on these terms:
    bool resets_server;       // server_no_context_takeover
    bool offers_client_bits;  // client_max_window_bits
    uint8_t server_bits;      // server_max_window_bits; 0: not asked for
    uint8_t key[DECODER_KEY_BYTES];
};

enum decoder_event_kind {
    DECODER_NONE,
    DECODER_RESPONSE, // a whole one that does not upgrade; payload is its body
    DECODER_CONTINUE, // 100
    DECODER_UPGRADED, // 101
    DECODER_MESSAGE,
    DECODER_PING,
    DECODER_PONG,
    DECODER_CLOSE, // code 0: none was given
};

struct decoder_event {
    enum decoder_event_kind kind;
    uint16_t status;     // HTTP status, or the close code
    uint8_t opcode;      // of a message: 1 text, 2 binary
    bool is_last;        // RESPONSE: the server closes behind it
    struct span payload; // lent until the next call
};

struct decoder {
    const char *violation; // NULL: all was legal so far
    uint8_t *data;         // head, body or message in progress
    uint32_t data_bytes, data_room;
    uint64_t body_left;
    uint64_t tail_bytes;             // that may follow the last response
    struct decoder_inflate *inflate; // permessage-deflate was agreed
    uint64_t inflated_count;         // messages that came compressed
    struct decoder_request requests[DECODER_REQUESTS_MAX];
    uint32_t request_first, request_count;
    enum decoder_phase phase;
    uint16_t status;
    bool is_last;
    bool is_upgraded;
    bool was_continued;
    uint8_t message_opcode; // 0: no message in progress
    bool is_compressed;     // that message
    uint8_t frame[16];      // a frame's head, or a line's start
    uint8_t frame_bytes;
    uint8_t control[125];
    uint8_t control_bytes;
};

void decoder_init(struct decoder *decoder);
void decoder_fini(struct decoder *decoder);
// The client begins to send this request. False: too many are unanswered.
bool decoder_request(struct decoder *decoder, const struct decoder_request *request);
// Takes bytes up to one event. False: they are used up, or there is a violation.
bool decoder_next(struct decoder *decoder, struct span *bytes, struct decoder_event *event);
// Whether the end of the stream may stand here: nothing is half sent.
bool decoder_is_between(const struct decoder *decoder);

// --- the parts
// decoder_http.c: a whole head lies in data. Sets phase, status and what the body is.
void decoder_head(struct decoder *decoder, struct decoder_event *event);
// decoder_frame.c
bool decoder_frame_next(struct decoder *decoder, struct span *bytes, struct decoder_event *event);
bool decoder_text_is_legal(struct span text); // UTF-8, RFC 3629
// decoder_http.c: the Sec-WebSocket-Accept that belongs to a key (RFC 6455 4.2.2).
void decoder_accept(const uint8_t key[DECODER_KEY_BYTES], uint8_t accept[DECODER_ACCEPT_BYTES]);
// decoder_inflate.c: permessage-deflate. The answer of a 101 against its offer; false: a violation.
bool decoder_inflate_agree(struct decoder *decoder, const struct decoder_request *request,
                           struct span answer);
// Makes the payload of a compressed message what was compressed. False: a violation.
bool decoder_inflate_message(struct decoder *decoder, struct span *payload);
void decoder_inflate_fini(struct decoder *decoder);
// The window that this client may deflate with; 0: nothing was agreed.
uint32_t decoder_deflate_bits(const struct decoder *decoder);
// decoder.c
void decoder_append(struct decoder *decoder, struct span bytes);
bool decoder_fail(struct decoder *decoder, const char *violation); // returns false
