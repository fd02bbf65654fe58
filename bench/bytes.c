#include "bench/bytes.h"

#include <stdlib.h>
#include <string.h>

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

bool bytes_add(struct bytes *bytes, const uint8_t *data, size_t count) {
    if (count == 0) {
        return true; // memcpy may not be given NULL
    }
    if (bytes->count + count > bytes->capacity) {
        size_t capacity = (bytes->count + count) * 2;
        uint8_t *grown = realloc(bytes->data, capacity);
        if (grown == NULL) {
            return false;
        }
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->count, data, count);
    bytes->count += count;
    return true;
}
