// Keys and the way out: begin, sealing, KeyUpdate, alerts, end. Opening is in record_open.c.
#include "gateway/tls/record.h"

#include "core/base/check.h"
#include "core/crypto/secret.h"
#include "gateway/tls/internal.h"

#include <errno.h>

void tls_record_nonce(const struct tls_record_half *half, uint8_t nonce[AEAD_NONCE_BYTES]) {
    memcpy(nonce, half->iv, AEAD_NONCE_BYTES);
    for (uint32_t i = 0; i < 8; i++) {
        nonce[4 + i] ^= (uint8_t)(half->sequence >> (56 - 8 * i));
    }
}

void tls_record_associated(uint64_t sequence, const uint8_t *head, uint32_t text_bytes,
                           uint8_t associated[13]) {
    tls_store_64(associated, sequence);
    memcpy(associated + 8, head, 3); // type and version
    associated[11] = (uint8_t)(text_bytes >> 8);
    associated[12] = (uint8_t)text_bytes;
}

static void keys_derive(const struct tls_record *record, struct tls_record_half *half) {
    enum hash_kind hash = (enum hash_kind)record->hash;
    struct span secret = span_make(half->secret, hash_bytes(hash));
    struct span_mut key = {.data = half->key,
                           .length = aead_key_bytes((enum aead_kind)record->kind)};
    hkdf_expand_label(hash, secret, "key", span_empty(), key);
    struct span_mut iv = {.data = half->iv, .length = AEAD_NONCE_BYTES};
    hkdf_expand_label(hash, secret, "iv", span_empty(), iv);
}

void tls_record_rekey(const struct tls_record *record, struct tls_record_half *half) {
    check(record->version == TLS_VERSION_13);
    enum hash_kind hash = (enum hash_kind)record->hash;
    uint8_t next[HASH_BYTES_MAX];
    struct span_mut target = {.data = next, .length = hash_bytes(hash)};
    hkdf_expand_label(hash, span_make(half->secret, hash_bytes(hash)), "traffic upd", span_empty(),
                      target);
    memcpy(half->secret, next, hash_bytes(hash));
    secret_wipe(next, sizeof(next));
    keys_derive(record, half);
    half->sequence = 0;
}

static void half_init(const struct tls_record *record, struct tls_record_half *half,
                      const struct tls_record_half *from) {
    *half = (struct tls_record_half){.sequence = from->sequence};
    if (record->version == TLS_VERSION_13) {
        memcpy(half->secret, from->secret, hash_bytes((enum hash_kind)record->hash));
        keys_derive(record, half);
    } else {
        memcpy(half->key, from->key, aead_key_bytes((enum aead_kind)record->kind));
        memcpy(half->iv, from->iv, AEAD_NONCE_BYTES);
    }
}

void tls_record_init(struct tls_record *record, const struct tls_record_options *options) {
    check(options->kind < AEAD_COUNT);
    check(options->hash < HASH_COUNT);
    check(options->version == TLS_VERSION_12 || options->version == TLS_VERSION_13);
    check(options->text_bytes_max >= TLS_TEXT_BYTES_MIN);
    check(options->text_bytes_max <= TLS_TEXT_BYTES_MAX);
    *record = (struct tls_record){
        .explicit_next = options->explicit_next,
        .text_bytes_max = (uint16_t)options->text_bytes_max,
        .version = (uint8_t)options->version,
        .kind = (uint8_t)options->kind,
        .hash = (uint8_t)options->hash,
    };
    half_init(record, &record->in, options->in);
    half_init(record, &record->out, options->out);
}

void tls_record_fini(struct tls_record *record) {
    secret_wipe(record, sizeof(*record));
}

// Where a record is being written. The text lies at `text` already.
struct sealing {
    uint8_t *at;
    uint32_t text_bytes;
    enum tls_content type;
};

// TLS 1.3: the type goes behind the text, and both are encrypted.
static uint32_t seal_13(struct tls_record *record, const struct sealing *sealing) {
    uint8_t *head = sealing->at;
    uint32_t inner = sealing->text_bytes + 1;
    uint32_t body = inner + AEAD_TAG_BYTES;
    uint8_t *text = head + TLS_RECORD_HEAD_BYTES;
    memcpy(head, (const uint8_t[]){TLS_CONTENT_DATA, 3, 3}, 3);
    head[3] = (uint8_t)(body >> 8);
    head[4] = (uint8_t)body;
    text[sealing->text_bytes] = (uint8_t)sealing->type;
    uint8_t nonce[AEAD_NONCE_BYTES];
    tls_record_nonce(&record->out, nonce);
    aead_seal(tls_record_key(record, &record->out), nonce, span_make(head, TLS_RECORD_HEAD_BYTES),
              (struct span_mut){.data = text, .length = inner}, text + inner);
    return TLS_RECORD_HEAD_BYTES + body;
}

static uint32_t seal_12(struct tls_record *record, const struct sealing *sealing) {
    uint8_t *head = sealing->at;
    uint32_t before = tls_record_before(record);
    uint32_t body = before - TLS_RECORD_HEAD_BYTES + sealing->text_bytes + AEAD_TAG_BYTES;
    uint8_t *text = head + before;
    memcpy(head, (const uint8_t[]){(uint8_t)sealing->type, 3, 3}, 3);
    head[3] = (uint8_t)(body >> 8);
    head[4] = (uint8_t)body;
    uint8_t nonce[AEAD_NONCE_BYTES];
    if (tls_record_is_explicit(record)) {
        tls_store_64(head + TLS_RECORD_HEAD_BYTES, record->explicit_next);
        memcpy(nonce, record->out.iv, 4);
        memcpy(nonce + 4, head + TLS_RECORD_HEAD_BYTES, 8);
        record->explicit_next++;
    } else {
        tls_record_nonce(&record->out, nonce);
    }
    uint8_t associated[13];
    tls_record_associated(record->out.sequence, head, sealing->text_bytes, associated);
    aead_seal(tls_record_key(record, &record->out), nonce, span_make(associated, 13),
              (struct span_mut){.data = text, .length = sealing->text_bytes},
              text + sealing->text_bytes);
    return TLS_RECORD_HEAD_BYTES + body;
}

// Every record out passes here once: its sequence number is used up, whatever becomes of it.
static uint32_t record_seal(struct tls_record *record, const struct sealing *sealing) {
    uint32_t written =
        record->version == TLS_VERSION_13 ? seal_13(record, sealing) : seal_12(record, sealing);
    record->out.sequence++;
    check(record->out.sequence != 0);
    return written;
}

static uint32_t control_seal(struct tls_record *record, enum tls_content type, struct span text,
                             uint8_t *at) {
    memcpy(at + tls_record_before(record), text.data, text.length);
    return record_seal(record,
                       &(struct sealing){.at = at, .text_bytes = text.length, .type = type});
}

// KeyUpdate(update_not_requested), and the keys behind it.
static uint32_t update_seal(struct tls_record *record, uint8_t *at) {
    static const uint8_t message[TLS_KEY_UPDATE_BYTES] = {TLS_HANDSHAKE_KEY_UPDATE, 0, 0, 1, 0};
    uint32_t written =
        control_seal(record, TLS_CONTENT_HANDSHAKE, span_make(message, sizeof(message)), at);
    tls_record_rekey(record, &record->out);
    record->out.owes_update = 0;
    return written;
}

static bool is_worn(const struct tls_record *record) {
    return record->version == TLS_VERSION_13 && record->out.sequence >= TLS_KEY_RECORDS_MAX;
}

uint64_t tls_gather_bytes(const struct span *pieces, uint32_t piece_count) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < piece_count; i++) {
        bytes += pieces[i].length;
    }
    return bytes;
}

static uint64_t records_of(const struct tls_record *record, uint64_t text_bytes) {
    return (text_bytes + record->text_bytes_max - 1) / record->text_bytes_max;
}

uint64_t tls_record_sealed_bytes(const struct tls_record *record, uint64_t text_bytes) {
    uint64_t records = records_of(record, text_bytes);
    // One KeyUpdate before the first record, and as many as there are keys used up on the way.
    uint64_t updates = record->version == TLS_VERSION_13 ? 2 + records / TLS_KEY_RECORDS_MAX : 0;
    return text_bytes + records * TLS_RECORD_OVERHEAD_MAX + updates * TLS_RECORD_CONTROL_BYTES_MAX;
}

void tls_gather_next(struct tls_gather *gather, uint8_t *target, uint32_t length) {
    for (uint32_t done = 0; done < length;) {
        struct span rest = span_from(gather->pieces[gather->piece], gather->at);
        uint32_t part = rest.length < length - done ? rest.length : length - done;
        if (part > 0) {
            memcpy(target + done, rest.data, part);
        }
        done += part;
        gather->at += part;
        if (part == rest.length) {
            gather->piece++;
            gather->at = 0;
        }
    }
}

int64_t tls_record_seal(struct tls_record *record, const struct span *pieces, uint32_t piece_count,
                        struct span_mut target) {
    uint64_t left = tls_gather_bytes(pieces, piece_count);
    check(target.length >= tls_record_sealed_bytes(record, left));
    if (record->out.state != TLS_RECORD_OPEN) {
        return -EPIPE;
    }
    if (record->version == TLS_VERSION_12 &&
        record->out.sequence + records_of(record, left) > TLS_OLD_RECORDS_MAX) {
        return -EKEYEXPIRED;
    }
    uint8_t *at = target.data;
    if (record->out.owes_update) {
        at += update_seal(record, at);
    }
    struct tls_gather gather = {.pieces = pieces};
    while (left > 0) {
        if (is_worn(record)) {
            at += update_seal(record, at);
        }
        uint32_t part = left < record->text_bytes_max ? (uint32_t)left : record->text_bytes_max;
        tls_gather_next(&gather, at + tls_record_before(record), part);
        at += record_seal(
            record, &(struct sealing){.at = at, .text_bytes = part, .type = TLS_CONTENT_DATA});
        left -= part;
    }
    check(at <= target.data + target.length);
    return at - target.data;
}

bool tls_record_owes(const struct tls_record *record) {
    return record->out.owes_update && record->out.state == TLS_RECORD_OPEN;
}

// These end nothing by themselves, whoever sends them (RFC 8446 6.1, RFC 5246 7.2.2).
static bool is_warning(enum tls_alert alert) {
    return alert == TLS_ALERT_CLOSE_NOTIFY || alert == TLS_ALERT_USER_CANCELED ||
           alert == TLS_ALERT_NO_RENEGOTIATION;
}

uint32_t tls_record_alert(struct tls_record *record, enum tls_alert alert, struct span_mut target) {
    check(target.length >= TLS_RECORD_CONTROL_BYTES_MAX);
    check(alert < TLS_ALERT_NONE);
    if (record->out.state != TLS_RECORD_OPEN) {
        return 0;
    }
    record->out.state = TLS_RECORD_CLOSED;
    record->out.owes_update = 0;
    uint8_t text[2] = {is_warning(alert) ? 1 : 2, (uint8_t)alert};
    return control_seal(record, TLS_CONTENT_ALERT, span_make(text, 2), target.data);
}
