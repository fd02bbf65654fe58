// The way in: what a record may look like, what it may say. Every refusal names its fault and the
// alert of RFC 8446 section 6; of a record that does not authenticate nothing more is said, since
// the cause would help who guesses.
#include "core/base/check.h"
#include "gateway/tls/internal.h"

// A record with what stands around its text, judged and decrypted step by step.
struct opening {
    uint8_t *head;
    uint8_t *text;
    uint32_t text_bytes;
    uint32_t record_bytes; // head and all
    uint8_t type;          // enum tls_content, once it is known
    bool is_refused;
    enum fault_id fault;
    enum tls_alert alert;
};

static void refuse(struct opening *opening, enum fault_id fault, enum tls_alert alert) {
    opening->is_refused = true;
    opening->fault = fault;
    opening->alert = alert;
}

// Judges the head alone, so that nothing waits for a record that is refused anyway.
static void head_judge(const struct tls_record *record, struct opening *opening) {
    const uint8_t *head = opening->head;
    uint32_t length = (uint32_t)head[3] << 8 | head[4];
    uint32_t before = tls_record_before(record);
    uint32_t beside = before - TLS_RECORD_HEAD_BYTES + AEAD_TAG_BYTES;
    opening->type = head[0];
    opening->record_bytes = TLS_RECORD_HEAD_BYTES + length;
    bool is_13 = record->version == TLS_VERSION_13;
    // What an AEAD record of TLS 1.2 holds is known beforehand; TLS 1.3 may pad.
    uint32_t length_max = TLS_TEXT_BYTES_MAX + (is_13 ? 256 : beside);
    bool is_expected =
        head[0] == TLS_CONTENT_DATA ||
        (!is_13 && (head[0] == TLS_CONTENT_ALERT || head[0] == TLS_CONTENT_HANDSHAKE));
    if (!is_expected) {
        refuse(opening, FAULT_tls_record_unexpected, TLS_ALERT_UNEXPECTED_MESSAGE);
    } else if (!is_13 && (head[1] != 3 || head[2] != 3)) {
        // RFC 8446 5.1 has the version of TLS 1.3 ignored: altered, it fails authentication.
        refuse(opening, FAULT_tls_record_unexpected, TLS_ALERT_PROTOCOL_VERSION);
    } else if (length > length_max) {
        refuse(opening, FAULT_tls_record_length, TLS_ALERT_RECORD_OVERFLOW);
    } else if (length < beside) {
        refuse(opening, FAULT_tls_record_length, TLS_ALERT_DECODE_ERROR);
    } else {
        opening->text = opening->head + before;
        opening->text_bytes = length - beside;
    }
}

static void record_decrypt(struct tls_record *record, struct opening *opening) {
    struct tls_record_half *in = &record->in;
    if (in->sequence == UINT64_MAX) {
        refuse(opening, FAULT_tls_keys_used_up, TLS_ALERT_INTERNAL_ERROR);
        return;
    }
    uint8_t nonce[AEAD_NONCE_BYTES];
    if (tls_record_is_explicit(record)) {
        memcpy(nonce, in->iv, 4);
        memcpy(nonce + 4, opening->head + TLS_RECORD_HEAD_BYTES, 8);
    } else {
        tls_record_nonce(in, nonce);
    }
    uint8_t bytes[13];
    struct span associated = span_make(opening->head, TLS_RECORD_HEAD_BYTES);
    if (record->version == TLS_VERSION_12) {
        tls_record_associated(in->sequence, opening->head, opening->text_bytes, bytes);
        associated = span_make(bytes, sizeof(bytes));
    }
    struct span_mut text = {.data = opening->text, .length = opening->text_bytes};
    if (!aead_open(tls_record_key(record, in), nonce, associated, text,
                   opening->text + opening->text_bytes)) {
        refuse(opening, FAULT_tls_record_forged, TLS_ALERT_BAD_RECORD_MAC);
        return;
    }
    in->sequence++;
}

// TLS 1.3: behind the text stand its type and any number of zeros (RFC 8446 5.4).
static void padding_strip(struct opening *opening) {
    uint32_t length = opening->text_bytes;
    while (length > 0 && opening->text[length - 1] == 0) {
        length--;
    }
    if (length == 0) {
        refuse(opening, FAULT_tls_record_unexpected, TLS_ALERT_UNEXPECTED_MESSAGE);
        return;
    }
    opening->type = opening->text[length - 1];
    opening->text_bytes = length - 1;
    if (opening->text_bytes > TLS_TEXT_BYTES_MAX) {
        refuse(opening, FAULT_tls_record_length, TLS_ALERT_RECORD_OVERFLOW);
    }
}

// Records that bring the application nothing are legal, an endless row of them is an attack.
static enum tls_opened_kind nothing_count(struct tls_record *record, struct opening *opening) {
    record->in.empty_count++;
    if (record->in.empty_count > TLS_EMPTY_RECORDS_MAX) {
        refuse(opening, FAULT_tls_flood, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
    return TLS_OPENED_NOTHING;
}

static enum tls_opened_kind alert_take(struct tls_record *record, struct opening *opening) {
    if (opening->text_bytes != 2) {
        refuse(opening, FAULT_tls_message_malformed, TLS_ALERT_DECODE_ERROR);
        return TLS_OPENED_FAULT;
    }
    uint8_t level = opening->text[0];
    uint8_t alert = opening->text[1];
    if (alert == TLS_ALERT_CLOSE_NOTIFY) {
        record->in.state = TLS_RECORD_CLOSED;
        return TLS_OPENED_CLOSED;
    }
    // TLS 1.3 knows no warnings but this one; in TLS 1.2 the level says it.
    bool is_warning =
        alert == TLS_ALERT_USER_CANCELED || (record->version == TLS_VERSION_12 && level == 1);
    if (is_warning) {
        return nothing_count(record, opening);
    }
    refuse(opening, FAULT_tls_alert, TLS_ALERT_NONE);
    return TLS_OPENED_FAULT;
}

// TLS 1.3: a KeyUpdate alone in its record (RFC 8446 5.1: none may span a change of keys).
static enum tls_opened_kind update_take(struct tls_record *record, struct opening *opening) {
    static const uint8_t begin[4] = {TLS_HANDSHAKE_KEY_UPDATE, 0, 0, 1};
    const uint8_t *text = opening->text;
    if (opening->text_bytes == 0 || text[0] != TLS_HANDSHAKE_KEY_UPDATE) {
        refuse(opening, FAULT_tls_record_unexpected, TLS_ALERT_UNEXPECTED_MESSAGE);
    } else if (opening->text_bytes >= sizeof(begin) && memcmp(text, begin, sizeof(begin)) != 0) {
        refuse(opening, FAULT_tls_message_malformed, TLS_ALERT_DECODE_ERROR);
    } else if (opening->text_bytes != TLS_KEY_UPDATE_BYTES) {
        refuse(opening, FAULT_tls_record_unexpected, TLS_ALERT_UNEXPECTED_MESSAGE);
    } else if (text[4] > 1) {
        refuse(opening, FAULT_tls_message_malformed, TLS_ALERT_ILLEGAL_PARAMETER);
    } else if (record->in.update_count == TLS_UPDATES_MAX) {
        refuse(opening, FAULT_tls_flood, TLS_ALERT_UNEXPECTED_MESSAGE);
    } else {
        record->in.update_count++;
        // Several requests before our next record are answered by one KeyUpdate (RFC 8446 4.6.3).
        record->out.owes_update |= text[4];
        tls_record_rekey(record, &record->in);
    }
    return TLS_OPENED_NOTHING;
}

// TLS 1.2: whatever it is, there is no second handshake.
static void renegotiation_refuse(struct opening *opening) {
    bool is_hello = opening->text_bytes > 0 && opening->text[0] == TLS_HANDSHAKE_CLIENT_HELLO;
    refuse(opening, FAULT_tls_record_unexpected,
           is_hello ? TLS_ALERT_NO_RENEGOTIATION : TLS_ALERT_UNEXPECTED_MESSAGE);
}

static enum tls_opened_kind text_take(struct tls_record *record, struct opening *opening) {
    if (opening->type == TLS_CONTENT_DATA && opening->text_bytes > 0) {
        record->in.empty_count = 0;
        return TLS_OPENED_DATA;
    }
    if (opening->type == TLS_CONTENT_DATA) {
        return nothing_count(record, opening);
    }
    if (opening->type == TLS_CONTENT_ALERT) {
        return alert_take(record, opening);
    }
    if (opening->type == TLS_CONTENT_HANDSHAKE && record->version == TLS_VERSION_13) {
        return update_take(record, opening);
    }
    if (opening->type == TLS_CONTENT_HANDSHAKE) {
        renegotiation_refuse(opening);
    } else {
        refuse(opening, FAULT_tls_record_unexpected, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
    return TLS_OPENED_FAULT;
}

static void window_count(struct tls_record *record) {
    record->window_records++;
    if (record->window_records == TLS_UPDATE_WINDOW) {
        record->window_records = 0;
        record->in.update_count = 0;
    }
}

static struct tls_opened fault_of(struct tls_record *record, const struct opening *opening) {
    record->in.state = TLS_RECORD_FAILED;
    return (struct tls_opened){
        .kind = TLS_OPENED_FAULT, .fault = fault_get(opening->fault), .alert = opening->alert};
}

struct tls_opened tls_record_open(struct tls_record *record, struct span_mut received) {
    check(record->in.state != TLS_RECORD_FAILED);
    struct tls_opened opened = {.alert = TLS_ALERT_NONE, .wanted = TLS_RECORD_HEAD_BYTES};
    if (record->in.state == TLS_RECORD_CLOSED) {
        opened.kind = TLS_OPENED_CLOSED;
        opened.consumed = received.length;
        return opened;
    }
    if (received.length < TLS_RECORD_HEAD_BYTES) {
        opened.kind = TLS_OPENED_MORE;
        return opened;
    }
    struct opening opening = {.head = received.data};
    head_judge(record, &opening);
    if (opening.is_refused) {
        return fault_of(record, &opening);
    }
    opened.wanted = opening.record_bytes;
    if (received.length < opening.record_bytes) {
        opened.kind = TLS_OPENED_MORE;
        return opened;
    }
    record_decrypt(record, &opening);
    if (!opening.is_refused && record->version == TLS_VERSION_13) {
        padding_strip(&opening);
    }
    if (!opening.is_refused) {
        window_count(record);
        opened.kind = text_take(record, &opening);
    }
    if (opening.is_refused) {
        return fault_of(record, &opening);
    }
    opened.consumed = opening.record_bytes;
    if (opened.kind == TLS_OPENED_DATA) {
        opened.data = (struct span_mut){.data = opening.text, .length = opening.text_bytes};
    }
    return opened;
}
