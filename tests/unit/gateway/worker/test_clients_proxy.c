// A PROXY header in front of a connection's first byte: whose is believed, in how many pieces it
// may come, and what is behind it.
#include "tests/unit/gateway/worker/clients_test.h"

#define HEADER "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n"

static struct address_range trusted_range(const char *text) {
    struct address_range range;
    cr_assert(address_range_parse(span_text(text), &range));
    return range;
}

static struct rig *proxied_open(const char *trusted) {
    static struct address_range range;
    static struct config_proxy proxy;
    static const struct config_proxy *proxies[LISTENERS_MAX];
    range = trusted_range(trusted);
    proxy = (struct config_proxy){.trusted = &range, .trusted_count = 1};
    proxies[0] = &proxy;
    struct rig *rig = rig_open();
    rig->clients.proxies = proxies;
    rig->host = 9;
    return rig;
}

Test(clients_proxy, its_address_is_the_client_s) {
    struct rig *rig = proxied_open("192.0.2.7");
    link_id id = rig_accept(rig);
    cr_assert_eq(rig->opened, 0);
    peer_says(rig, id, HEADER GET);
    cr_assert_eq(rig->opened, 1);
    peer_reads(rig, id);
    peer_says(rig, id, GET); // once only
    peer_reads(rig, id);
    cr_assert_eq(rig->counters.values[COUNTER_proxy_headers], 1);
    cr_assert_eq(rig->counters.values[COUNTER_bytes_in], sizeof HEADER - 1 + 2 * (sizeof GET - 1));
    rig_close(rig);
}

Test(clients_proxy, in_two_pieces_at_every_place) {
    static const char whole[] = HEADER GET;
    for (uint32_t first = 1; first < sizeof whole - 1; first++) {
        struct rig *rig = proxied_open("192.0.2.0/24");
        link_id id = rig_accept(rig);
        peer_sends(rig, id, whole, first);
        cr_assert_eq(rig->opened, first >= sizeof HEADER - 1);
        peer_says(rig, id, whole + first);
        peer_reads(rig, id);
        cr_assert_eq(rig->opened, 1);
        rig_close(rig);
    }
}

Test(clients_proxy, byte_by_byte) {
    struct rig *rig = proxied_open("192.0.2.0/24");
    link_id id = rig_accept(rig);
    static const char whole[] = HEADER GET;
    for (uint32_t i = 0; i < sizeof whole - 1; i++) {
        peer_sends(rig, id, whole + i, 1);
    }
    peer_reads(rig, id);
    rig_close(rig);
}

Test(clients_proxy, a_health_check_keeps_its_own_address) {
    struct rig *rig = proxied_open("192.0.2.0/24");
    rig->host = 7;
    link_id id = rig_accept(rig);
    peer_says(rig, id, "PROXY UNKNOWN\r\n" GET);
    peer_reads(rig, id);
    cr_assert_eq(rig->opened, 1);
    rig_close(rig);
}

static void expect_cut(struct rig *rig, link_id id, enum fault_id fault) {
    cr_assert_eq(state_of(rig, id), CONN_ENDED);
    cr_assert_eq(rig->opened, 0);
    finish(rig, id);
    cr_assert_eq(rig->gone, 0); // nobody was told of it
    cr_assert_eq(rig->counters.faults[fault], 1);
    rig_close(rig);
}

Test(clients_proxy, others_are_not_read) {
    struct rig *rig = proxied_open("192.0.2.8/29");
    link_id id = rig_accept(rig);
    expect_cut(rig, id, FAULT_proxy_untrusted);
}

// Else whoever may connect fills the disk.
Test(clients_proxy, a_crowd_of_others_is_a_line_a_second) {
    static const struct log_options loud = {
        .name = "test", .ring_bytes = 1 << 16, .level = LOG_LEVEL_WARN};
    struct rig *rig = proxied_open("192.0.2.8/29");
    log_close(&rig->clients.log);
    rig->clients.log = log_open(&loud);
    for (uint32_t second = 0; second < 3; second++) {
        for (uint32_t i = 0; i < 5; i++) {
            finish(rig, rig_accept(rig));
        }
        wait(rig, 1000);
    }
    uint32_t lines = 0;
    for (struct span taken = log_take(rig->clients.log); taken.length > 0;
         taken = log_take(rig->clients.log)) {
        for (uint32_t i = 0; i < taken.length; i++) {
            lines += taken.data[i] == '\n';
        }
        log_consume(rig->clients.log, taken.length);
    }
    cr_assert_eq(lines, 3);
    cr_assert_eq(rig->counters.faults[FAULT_proxy_untrusted], 15);
    rig_close(rig);
}

Test(clients_proxy, without_a_header_or_with_a_wrong_one) {
    static const char *const wrong[] = {GET, UPGRADE, "PROXY TCP5 a\r\n", "\x16\x03\x01",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct rig *rig = proxied_open("192.0.2.0/24");
        link_id id = rig_accept(rig);
        peer_says(rig, id, wrong[i]);
        expect_cut(rig, id, FAULT_proxy_malformed);
    }
}

Test(clients_proxy, the_handshake_deadline_counts_for_it) {
    struct rig *rig = proxied_open("192.0.2.0/24");
    link_id id = rig_accept(rig);
    peer_says(rig, id, "PROXY ");
    wait(rig, 9000);
    peer_says(rig, id, "TCP4 ");
    wait(rig, 1100);
    expect_cut(rig, id, FAULT_handshake_timeout);
}

Test(clients_proxy, one_that_goes_before_its_end) {
    struct rig *rig = proxied_open("192.0.2.0/24");
    link_id id = rig_accept(rig);
    peer_says(rig, id, "PROXY ");
    fake_polled(&rig->io, id, IO_POLL_IN | IO_POLL_HANGUP, true);
    turn(rig);
    cr_assert(fake_received(&rig->io, id, 0, false));
    turn(rig);
    cr_assert_eq(state_of(rig, id), CONN_ENDED);
    finish(rig, id);
    cr_assert_eq(rig->gone, 0);
    rig_close(rig);
}
