// Between the kernel's socket addresses and plain data.
#include "gateway/io/io_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static_assert(sizeof(struct sockaddr_in6) == PEER_BYTES_MAX, "the largest that io_peer holds");

bool io_peer_decode(const struct io_peer *peer, struct address *address) {
    sa_family_t family;
    memcpy(&family, peer->sockaddr, sizeof family);
    memset(address, 0, sizeof *address);
    if (family == AF_INET) {
        struct sockaddr_in name;
        memcpy(&name, peer->sockaddr, sizeof name);
        address->kind = ADDRESS_IP;
        address->ip[10] = 0xff;
        address->ip[11] = 0xff;
        memcpy(address->ip + 12, &name.sin_addr, 4);
        address->port = ntohs(name.sin_port);
        return true;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 name;
        memcpy(&name, peer->sockaddr, sizeof name);
        address->kind = ADDRESS_IP;
        memcpy(address->ip, &name.sin6_addr, 16);
        address->port = ntohs(name.sin6_port);
        return true;
    }
    address->kind = family == AF_UNIX ? ADDRESS_UNIX : ADDRESS_NONE;
    return family == AF_UNIX;
}

void io_peer_encode(const struct address *address, struct io_peer *peer) {
    check(address->kind == ADDRESS_IP);
    memset(peer, 0, sizeof *peer);
    if (address_is_v4(address)) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&name.sin_addr, address->ip + 12, 4);
        memcpy(peer->sockaddr, &name, sizeof name);
        peer->length = sizeof name;
        return;
    }
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    memcpy(&name.sin6_addr, address->ip, 16);
    memcpy(peer->sockaddr, &name, sizeof name);
    peer->length = sizeof name;
}
