// What newer kernels offer and the oldest header we build against (liburing 2.3) does not name. The
// values are kernel ABI. Whether a feature works is found out by trying (features.c), never by a
// version number.
//
// | feature                     | since | found out by    | without it                            |
// |-----------------------------|-------|-----------------|---------------------------------------|
// | socket option commands      | 6.7   | one at open     | has_peer_name is false, the caller    |
// |                             |       |                 | uses io_accept_one; io_set_option     |
// |                             |       |                 | completes -EOPNOTSUPP                 |
// | bytes left on a Unix socket | 6.17  | one receive at  | a receive that filled its memory says |
// |                             |       | open            | is_socket_ready                       |
// | whether a send without a    | 6.2   | the first such  | io_stats.zero_copy_copied stays 0     |
// | copy was copied after all   |       | send            |                                       |
// | waits that are no I/O wait  | 6.15  | feature bit 17  | idle workers show as iowait           |
// | a registered eventfd is     | lost  | one poll at     | an io of several rings sets them up   |
// | signalled from within a     | in    | open            | with COOP_TASKRUN (open.c)            |
// | wakeup, not a grace period  | 6.12. |                 |                                       |
// | later and then never again  | 115   |                 |                                       |
// | a registered ring           | never | the             | from the 17th ring of a thread on the |
// | descriptor beyond the 16th  |       | registration    | plain descriptor is used              |
//
// Wanted by no code yet: FIXED_FD_INSTALL (6.8), multishot timeout (6.4; the wait of io_turn has
// its own timeout).
#pragma once
#include <liburing.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    COMPAT_SOCKET_GETSOCKOPT = 2, // cmd_op of IORING_OP_URING_CMD on a socket
    COMPAT_SOCKET_SETSOCKOPT = 3,
    COMPAT_FEATURE_NO_IOWAIT = 1 << 17,
    COMPAT_ENTER_NO_IOWAIT = 1 << 7,
    COMPAT_SEND_ZC_REPORT_USAGE = 1 << 3, // in ioprio of IORING_OP_SEND_ZC
};
#define COMPAT_NOTIF_ZC_COPIED (1u << 31) // in the result of its notification

static_assert(offsetof(struct io_uring_sqe, cmd_op) == 8, "kernel ABI");
static_assert(offsetof(struct io_uring_sqe, addr) == 16, "level and option name stand here");
static_assert(offsetof(struct io_uring_sqe, file_index) == 44, "the option's length stands here");
static_assert(offsetof(struct io_uring_sqe, addr3) == 48, "the option's address stands here");

struct compat_socket_option {
    int level, name;
    void *value;
    uint32_t length;
};

// Fills the entry with a socket command; the caller adds flags and user_data.
static inline void compat_socket_command(struct io_uring_sqe *entry, int file, uint32_t command,
                                         const struct compat_socket_option *option) {
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_URING_CMD;
    entry->fd = file;
    entry->cmd_op = command;
    uint32_t pair[2] = {(uint32_t)option->level, (uint32_t)option->name};
    memcpy(&entry->addr, pair, sizeof pair);
    entry->file_index = option->length;
    entry->addr3 = (uint64_t)(uintptr_t)option->value;
}
