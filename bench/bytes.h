// Bytes that grow, on the heap: what a connection of the load generator could not finish.
#ifndef BENCH_BYTES_H
#define BENCH_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data;
    size_t count;
    size_t capacity;
};

// False: out of memory, and nothing was added.
bool bytes_add(struct bytes *bytes, const uint8_t *data, size_t count);
void bytes_free(struct bytes *bytes);

#endif
