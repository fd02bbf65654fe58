// Whether somebody else serves an address already. Our workers share one by SO_REUSEPORT, and so
// would another process that allows it, in silence. At start only, before any listener is open.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <errno.h>

#include "gateway/process/process.h"

// A bind that shares with nobody: 0, or -errno. Nothing listens; the socket is closed at once.
static int bind_alone(const struct address *address) {
    static const uint8_t any[16] = {0};
    int file = socket(address_is_v4(address) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) {
        return -errno;
    }
    int one = 1;
    int only = memcmp(address->ip, any, sizeof any) != 0;
    struct io_peer peer;
    io_peer_encode(address, &peer);
    int error = 0;
    // SO_REUSEADDR: what a process that is gone left in TIME_WAIT is nobody. Without IPV6_V6ONLY a
    // wildcard means both families, as it will for the listener.
    if (setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (!address_is_v4(address) &&
         setsockopt(file, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) ||
        bind(file, (struct sockaddr *)peer.sockaddr, peer.length) != 0) {
        error = -errno;
    }
    (void)close(file); // never used
    return error;
}

void process_occupied_warn(struct process *process) {
    const struct config *config = process->config;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        bool is_tcp = listener->address.path.length == 0 && listener->address.address.port != 0;
        if (is_tcp && bind_alone(&listener->address.address) == -EADDRINUSE) {
            log_event(process->log, LOG_LEVEL_WARN, "address_shared",
                      log_span("address", listener->address.text),
                      log_text("text", "another process serves this address already: new "
                                       "connections are divided between it and this one"));
        }
    }
}
