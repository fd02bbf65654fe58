// The client's end of TLS over memory, by the library, for net_tls.c: the gateway's own end is
// never asked how it would be done. TLS 1.3 and 1.2, sessions that are resumed, keys that change.
// Memory: from the C library, between the turns of the gateway's threads.
#pragma once
#include "core/base/check.h"

#include <stdbool.h>
#include <stdint.h>

// The random numbers of the library, on both ends, follow from this from now on. It takes some when
// it is first used in a process: say it before that, and again when the first client begins.
void tls_end_chance(uint64_t seed);

struct tls_ends; // what the clients of a world share: contexts, the newest session of each version
struct tls_ends *tls_ends_open(void);
void tls_ends_close(struct tls_ends **ends); // after the last end

struct tls_end;
struct tls_end_options {
    bool is_old;     // TLS 1.2, and nothing newer
    bool is_resumed; // begins with the newest session of that version, if there is one
    // Bytes that have come, at most `length`; 0: none now.
    uint32_t (*receive)(void *context, void *bytes, uint32_t length);
    // A record, or a flight of the handshake: all of it is taken.
    void (*send)(void *context, const void *bytes, uint32_t length);
    void *context;
};

enum tls_end_result {
    TLS_END_DONE,
    TLS_END_WAITS,   // for bytes
    TLS_END_ENDED,   // close_notify has come
    TLS_END_ALERTED, // an alert has come: tls_end_alert
    TLS_END_FAILED,  // what has come is wrong: tls_end_reason
};

struct tls_end *tls_end_open(struct tls_ends *ends, const struct tls_end_options *options);
void tls_end_close(struct tls_end **end); // says nothing
// A step of the handshake. Not to be called again after DONE.
enum tls_end_result tls_end_shake(struct tls_end *end);
bool tls_end_is_resumed(const struct tls_end *end);
// After the handshake. One record, of so many bytes as one holds at most.
void tls_end_send(struct tls_end *end, const void *bytes, uint32_t length);
// DONE: *count bytes, at most `length`, of one record.
enum tls_end_result tls_end_receive(struct tls_end *end, void *bytes, uint32_t length,
                                    uint32_t *count);
// Changes the keys, and asks the gateway to do the same (TLS 1.3).
void tls_end_update(struct tls_end *end);
void tls_end_say_end(struct tls_end *end); // close_notify
uint32_t tls_end_alert(const struct tls_end *end);
const char *tls_end_reason(const struct tls_end *end); // a constant of the library
