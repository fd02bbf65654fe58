// Receive buffers: groups of RECEIVE_BUFFER_BYTES each, in rings that the kernel takes them from.
// Pages are touched on first use. io lends a buffer with a completion and gets it back by
// io_buffer_give.
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

// The ids of the first group are [0, n), of group g > 0 [n x 2^(g-1), n x 2^g), n a power of two.
static uint32_t group_index(const struct io *io, uint32_t id) {
    uint32_t step = id / io->options.buffers;
    return step == 0 ? 0 : 32 - (uint32_t)__builtin_clz(step);
}

// The oldest group that has buffers: in quiet times the later ones are not touched, so what a burst
// once needed does not stay hot. The newest when none has: the receive then completes -ENOBUFS
// unless one under way gives its buffer back.
struct io_group *group_choose(struct io_ring *ring) {
    uint32_t index = 0;
    while (index + 1 < ring->group_count && ring->groups[index].available <= 0) {
        index++;
    }
    return &ring->groups[index];
}

static void group_add(struct io_group *group, uint32_t id) {
    uint8_t *bytes = group->bytes + (uint64_t)(id - group->id_first) * RECEIVE_BUFFER_BYTES;
    io_uring_buf_ring_add(group->entries, bytes, RECEIVE_BUFFER_BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(group->count), 0);
    io_uring_buf_ring_advance(group->entries, 1);
    group->available++;
}

// Opens the ring's next group. 0 or -errno.
int group_open(struct io *io, struct io_ring *ring) {
    check(ring->group_count < RING_GROUPS_MAX);
    struct io_group *group = &ring->groups[ring->group_count];
    uint32_t first = io->options.buffers;
    group->id_first = ring->group_count == 0 ? 0 : first << (ring->group_count - 1);
    group->count = ring->group_count == 0 ? first : group->id_first;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t entry_bytes = group->count * sizeof(struct io_uring_buf);
    entry_bytes = (entry_bytes + page - 1) / page * page;
    group->map_bytes = entry_bytes + (uint64_t)group->count * RECEIVE_BUFFER_BYTES;
    uint8_t *map = mmap(NULL, group->map_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    // The kernel pins the entries; a child must not share them. Advice: a failure changes nothing
    // for this process.
    (void)madvise(map, group->map_bytes, MADV_DONTFORK);
    group->entries = (struct io_uring_buf_ring *)(void *)map;
    group->bytes = map + entry_bytes;
    struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)map,
                                            .ring_entries = group->count,
                                            .bgid = ring->group_count};
    int error = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (error != 0) {
        group_shut(group);
        return error;
    }
    io_uring_buf_ring_init(group->entries);
    group->available = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        group_add(group, group->id_first + i);
    }
    ring->group_count++;
    return 0;
}

void group_shut(struct io_group *group) {
    int error = munmap(group->entries, group->map_bytes);
    check(error == 0);
}

struct span_mut io_buffer(const struct io *io, uint8_t ring, uint16_t buffer_id) {
    check(ring < io->ring_count);
    uint32_t index = group_index(io, buffer_id);
    check(index < io->rings[ring].group_count);
    const struct io_group *group = &io->rings[ring].groups[index];
    return (struct span_mut){.data = group->bytes +
                                     (uint64_t)(buffer_id - group->id_first) * RECEIVE_BUFFER_BYTES,
                             .length = RECEIVE_BUFFER_BYTES};
}

void io_buffer_give(struct io *io, uint8_t ring, uint16_t buffer_id) {
    check(ring < io->ring_count);
    uint32_t index = group_index(io, buffer_id);
    check(index < io->rings[ring].group_count);
    struct io_group *group = &io->rings[ring].groups[index];
    check(group->available < (int32_t)group->count); // given back once
    group_add(group, buffer_id);
}

bool io_buffers_grow(struct io *io, uint8_t ring) {
    check(ring < io->ring_count);
    struct io_ring *owner = &io->rings[ring];
    uint64_t count = (uint64_t)io->options.buffers << owner->group_count; // after this step
    if (owner->group_count == RING_GROUPS_MAX || count > io->options.buffers_max) {
        return false;
    }
    return group_open(io, owner) == 0; // no memory is a bound, too
}
