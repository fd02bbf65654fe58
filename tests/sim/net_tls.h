// In place of seam_tls.c, in sim-tls: the real gateway/tls under the workers, and between the
// clients of a TLS listener and the network a client's end of TLS (tls_end.h). Clients speak by
// net.h as ever: the linker hands their calls over here (--wrap), and what happens comes back
// through here. What is not for a TLS listener passes untouched.
//
//   net_connect .. NET_CONNECTED of the network, handshake, then the client's NET_CONNECTED
//   net_send       takes bytes only while nothing that was sealed waits for the window
//   net_receive    takes of the window what the next record needs, when the client wants to read
//   net_close      close_notify or not, then as ever
//
// Those who go at any moment in any manner (CLIENT_VANISHER) have some manners more here
// (tls_manners.h).
#pragma once
#include "tests/sim/net.h"

struct net;

// What --wrap makes of a call from any other file, and of the network's own function. The names are
// the linker's.
#define NET_TLS_WRAPPED(type, name, ...)                                                           \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __real_##name(__VA_ARGS__);
NET_TLS_WRAPPED(uint32_t, net_connect, struct sim *sim, const struct net_options *options,
                struct net_client client)
NET_TLS_WRAPPED(uint32_t, net_send, struct sim *sim, uint32_t connection, const void *bytes,
                uint32_t length)
NET_TLS_WRAPPED(uint32_t, net_receive, struct sim *sim, uint32_t connection, void *bytes,
                uint32_t length)
NET_TLS_WRAPPED(uint32_t, net_arrived, const struct sim *sim, uint32_t connection)
NET_TLS_WRAPPED(void, net_finish, struct sim *sim, uint32_t connection)
NET_TLS_WRAPPED(void, net_close, struct sim *sim, uint32_t connection)
NET_TLS_WRAPPED(void, net_reset, struct sim *sim, uint32_t connection)
NET_TLS_WRAPPED(void, net_vanish, struct sim *sim, uint32_t connection)
NET_TLS_WRAPPED(void, net_shut, struct net **net)
#undef NET_TLS_WRAPPED
