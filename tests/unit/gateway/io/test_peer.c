// Socket addresses to plain data and back.
#include "gateway/io/io.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

static struct address parse(const char *text, uint16_t port) {
    struct address address;
    cr_assert(address_parse_ip(span_text(text), &address), "%s", text);
    address.port = port;
    return address;
}

Test(io_peer, there_and_back) {
    static const char *const texts[] = {"127.0.0.1", "203.0.113.7", "255.255.255.255",
                                        "0.0.0.0",   "::1",         "2001:db8::42",
                                        "::",        "fe80::1"};
    for (uint32_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct address address = parse(texts[i], (uint16_t)(i * 9001 + 1));
        struct io_peer peer;
        io_peer_encode(&address, &peer);
        cr_assert_eq(peer.length, address_is_v4(&address) ? sizeof(struct sockaddr_in)
                                                          : sizeof(struct sockaddr_in6));
        struct address found;
        cr_assert(io_peer_decode(&peer, &found));
        cr_assert_arr_eq(&found, &address, sizeof found, "%s", texts[i]);
    }
}

Test(io_peer, golden_bytes) {
    struct address address = parse("203.0.113.7", 4711);
    struct io_peer peer;
    io_peer_encode(&address, &peer);
    static const uint8_t expected[8] = {AF_INET, 0, 0x12, 0x67, 203, 0, 113, 7};
    cr_assert_arr_eq(peer.sockaddr, expected, sizeof expected);
}

// As a dual-stack listener names its IPv4 clients.
Test(io_peer, mapped_is_v4) {
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    cr_assert_eq(inet_pton(AF_INET6, "::ffff:203.0.113.7", &name.sin6_addr), 1);
    struct io_peer peer = {.length = sizeof name};
    memcpy(peer.sockaddr, &name, sizeof name);
    struct address found;
    cr_assert(io_peer_decode(&peer, &found));
    struct address expected = parse("203.0.113.7", 80);
    cr_assert_arr_eq(&found, &expected, sizeof found);
}

Test(io_peer, other_families) {
    struct io_peer peer = {.sockaddr = {AF_UNIX}, .length = 2};
    struct address found;
    cr_assert(io_peer_decode(&peer, &found));
    cr_assert_eq(found.kind, ADDRESS_UNIX);
    peer.sockaddr[0] = AF_PACKET;
    cr_assert_not(io_peer_decode(&peer, &found));
    cr_assert_eq(found.kind, ADDRESS_NONE);
}

Test(io_peer, unix_has_no_ip_to_encode, .signal = SIGABRT) {
    struct address address = {.kind = ADDRESS_UNIX};
    struct io_peer peer;
    io_peer_encode(&address, &peer);
}
