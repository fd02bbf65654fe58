// What the files of secure.h share.
#pragma once
#include "gateway/worker/secure.h"

struct secure *secure_at(const struct clients *clients, uint32_t index);
// The beginning of a record, or of a client's flight, that is kept until the rest comes.
struct span_mut secure_tail(const struct clients *clients, const struct secure *secure);
bool secure_tail_reserve(struct clients *clients, struct secure *secure, uint32_t bytes);
void secure_tail_drop(struct clients *clients, struct secure *secure);
// Sends `length` bytes of a block, which is taken over: nothing of the connection's.
void secure_send_own(struct clients *clients, uint32_t index, uint32_t block, uint32_t length);
// The last record out.
void secure_say(struct clients *clients, uint32_t index, enum tls_alert alert);
// Bytes behind the handshake.
void secure_on_opened(struct clients *clients, uint32_t index, struct span_mut received);

// secure_shake.c
void secure_shake_on_bytes(struct clients *clients, uint32_t index, struct span_mut received);
void secure_shake_on_sent(struct clients *clients, uint32_t index);
// Ends the handshake, if there is one.
void secure_shake_drop(struct clients *clients, uint32_t index);
