// Memory of fuzz targets' worlds: reserved address space, that lives as long as the process.
#pragma once
#include <sys/mman.h>

#include "core/base/check.h"
#include "core/conn/conn.h"

static inline struct memory reserve(uint64_t bytes) {
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(data != MAP_FAILED);
    return (struct memory){.data = data, .length = bytes};
}

// The lengths, from the maxima, and the memory.
static inline void conns_reserve(struct conns_memory *memory) {
    conns_memory_size(memory);
    struct memory *ranges[] = {&memory->conn_space, &memory->conn_book,   &memory->input_space,
                               &memory->input_book, &memory->entry_space, &memory->entry_book,
                               &memory->touched};
    for (uint32_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        *ranges[i] = reserve(ranges[i]->length);
    }
}
