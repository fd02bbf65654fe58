// One response head (RFC 9112, RFC 9110, RFC 6455 4.2.2) against the request that it answers.
#include "tests/sim/decoder.h"

#include "core/base/digest.h"

struct head { // what its fields say
    uint64_t content_length;
    uint32_t content_lengths;
    uint32_t accepts, upgrades, connections, subprotocols, extensions;
    bool is_chunked;
    bool closes;
    struct span accept, upgrade, connection, subprotocol, extension;
};

static bool is_token_byte(uint8_t byte) {
    bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    return is_letter || (byte >= '0' && byte <= '9') ||
           (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool number_read(struct span text, uint64_t *value) {
    *value = 0;
    if (text.length == 0 || text.length > 18) {
        return false;
    }
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *value = *value * 10 + (uint64_t)(text.data[i] - '0');
    }
    return true;
}

// Whether a comma-separated list holds that word.
static bool list_has(struct span list, const char *word) {
    uint32_t start = 0;
    for (uint32_t i = 0; i <= list.length; i++) {
        if (i < list.length && list.data[i] != ',') {
            continue;
        }
        uint32_t first = start;
        uint32_t end = i;
        while (first < end && list.data[first] == ' ') {
            first++;
        }
        while (end > first && list.data[end - 1] == ' ') {
            end--;
        }
        if (span_is_nocase(span_make(list.data + first, end - first), word)) {
            return true;
        }
        start = i + 1;
    }
    return false;
}

static bool field_keep(struct decoder *decoder, struct head *head, struct span name,
                       struct span value) {
    if (span_is_nocase(name, "content-length")) {
        head->content_lengths++;
        return number_read(value, &head->content_length) ||
               decoder_fail(decoder, "Content-Length that is no number");
    }
    if (span_is_nocase(name, "transfer-encoding")) {
        head->is_chunked = span_is_nocase(value, "chunked");
        return head->is_chunked || decoder_fail(decoder, "transfer coding other than chunked");
    }
    if (span_is_nocase(name, "connection")) {
        head->connections++;
        head->connection = value;
        head->closes = list_has(value, "close");
    } else if (span_is_nocase(name, "upgrade")) {
        head->upgrades++;
        head->upgrade = value;
    } else if (span_is_nocase(name, "sec-websocket-accept")) {
        head->accepts++;
        head->accept = value;
    } else if (span_is_nocase(name, "sec-websocket-protocol")) {
        head->subprotocols++;
        head->subprotocol = value;
    } else if (span_is_nocase(name, "sec-websocket-extensions")) {
        head->extensions++;
        head->extension = value;
    }
    return true;
}

static bool field_read(struct decoder *decoder, struct head *head, struct span line) {
    uint32_t colon = 0;
    while (colon < line.length && is_token_byte(line.data[colon])) {
        colon++;
    }
    if (colon == 0 || colon == line.length || line.data[colon] != ':') {
        return decoder_fail(decoder, "response field without a name");
    }
    uint32_t first = colon + 1;
    uint32_t end = line.length;
    while (first < end && (line.data[first] == ' ' || line.data[first] == '\t')) {
        first++;
    }
    while (end > first && (line.data[end - 1] == ' ' || line.data[end - 1] == '\t')) {
        end--;
    }
    for (uint32_t i = first; i < end; i++) {
        if (line.data[i] == 127 || (line.data[i] < ' ' && line.data[i] != '\t')) {
            return decoder_fail(decoder, "control byte in a response field");
        }
    }
    return field_keep(decoder, head, span_first(line, colon),
                      span_make(line.data + first, end - first));
}

static bool status_read(struct decoder *decoder, struct span line) {
    uint64_t status;
    bool is_legal = line.length >= 13 && memcmp(line.data, "HTTP/1.1 ", 9) == 0 &&
                    number_read(span_make(line.data + 9, 3), &status) && line.data[12] == ' ';
    if (!is_legal || status < 100 || status > 599) {
        return decoder_fail(decoder, "malformed status line");
    }
    decoder->status = (uint16_t)status;
    return true;
}

// Status line and fields. False: a violation.
static bool head_read(struct decoder *decoder, struct head *head) {
    struct span rest = span_make(decoder->data, decoder->data_bytes - 2);
    bool is_first = true;
    while (rest.length > 0) {
        int64_t end = span_find(rest, '\n');
        if (end < 1 || rest.data[end - 1] != '\r') {
            return decoder_fail(decoder, "LF without CR in a response head");
        }
        struct span line = span_first(rest, (uint32_t)end - 1);
        bool is_legal = is_first ? status_read(decoder, line) : field_read(decoder, head, line);
        if (!is_legal) {
            return false;
        }
        is_first = false;
        rest = span_from(rest, (uint32_t)end + 1);
    }
    return !is_first || decoder_fail(decoder, "malformed status line");
}

void decoder_accept(const uint8_t key[DECODER_KEY_BYTES], uint8_t accept[DECODER_ACCEPT_BYTES]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[DECODER_KEY_BYTES + sizeof guid - 1];
    memcpy(text, key, DECODER_KEY_BYTES);
    memcpy(text + DECODER_KEY_BYTES, guid, sizeof guid - 1);
    uint8_t digest[SHA1_BYTES];
    sha1_digest(span_make(text, sizeof text), digest);
    (void)base64_encode(span_make(digest, SHA1_BYTES), // its length is known
                        (struct span_mut){.data = accept, .length = DECODER_ACCEPT_BYTES});
}

static bool accept_is_right(const struct decoder_request *request, struct span accept) {
    uint8_t wanted[DECODER_ACCEPT_BYTES];
    decoder_accept(request->key, wanted);
    return span_equal(accept, span_make(wanted, sizeof wanted));
}

static bool subprotocol_was_offered(const struct decoder_request *request, struct span choice) {
    char text[64];
    if (request->subprotocols == NULL || choice.length == 0 || choice.length >= sizeof text) {
        return false;
    }
    memcpy(text, choice.data, choice.length);
    text[choice.length] = '\0';
    return list_has(span_text(request->subprotocols), text);
}

static bool upgrade_judge(struct decoder *decoder, const struct decoder_request *request,
                          const struct head *head) {
    if (!request->is_upgrade) {
        return decoder_fail(decoder, "101 for a request that asked for no upgrade");
    }
    if (head->upgrades != 1 || !span_is_nocase(head->upgrade, "websocket")) {
        return decoder_fail(decoder, "101 without Upgrade: websocket");
    }
    if (head->connections != 1 || !list_has(head->connection, "upgrade")) {
        return decoder_fail(decoder, "101 without Connection: Upgrade");
    }
    if (head->accepts != 1 || !accept_is_right(request, head->accept)) {
        return decoder_fail(decoder, "Sec-WebSocket-Accept missing or wrong");
    }
    if (head->content_lengths != 0 || head->is_chunked) {
        return decoder_fail(decoder, "101 with a body");
    }
    if (head->extensions > 1) {
        return decoder_fail(decoder, "more than one answer to an offer of extensions");
    }
    if (head->subprotocols > 1 ||
        (head->subprotocols == 1 && !subprotocol_was_offered(request, head->subprotocol))) {
        return decoder_fail(decoder, "subprotocol that was not offered");
    }
    return head->extensions == 0 || decoder_inflate_agree(decoder, request, head->extension);
}

// The request that is answered, or NULL: a refusal of what was no request.
static const struct decoder_request *request_take(struct decoder *decoder) {
    if (decoder->request_count == 0) {
        return NULL;
    }
    const struct decoder_request *request = &decoder->requests[decoder->request_first];
    decoder->request_first = (decoder->request_first + 1) % DECODER_REQUESTS_MAX;
    decoder->request_count--;
    return request;
}

static void interim_judge(struct decoder *decoder, struct decoder_event *event) {
    const struct decoder_request *request =
        decoder->request_count > 0 ? &decoder->requests[decoder->request_first] : NULL;
    bool was_asked = request != NULL && request->expects_continue;
    if (request != NULL && request->takes_hints && decoder->status != 100) {
        return;
    }
    if (decoder->status != 100 || !was_asked || decoder->was_continued) {
        decoder_fail(decoder, "interim response that was not asked for");
        return;
    }
    decoder->was_continued = true;
    event->kind = DECODER_CONTINUE;
    event->status = 100;
}

static void body_judge(struct decoder *decoder, const struct decoder_request *request,
                       const struct head *head) {
    bool has_none =
        (request != NULL && request->is_head) || decoder->status == 204 || decoder->status == 304;
    if (head->content_lengths > 1 || (head->content_lengths == 1 && head->is_chunked)) {
        decoder_fail(decoder, "more than one length of a body");
    } else if (decoder->status == 204 && (head->content_lengths != 0 || head->is_chunked)) {
        decoder_fail(decoder, "204 with a length");
    } else if (!has_none && head->content_lengths == 0 && !head->is_chunked) {
        decoder_fail(decoder, "response without a length");
    }
    decoder->body_left = has_none ? 0 : head->content_length;
    // Who refuses a head that is not complete or cannot be read does not know that it is a HEAD.
    bool is_refusal = decoder->status >= 400 && head->closes;
    decoder->tail_bytes = has_none && is_refusal ? head->content_length : 0;
    decoder->phase = head->is_chunked && !has_none ? DECODER_CHUNK_LINE : DECODER_BODY;
    decoder->frame_bytes = 0;
}

void decoder_head(struct decoder *decoder, struct decoder_event *event) {
    struct head head = {0};
    if (!head_read(decoder, &head)) {
        return;
    }
    if (decoder->status < 200 && decoder->status != 101) {
        interim_judge(decoder, event);
        return;
    }
    const struct decoder_request *request = request_take(decoder);
    if (decoder->status == 101) {
        if (request == NULL) {
            decoder_fail(decoder, "101 without a request");
        } else if (upgrade_judge(decoder, request, &head)) {
            *event = (struct decoder_event){.kind = DECODER_UPGRADED, .status = 101};
            decoder->is_upgraded = true;
            decoder->phase = DECODER_FRAME_HEAD;
            decoder->frame_bytes = 0;
        }
        return;
    }
    decoder->is_last = head.closes;
    if (request == NULL && (decoder->status < 400 || !head.closes)) {
        decoder_fail(decoder, "response without a request that does not end the connection");
        return;
    }
    if (decoder->status == 426 && head.upgrades == 0) {
        decoder_fail(decoder, "426 without Upgrade"); // RFC 9110 15.5.22
        return;
    }
    body_judge(decoder, request, &head);
}
