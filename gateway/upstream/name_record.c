// Addresses of names as the control thread tells them: the lengths of name and addresses, a byte
// each, the name, and 16 bytes for each address.
#include "core/base/check.h"
#include "gateway/upstream/internal.h"

uint32_t upstream_name_write(uint8_t *target, struct span host, const struct address *addresses,
                             uint32_t address_count) {
    check(host.length > 0 && host.length <= RESOLVE_HOST_BYTES_MAX);
    check(address_count <= RESOLVE_ADDRESSES_MAX);
    target[0] = (uint8_t)host.length;
    target[1] = (uint8_t)address_count;
    memcpy(target + 2, host.data, host.length);
    uint32_t used = 2 + host.length;
    for (uint32_t i = 0; i < address_count; i++) {
        memcpy(target + used, addresses[i].ip, 16);
        used += 16;
    }
    return used;
}

bool name_record_find(struct span table, struct span host, struct span *addresses) {
    while (table.length > 0) { // each pass takes a record off
        check(table.length >= 2);
        uint32_t host_bytes = table.data[0];
        uint32_t bytes = 2 + host_bytes + 16u * table.data[1];
        check(bytes <= table.length);
        if (span_equal(span_make(table.data + 2, host_bytes), host)) {
            *addresses = span_make(table.data + 2 + host_bytes, 16u * table.data[1]);
            return true;
        }
        table = span_from(table, bytes);
    }
    return false;
}
