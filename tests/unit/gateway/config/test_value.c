// Single values.
#include "gateway/config/value.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>

Test(value, counts) {
    uint64_t count = 7;
    cr_assert(value_count(span_text("0"), &count) && count == 0);
    cr_assert(value_count(span_text("18446744073709551614"), &count) && count == UINT64_MAX - 1);
    cr_assert(value_count(span_text("18446744073709551615"), &count) && count == UINT64_MAX);
    cr_assert(value_count(span_text("18446744073709551616"), &count) && count == UINT64_MAX);
    cr_assert(value_count(span_text("99999999999999999999999999"), &count) && count == UINT64_MAX);
    static const char *const bad[] = {"", "00", "01", "-1", "+1", " 1", "1 ", "1.", "0x1", "a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(!value_count(span_text(bad[i]), &count), "%s", bad[i]);
    }
}

Test(value, units) {
    uint64_t value = 0;
    cr_assert(value_bytes(span_text("3B"), &value) && value == 3);
    cr_assert(value_bytes(span_text("3KiB"), &value) && value == 3072);
    cr_assert(value_bytes(span_text("3MiB"), &value) && value == 3 << 20);
    cr_assert(value_bytes(span_text("3GiB"), &value) && value == 3ULL << 30);
    cr_assert(value_bytes(span_text("17179869183GiB"), &value) && value == UINT64_MAX - 0x3fffffff);
    cr_assert(value_bytes(span_text("17179869184GiB"), &value) && value == UINT64_MAX);
    cr_assert(value_ms(span_text("3ms"), &value) && value == 3);
    cr_assert(value_ms(span_text("3s"), &value) && value == 3000);
    cr_assert(value_ms(span_text("3m"), &value) && value == 180000);
    cr_assert(value_ms(span_text("3h"), &value) && value == 10800000);
    static const char *const bad[] = {"", "3", "B", "3b", "3kib", "3KB", "3K", "3 B", "3BB", "3S"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(!value_bytes(span_text(bad[i]), &value), "%s", bad[i]);
        expect(!value_ms(span_text(bad[i]), &value), "%s", bad[i]);
    }
}

Test(value, units_are_printed_as_they_are_read) {
    static const char *const bytes[] = {"0B", "1B", "1023B", "1KiB", "1025B", "1MiB", "3GiB"};
    static const char *const times[] = {"0ms", "1ms", "1500ms", "1s", "90s", "1m", "24h"};
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        uint64_t value;
        expect(value_bytes(span_text(bytes[i]), &value), "%s", bytes[i]);
        expect(strcmp(value_bytes_text(value).text, bytes[i]) == 0, "%s", bytes[i]);
        expect(value_ms(span_text(times[i]), &value), "%s", times[i]);
        expect(strcmp(value_ms_text(value).text, times[i]) == 0, "%s", times[i]);
    }
}

Test(value, addresses_compare_by_what_they_mean) {
    static const struct {
        const char *a;
        const char *b;
        bool is_equal;
    } rows[] = {
        {"127.0.0.1:80", "127.0.0.1:80", true},
        {"127.0.0.1:80", "127.0.0.1:81", false},
        {"127.0.0.1:80", "127.0.0.2:80", false},
        {"[::1]:80", "[0:0::1]:80", true},
        {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/b", false},
        {"0.0.0.0:80", "[::]:80", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_address a;
        struct config_address b;
        expect(value_address(span_text(rows[i].a), &a) == NULL, "%s", rows[i].a);
        expect(value_address(span_text(rows[i].b), &b) == NULL, "%s", rows[i].b);
        expect(value_address_is_equal(&a, &b) == rows[i].is_equal, "%s %s", rows[i].a, rows[i].b);
    }
}

Test(value, the_longest_socket_path) {
    struct config_address address;
    char text[120] = "unix:";
    memset(text + 5, 'x', 108);
    cr_assert(value_address(span_make(text, 5 + 107), &address) == NULL);
    cr_assert(address.path.length == 107);
    cr_assert(value_address(span_make(text, 5 + 108), &address) != NULL);
    cr_assert(value_address(span_make("unix:a\0b", 8), &address) != NULL);
}
