#include <criterion/criterion.h>
#include <string.h>

#include "bench/nats.h"

static enum nats_kind read_text(const char *text, struct nats_item *item) {
    return nats_read((const uint8_t *)text, strlen(text), item);
}

Test(nats, items) {
    struct nats_item item;
    cr_assert_eq(read_text("INFO {\"a\":1}\r\nPING\r\n", &item), NATS_OTHER);
    cr_assert_eq(item.length, 14);
    cr_assert_eq(read_text("PING\r\n", &item), NATS_PING);
    cr_assert_eq(read_text("+OK\r\n", &item), NATS_OTHER);
    cr_assert_eq(read_text("-ERR 'no'\r\n", &item), NATS_BAD);
    cr_assert_eq(read_text("HTTP/1.1 200 OK\r\n", &item), NATS_BAD);
    cr_assert_eq(read_text("MSG all 1 x\r\nabc\r\n", &item), NATS_BAD);
    cr_assert_eq(read_text("MSG all 1 99999999999\r\n", &item), NATS_BAD);
}

Test(nats, a_message_is_whole_or_not_there) {
    static const char TEXT[] = "MSG all 1 12\r\nhello\r\nworld\r\nPING\r\n";
    const size_t whole = sizeof TEXT - 1 - 6;
    struct nats_item item;
    for (size_t i = 0; i < whole; i++) {
        cr_assert_eq(nats_read((const uint8_t *)TEXT, i, &item), NATS_MORE, "%zu", i);
    }
    cr_assert_eq(nats_read((const uint8_t *)TEXT, sizeof TEXT - 1, &item), NATS_MESSAGE);
    cr_assert_eq(item.length, whole);
    cr_assert_eq(item.payload_length, 12);
    cr_assert_arr_eq(item.payload, "hello\r\nworld", 12);
}

// What is published must be a frame whose data, unmasked, is the whole publication.
Test(nats, a_burst_publishes_the_test_payload) {
    struct burst burst;
    cr_assert_eq(nats_burst(&burst, "all", 100, 3), 0);
    for (uint32_t i = 0; i < 3; i++) {
        burst_write(&burst, i, &(struct payload){.sequence = i + 7, .sent_ns = 5, .sender = 2});
        uint8_t *frame = burst.bytes + i * burst.frame_length;
        uint8_t *data = frame + burst.header_length;
        frame_mask(data, burst.frame_length - burst.header_length, data - 4);
        cr_assert_arr_eq(data, "PUB all 100\r\n", 13);
        struct payload payload;
        cr_assert(payload_read(data + 13, 100, &payload));
        cr_assert_eq(payload.sequence, i + 7);
        cr_assert_eq(payload.sender, 2);
        cr_assert_arr_eq(data + 113, "\r\n", 2);
    }
    burst_fini(&burst);
}
