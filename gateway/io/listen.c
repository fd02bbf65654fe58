// Listening sockets: ordinary descriptors, made with ordinary system calls, before accepts are
// armed on them.
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

static int option_set(int file, int level, int name, int value) {
    return setsockopt(file, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

// The options that accepted sockets inherit.
static int options_inherited(int file, const struct io_listen_options *options) {
    int error = 0;
    if (options->send_buffer_bytes != 0) {
        error = option_set(file, SOL_SOCKET, SO_SNDBUF, (int)options->send_buffer_bytes);
    }
    if (options->unix_path != NULL) {
        return error;
    }
    error = error != 0 ? error : option_set(file, IPPROTO_TCP, TCP_NODELAY, 1);
    if (error == 0 && options->notsent_lowat_bytes != 0) {
        error = option_set(file, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)options->notsent_lowat_bytes);
    }
    if (error == 0 && options->user_timeout_ms != 0) {
        error = option_set(file, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)options->user_timeout_ms);
    }
    return error;
}

static int bind_ip(int file, const struct io_listen_options *options) {
    static const uint8_t any[16] = {0};
    struct io_peer peer;
    io_peer_encode(&options->address, &peer);
    int error = option_set(file, SOL_SOCKET, SO_REUSEADDR, 1); // a restart finds TIME_WAITs
    if (error == 0 && options->is_shared) {
        error = option_set(file, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (error == 0 && !address_is_v4(&options->address)) {
        bool is_any = memcmp(options->address.ip, any, sizeof any) == 0;
        error = option_set(file, IPPROTO_IPV6, IPV6_V6ONLY, !is_any);
    }
    if (error == 0 && bind(file, (struct sockaddr *)peer.sockaddr, peer.length) != 0) {
        error = -errno;
    }
    return error;
}

// Removes the socket of a process that is gone: nobody answers at it. What is no socket, or is
// answered at, stays.
static int stale_remove(const struct sockaddr_un *name, socklen_t length) {
    struct stat status;
    if (lstat(name->sun_path, &status) != 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (!S_ISSOCK(status.st_mode)) {
        return -EEXIST;
    }
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file < 0) {
        return -errno;
    }
    int result = connect(file, (const struct sockaddr *)name, length) == 0 ? 0 : -errno;
    (void)close(file); // never used
    if (result != -ECONNREFUSED) {
        return -EADDRINUSE; // answered, or full (EAGAIN): somebody is there
    }
    return unlink(name->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int bind_unix(int file, const char *path) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof name.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(name.sun_path, path, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    int error = stale_remove(&name, size);
    if (error != 0) {
        return error;
    }
    // The mode of the socket before bind limits the file's, so it is never open to others; chmod
    // then undoes what the umask took.
    if (fchmod(file, 0660) != 0 || bind(file, (struct sockaddr *)&name, size) != 0 ||
        chmod(path, 0660) != 0) {
        return -errno;
    }
    return 0;
}

static int listener_open(const struct io_listen_options *options) {
    int domain = options->unix_path != NULL         ? AF_UNIX
                 : address_is_v4(&options->address) ? AF_INET
                                                    : AF_INET6;
    int file = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) {
        return -errno;
    }
    int error = options_inherited(file, options);
    if (error == 0) {
        error = domain == AF_UNIX ? bind_unix(file, options->unix_path) : bind_ip(file, options);
    }
    if (error == 0 && listen(file, (int)options->backlog) != 0) {
        error = -errno;
    }
    if (error != 0) {
        (void)close(file); // the first error is the one to report
        return error;
    }
    return file;
}

static struct address file_address(int file) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    struct address address = {.kind = ADDRESS_NONE};
    if (getsockname(file, (struct sockaddr *)&name, &length) == 0) {
        struct io_peer peer = {.length = length};
        memcpy(peer.sockaddr, &name, sizeof peer.sockaddr);
        (void)io_peer_decode(&peer, &address); // an inherited socket may be of any family
    }
    return address;
}

int io_listen(struct io *io, const struct io_listen_options *options) {
    int number = 0;
    while (number < LISTENERS_MAX && io->listeners[number] >= 0) {
        number++;
    }
    if (number == LISTENERS_MAX) {
        return -ENOSPC;
    }
    bool is_given = options->file > 0;
    int file = is_given ? fcntl(options->file, F_DUPFD_CLOEXEC, 3) : listener_open(options);
    if (file < 0) {
        return is_given ? -errno : file;
    }
    io->listeners[number] = file;
    io->listener_addresses[number] = file_address(file);
    return number;
}

static void listener_check(const struct io *io, int listener) {
    check(listener >= 0);
    check(listener < LISTENERS_MAX);
    check(io->listeners[listener] >= 0);
}

int io_listener_file(const struct io *io, int listener) {
    listener_check(io, listener);
    return io->listeners[listener];
}

struct address io_listener_address(const struct io *io, int listener) {
    listener_check(io, listener);
    return io->listener_addresses[listener];
}

void io_listener_close(struct io *io, int listener) {
    listener_check(io, listener);
    (void)close(io->listeners[listener]); // a listening socket has nothing to flush
    io->listeners[listener] = -1;
}
