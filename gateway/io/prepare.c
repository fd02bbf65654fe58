// The operations: each function fills one submission entry (io_cancel_then_close two), nothing
// more. What their results mean is for gateway/link.
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

static struct io_ring *ring_get(struct io *io, uint8_t ring) {
    check(ring < io->ring_count);
    return &io->rings[ring];
}

static struct io_uring_sqe *entry_take(struct io *io, struct io_handle handle) {
    return ring_entry(io, ring_get(io, handle.ring), 1);
}

// An operation on a direct descriptor.
static void entry_finish(struct io_uring_sqe *entry, enum io_operation operation,
                         struct io_handle handle) {
    entry->flags |= IOSQE_FIXED_FILE;
    entry->user_data = tag_make(operation, handle);
}

// --- accept

static struct io_handle listener_handle(uint8_t ring, int listener, uint16_t generation) {
    return (struct io_handle){.slot = (uint32_t)listener, .generation = generation, .ring = ring};
}

void io_accept(struct io *io, uint8_t ring, int listener, uint16_t generation) {
    struct io_ring *owner = ring_get(io, ring);
    if (owner->has_close) {
        // Before Linux 6.16 a multishot that completes while it is armed overtakes the completions
        // of earlier entries of its batch, so a slot would be handed out again before its close
        // completion (P5). The submission lets those out first. Arming is rare.
        int error = ring_enter(io, owner, ENTER_SUBMIT, 0);
        io->error = error != 0 ? error : io->error;
    }
    struct io_uring_sqe *entry = ring_entry(io, owner, 1);
    io_uring_prep_multishot_accept_direct(entry, io_listener_file(io, listener), NULL, NULL, 0);
    entry->user_data = tag_make(IO_ACCEPT, listener_handle(ring, listener, generation));
}

void io_accept_one(struct io *io, uint8_t ring, int listener, uint32_t storage_index,
                   struct io_peer *peer) {
    struct io_handle handle = {.slot = storage_index, .ring = ring};
    struct io_uring_sqe *entry = entry_take(io, handle);
    peer->length = PEER_BYTES_MAX;
    io_uring_prep_accept(entry, io_listener_file(io, listener), (struct sockaddr *)peer->sockaddr,
                         &peer->length, 0);
    // By hand: liburing 2.3's io_uring_prep_accept_direct turns this value into a plain accept.
    entry->file_index = IORING_FILE_INDEX_ALLOC;
    entry->user_data = tag_make(IO_ACCEPT_ONE, handle);
}

// --- cancel: always by the tag of one request; by descriptor or opcode the kernel searches all.

static void cancel_prepare(struct io_uring_sqe *entry, enum io_operation target,
                           struct io_handle handle) {
    io_uring_prep_cancel64(entry, tag_make(target, handle), 0);
    entry->user_data = tag_make(IO_CANCEL, handle);
}

void io_accept_cancel(struct io *io, uint8_t ring, int listener, uint16_t generation) {
    struct io_handle handle = listener_handle(ring, listener, generation);
    struct io_uring_sqe *entry = entry_take(io, handle);
    cancel_prepare(entry, IO_ACCEPT, handle);
    entry->user_data = tag_make(IO_ACCEPT_CANCEL, handle);
}

void io_accept_one_cancel(struct io *io, uint8_t ring, uint32_t storage_index) {
    struct io_handle handle = {.slot = storage_index, .ring = ring};
    struct io_uring_sqe *entry = entry_take(io, handle);
    cancel_prepare(entry, IO_ACCEPT_ONE, handle);
    entry->user_data = tag_make(IO_ACCEPT_CANCEL, handle);
}

void io_send_cancel(struct io *io, struct io_handle handle) {
    check(handle.slot < io->options.slots);
    uint64_t word = ring_get(io, handle.ring)->is_sendmsg[handle.slot / 64];
    bool is_sendmsg = (word >> (handle.slot % 64) & 1) != 0;
    cancel_prepare(entry_take(io, handle), is_sendmsg ? IO_SENDMSG : IO_SEND, handle);
    zero_copy_cancel(io, handle);
}

void io_connect_cancel(struct io *io, struct io_handle handle) {
    cancel_prepare(entry_take(io, handle), IO_CONNECT, handle);
}

void io_cancel_then_close(struct io *io, struct io_handle handle) {
    struct io_ring *ring = ring_get(io, handle.ring);
    // The kernel links entries of one submission only.
    struct io_uring_sqe *entry = ring_entry(io, ring, 2);
    cancel_prepare(entry, IO_POLL, handle);
    entry->flags |= IOSQE_IO_HARDLINK; // the close follows whatever the cancel finds
    io_close(io, handle);
}

void io_close(struct io *io, struct io_handle handle) {
    struct io_uring_sqe *entry = entry_take(io, handle);
    io_uring_prep_close_direct(entry, handle.slot);
    entry->user_data = tag_make(IO_CLOSE, handle);
    io->rings[handle.ring].has_close = true;
}

// --- receive

void io_poll(struct io *io, struct io_handle handle) {
    struct io_uring_sqe *entry = entry_take(io, handle);
    io_uring_prep_poll_multishot(entry, (int)handle.slot, POLLIN | POLLRDHUP);
    entry_finish(entry, IO_POLL, handle);
}

void io_receive(struct io *io, struct io_handle handle, struct span_mut target) {
    struct io_uring_sqe *entry = entry_take(io, handle);
    io_uring_prep_recv(entry, (int)handle.slot, target.length == 0 ? NULL : target.data,
                       target.length, MSG_DONTWAIT);
    entry_finish(entry, IO_RECEIVE, handle);
    if (target.length == 0) {
        struct io_ring *ring = &io->rings[handle.ring];
        struct io_group *group = group_choose(ring);
        uint64_t index = (uint64_t)(group - ring->groups);
        group->available--;
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->buf_group = (uint16_t)index;
        entry->user_data ^= (GROUP_NONE ^ index) << 60;
    }
}

// --- send

static void sendmsg_note(struct io *io, struct io_handle handle, bool is_sendmsg) {
    check(handle.slot < io->options.slots);
    uint64_t *word = &io->rings[handle.ring].is_sendmsg[handle.slot / 64];
    uint64_t bit = (uint64_t)1 << (handle.slot % 64);
    if (((*word & bit) != 0) != is_sendmsg) {
        *word ^= bit;
    }
}

void send_copying(struct io *io, struct io_handle handle, struct span bytes) {
    struct io_uring_sqe *entry = entry_take(io, handle);
    io_uring_prep_send(entry, (int)handle.slot, bytes.data, bytes.length, SEND_FLAGS);
    entry_finish(entry, IO_SEND, handle);
}

void io_send(struct io *io, struct io_handle handle, struct span bytes) {
    check(bytes.length > 0 && handle.ring < io->ring_count);
    sendmsg_note(io, handle, false);
    if (!zero_copy_send(io, handle, bytes)) {
        send_copying(io, handle, bytes);
    }
}

void io_sendmsg(struct io *io, struct io_handle handle, const struct span *pieces,
                uint32_t piece_count) {
    check(piece_count > 0);
    check(piece_count <= SEND_PIECES_MAX);
    struct io_ring *ring = ring_get(io, handle.ring);
    struct io_message *message = ring_message(io, ring);
    memset(&message->send.head, 0, sizeof message->send.head);
    for (uint32_t i = 0; i < piece_count; i++) {
        check(pieces[i].length > 0);
        // The kernel only reads what is sent; struct iovec has no constant form.
        message->send.pieces[i] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[i].data,
                                                 .iov_len = pieces[i].length};
    }
    message->send.head.msg_iov = message->send.pieces;
    message->send.head.msg_iovlen = piece_count;
    struct io_uring_sqe *entry = ring_entry(io, ring, 1);
    io_uring_prep_sendmsg(entry, (int)handle.slot, &message->send.head, SEND_FLAGS);
    entry_finish(entry, IO_SENDMSG, handle);
    sendmsg_note(io, handle, true);
}

// --- sockets that we open

void io_socket(struct io *io, uint8_t ring, enum address_kind kind, bool is_v6, uint32_t token,
               uint16_t generation) {
    check(kind != ADDRESS_NONE);
    struct io_handle handle = {.slot = token, .generation = generation, .ring = ring};
    struct io_uring_sqe *entry = entry_take(io, handle);
    int domain = kind == ADDRESS_UNIX ? AF_UNIX : is_v6 ? AF_INET6 : AF_INET;
    io_uring_prep_socket(entry, domain, SOCK_STREAM, 0, 0);
    entry->file_index = IORING_FILE_INDEX_ALLOC;
    entry->user_data = tag_make(IO_SOCKET, handle);
}

void io_connect(struct io *io, struct io_handle handle, const struct io_peer *peer) {
    check(peer->length <= PEER_BYTES_MAX);
    struct io_uring_sqe *entry = entry_take(io, handle);
    io_uring_prep_connect(entry, (int)handle.slot, (const struct sockaddr *)peer->sockaddr,
                          peer->length);
    entry_finish(entry, IO_CONNECT, handle);
}

int io_connect_unix(struct io *io, struct io_handle handle, const char *path) {
    size_t length = strlen(path);
    struct io_ring *ring = ring_get(io, handle.ring);
    if (length == 0 || length >= sizeof ring->messages->unix_address.sun_path) {
        return -ENAMETOOLONG;
    }
    struct io_message *message = ring_message(io, ring);
    message->unix_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(message->unix_address.sun_path, path, length);
    struct io_uring_sqe *entry = ring_entry(io, ring, 1);
    io_uring_prep_connect(entry, (int)handle.slot, (const struct sockaddr *)&message->unix_address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1));
    entry_finish(entry, IO_CONNECT, handle);
    return 0;
}

// --- the rest

void io_write(struct io *io, int file, struct span bytes, uint32_t token) {
    struct io_handle handle = {.slot = token};
    struct io_uring_sqe *entry = entry_take(io, handle);
    io_uring_prep_write(entry, file, bytes.data, bytes.length, UINT64_MAX); // at its own position
    entry->user_data = tag_make(IO_WRITE, handle);
}

void io_peer_name(struct io *io, struct io_handle handle, struct io_peer *peer) {
    check(peer->length <= PEER_BYTES_MAX);
    struct compat_socket_option option = {
        .level = SOL_SOCKET, .name = SO_PEERNAME, .value = peer->sockaddr, .length = peer->length};
    struct io_uring_sqe *entry = entry_take(io, handle);
    compat_socket_command(entry, (int)handle.slot, COMPAT_SOCKET_GETSOCKOPT, &option);
    entry_finish(entry, IO_PEER_NAME, handle);
}

void io_set_option(struct io *io, struct io_handle handle, int level, int name, const int *value) {
    struct compat_socket_option option = {.level = level,
                                          .name = name,
                                          .value = (void *)(uintptr_t)value, // only read
                                          .length = sizeof *value};
    struct io_uring_sqe *entry = entry_take(io, handle);
    compat_socket_command(entry, (int)handle.slot, COMPAT_SOCKET_SETSOCKOPT, &option);
    entry_finish(entry, IO_SET_OPTION, handle);
}
