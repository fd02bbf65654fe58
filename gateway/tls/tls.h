// TLS for who stands above: what to include and in which order to call. The three parts know
// nothing of sockets, of each other's memory, or of connections.
//
// Once per process: tls_library_open; a tls_context per certificate (frozen, shared by all workers,
// closed when its last handshake has ended); a random seed for tickets, wiped after every worker
// has taken it by tls_tickets_init. Per worker: tls_tickets_advance(now) before handshakes are fed.
// Per connection:
//   1. tls_is_http(first bytes): a plain request on a TLS port; answer 400 in the clear and close.
//   2. tls_handshake_open, then tls_handshake_feed with what was received and with room to write.
//      MORE: send what was written, receive. FULL: send, then feed again. FAULT: send, close.
//      DONE: send what was written; tls_session_begin makes the connection's tls_session of it,
//      then tls_handshake_close frees the library's object (54 to 66 KB with Debian's wolfSSL, 0
//      after), unless the context's layer is the library's own.
//   3. tls_session_open for each record received, beginning with what feed did not consume: DATA
//      goes to the connection as received bytes do. MORE: keep the tail, `wanted` bytes make it
//      whole. tls_session_seal for what is sent, with tls_session_sealed_bytes of room. What was
//      sealed is sent whole and in order, or the connection ends. tls_session_owes after opening:
//      something is to be sealed even if there is no data. FAULT: tls_session_alert with its alert,
//      send, close.
//   4. At the end tls_session_alert(TLS_ALERT_CLOSE_NOTIFY), send, close; then tls_session_fini,
//      which wipes. Before it: tls_handshake_close, if the handshake had not ended.
//
// Per worker, before its first handshake: tls_memory_set, so that the library's memory is bounded.
//
// The memory of tls_record and tls_tickets belongs into pages that core dumps leave out
// (MADV_DONTDUMP): the caller's, who has reserved them.
#pragma once
#include "gateway/tls/handshake.h"
#include "gateway/tls/record.h"
#include "gateway/tls/session.h"
#include "gateway/tls/tickets.h"

struct arena;
// What the library takes on this thread from now on comes from that arena, which outlives it; NULL:
// from the C library. What was taken is given back on the same thread.
void tls_memory_set(struct arena *arena);
// Gives back what the library keeps on this thread for the handshakes to come: tables of multiples
// of points, up to 1.7 MB. The next handshakes make them anew.
void tls_memory_trim(void);

// Whether the first bytes of a connection are an HTTP request in the clear: a method is capital
// letters, and a TLS record begins with 22. No bytes yet: false.
bool tls_is_http(struct span received);
