// Several rings, small limits, and what the process around the io must not notice.
#include "tests/contract/contract.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static uint32_t entry_count(const char *path) {
    DIR *folder = opendir(path);
    expect(folder != NULL, "%s", strerror(errno));
    uint32_t count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

// One message there and back on each pair.
static void echo(struct rig *rig, const struct pair *pairs, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sent = i ^ 0x5a5a5a5a;
        uint8_t found[4];
        client_send(pairs[i].client, &sent, 4);
        rig_receive(rig, &pairs[i], found, 4);
        io_send(rig->io, pairs[i].handle, (struct span){found, 4});
        struct io_completion completion = rig_get(rig, IO_SEND);
        expect(completion.result == 4 && completion.ring == pairs[i].handle.ring, "%d",
               completion.result);
        client_expect(pairs[i].client, &sent, 4);
    }
}

// One ring becomes four with polls armed; every ring's sockets go on.
static void rings_open_while_running(void) {
    enum { RINGS = 4, EACH = 10 };
    struct io_options options = rig_options(RINGS);
    struct rig *rig = rig_open(&options);
    struct pair pairs[RINGS * EACH];
    uint64_t bytes = io_ring_bytes(rig->io);
    for (uint8_t ring = 0; ring < RINGS; ring++) {
        expect(ring == 0 || io_ring_open(rig->io) == ring, "ring");
        expect(io_ring_count(rig->io) == ring + 1u, "%u", io_ring_count(rig->io));
        rig_pairs(rig, ring, pairs + ring * EACH, EACH);
        for (uint32_t i = 0; i < EACH; i++) {
            io_poll(rig->io, pairs[ring * EACH + i].handle);
        }
        rig_turn(rig, 0);
        echo(rig, pairs, (ring + 1u) * EACH);
        rig_turn(rig, 0);
        uint32_t polls = 0;
        struct io_completion polled;
        while (rig_find(rig, IO_POLL, &polled)) {
            expect(polled.more && polled.result == IO_POLL_IN, "%d", polled.result);
            polls++;
        }
        expect(polls >= (ring + 1u) * EACH, "%u", polls);
    }
    expect(io_ring_open(rig->io) == -ENOSPC, "a fifth");
    expect(io_ring_bytes(rig->io) > 3 * bytes, "not counted");
    for (uint32_t i = 0; i < RINGS * EACH; i++) {
        rig_close_polled(rig, &pairs[i]);
    }
    rig_shut(rig);
}

// Each way in which a second ring can fail leaves one that works, its doorbell too.
static void a_ring_that_cannot_open(void) {
    struct io_options options = rig_options(3);
    struct rig *rig = rig_open(&options);
    struct pair pairs[3];
    rig_pairs(rig, 0, pairs, 2);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    rlim_t before = files.rlim_cur;
    int lowest = fcntl(0, F_DUPFD_CLOEXEC, 3);
    close(lowest);
    int ring = -1;
    uint32_t failures = 0;
    // First too few descriptors for the ring, then for the eventfd, then too few for the table.
    for (int room = 0; ring < 0; room++) {
        files.rlim_cur = (rlim_t)(lowest + room);
        expect(setrlimit(RLIMIT_NOFILE, &files) == 0, "%s", strerror(errno));
        ring = io_ring_open(rig->io);
        expect(ring == 1 || ring == -EMFILE, "%d", ring);
        failures += ring < 0;
        expect(io_ring_count(rig->io) == (ring < 0 ? 1 : 2), "%u", io_ring_count(rig->io));
        files.rlim_cur = before;
        expect(setrlimit(RLIMIT_NOFILE, &files) == 0, "%s", strerror(errno));
        echo(rig, pairs, 2);
        io_doorbell_ring(io_doorbell(rig->io));
        rig_get(rig, IO_DOORBELL);
        pid_t child = fork(); // rings while the parent sleeps
        if (child == 0) {
            usleep(20000);
            client_send(pairs[0].client, "x", 1);
            _exit(0);
        }
        io_poll(rig->io, pairs[0].handle);
        rig_get(rig, IO_POLL);
        waitpid(child, NULL, 0);
        uint8_t byte;
        rig_receive(rig, &pairs[0], &byte, 1);
        io_cancel_then_close(rig->io, pairs[0].handle);
        rig_get(rig, IO_CLOSE);
        rig_get(rig, IO_CANCEL);
        while (rig_get(rig, IO_POLL).more) {
        }
        client_close(pairs[0].client);
        rig_pairs(rig, 0, pairs, 1);
    }
    expect(failures >= 3, "%u", failures);
    rig_pairs(rig, 1, &pairs[2], 1);
    echo(rig, pairs, 3);
    for (uint32_t i = 0; i < 3; i++) {
        rig_close(rig, &pairs[i]);
    }
    rig_shut(rig);
}

// A thread registers 16 ring descriptors at most; the others work by their plain ones.
static void more_rings_than_register(void) {
    enum { RINGS = 20 };
    struct io_options options = rig_options(RINGS);
    struct rig *rig = rig_open(&options);
    struct pair pairs[RINGS];
    for (uint8_t ring = 0; ring < RINGS; ring++) {
        expect(ring == 0 || io_ring_open(rig->io) == ring, "ring");
        rig_pairs(rig, ring, &pairs[ring], 1);
    }
    echo(rig, pairs, RINGS);
    for (uint32_t ring = 0; ring < RINGS; ring++) {
        rig_close(rig, &pairs[ring]);
    }
    rig_shut(rig);
}

// A ring with more completions than a turn takes does not starve the others.
static void rings_take_turns(void) {
    enum { FLOOD = 3 * COMPLETIONS_TURN_MAX };
    struct io_options options = rig_options(3);
    options.submissions = 1024;
    options.completions = 4096;
    struct rig *rig = rig_open(&options);
    struct pair pairs[3];
    for (uint8_t ring = 0; ring < 3; ring++) {
        expect(ring == 0 || io_ring_open(rig->io) == ring, "ring");
        rig_pairs(rig, ring, &pairs[ring], 1);
    }
    uint8_t byte;
    for (uint32_t i = 0; i < FLOOD; i++) {
        io_receive(rig->io, pairs[1].handle, (struct span_mut){&byte, 1});
    }
    io_receive(rig->io, pairs[0].handle, (struct span_mut){&byte, 1});
    io_receive(rig->io, pairs[2].handle, (struct span_mut){&byte, 1});
    uint32_t first = rig_turn(rig, 0);
    expect(first <= COMPLETIONS_TURN_MAX + 2, "%u", first);
    uint32_t others = 0;
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        others += rig->kept[i].ring != 1;
    }
    expect(others == 2, "%u", others);
    uint32_t total = first;
    while (total < FLOOD + 2) {
        total += rig_turn(rig, 100);
    }
    rig->kept_count = 0;
    for (uint32_t ring = 0; ring < 3; ring++) {
        rig_close(rig, &pairs[ring]);
    }
    rig_shut(rig);
}

// Holds `count` connections open until its pipe closes, in a process with a limit of its own.
static void client_process(const struct address *address, uint32_t count, int ready, int until) {
    for (uint32_t i = 0; i < count; i++) {
        client_connect_from(address, 0x7f000001 + i / 200);
    }
    char byte = 0;
    if (write(ready, &byte, 1) != 1 || read(until, &byte, 1) != 0) {
        _exit(1);
    }
    _exit(0);
}

// With so few descriptors the table is as large as the limit, and more rings hold more connections
// than the process may have descriptors.
static void slots_follow_the_limit(uint32_t limit) {
    enum { RINGS = 3 };
    struct io_options options = rig_options(RINGS);
    options.slots = RING_SLOTS_MAX;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    rlim_t before = files.rlim_cur;
    files.rlim_cur = limit;
    expect(setrlimit(RLIMIT_NOFILE, &files) == 0, "%s", strerror(errno));
    struct rig *rig = rig_open(&options);
    expect(io_ring_slots(rig->io) == limit, "%u", io_ring_slots(rig->io));
    int ready[2];
    int until[2];
    expect(pipe2(ready, O_CLOEXEC) == 0 && pipe2(until, O_CLOEXEC) == 0, "pipe");
    uint32_t total = RINGS * limit;
    pid_t child = fork();
    if (child == 0) {
        close(until[1]);
        files.rlim_cur = before;
        setrlimit(RLIMIT_NOFILE, &files);
        client_process(&rig->address, total, ready[1], until[0]);
    }
    struct io_peer *peers = calloc(limit, sizeof *peers);
    for (uint8_t ring = 0; ring < RINGS; ring++) {
        expect(ring == 0 || io_ring_open(rig->io) == ring, "ring");
        for (uint32_t i = 0; i < limit; i++) {
            io_accept_one(rig->io, ring, rig->listener, i, &peers[i]);
        }
        for (uint32_t i = 0; i < limit; i++) {
            struct io_completion accepted = rig_get(rig, IO_ACCEPT_ONE);
            expect(accepted.result >= 0 && (uint32_t)accepted.result < limit, "%d",
                   accepted.result);
        }
    }
    char byte;
    expect(read(ready[0], &byte, 1) == 1, "clients");
    printf("     %u connections, %u descriptors\n", total, entry_count("/proc/self/fd"));
    close(until[1]);
    int status;
    expect(waitpid(child, &status, 0) == child && status == 0, "clients");
    free(peers);
    rig_shut(rig);
}

static void slots_with_256_files(void) {
    slots_follow_the_limit(256);
}

static void slots_with_1024_files(void) {
    slots_follow_the_limit(1024);
}

// Kernel threads of the process (io-wq) show as its tasks.
static void no_kernel_threads(void) {
    enum { COUNT = 50 };
    struct io_options options = rig_options(2);
    struct rig *rig = rig_open(&options);
    expect(io_ring_open(rig->io) == 1, "ring");
    struct pair pairs[COUNT];
    for (uint32_t round = 0; round < 5; round++) {
        rig_pairs(rig, round % 2, pairs, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) {
            io_poll(rig->io, pairs[i].handle);
        }
        echo(rig, pairs, COUNT);
        struct io_peer peer = {.length = 16};
        io_peer_name(rig->io, pairs[0].handle, &peer);
        rig_get(rig, IO_PEER_NAME);
        struct span pieces[2] = {span_text("a"), span_text("b")};
        io_sendmsg(rig->io, pairs[0].handle, pieces, 2);
        rig_get(rig, IO_SENDMSG);
        struct io_completion polled;
        while (rig_find(rig, IO_POLL, &polled)) {
            expect(polled.more, "poll");
        }
        expect(entry_count("/proc/self/task") == 1, "%u tasks", entry_count("/proc/self/task"));
        for (uint32_t i = 0; i < COUNT; i++) {
            rig_close_polled(rig, &pairs[i]);
        }
    }
    io_socket(rig->io, 0, ADDRESS_IP, false, 1, 0);
    struct io_handle handle = {.slot = (uint32_t)rig_get(rig, IO_SOCKET).result};
    struct io_peer peer;
    io_peer_encode(&rig->address, &peer);
    io_connect(rig->io, handle, &peer);
    expect(rig_get(rig, IO_CONNECT).result == 0, "connect");
    expect(entry_count("/proc/self/task") == 1, "%u tasks", entry_count("/proc/self/task"));
    rig_shut(rig);
}

static void descriptors_end_at_exec(void) {
    struct io_options options = rig_options(3);
    uint32_t before = entry_count("/proc/self/fd");
    bool is_foreign[256];
    for (int file = 0; file < 256; file++) {
        is_foreign[file] = fcntl(file, F_GETFD) >= 0;
    }
    struct rig *rig = rig_open(&options);
    expect(io_ring_open(rig->io) == 1 && io_ring_open(rig->io) == 2, "ring");
    uint32_t count = 0;
    for (int file = 3; file < 256; file++) {
        int flags = is_foreign[file] ? -1 : fcntl(file, F_GETFD);
        expect(flags < 0 || (flags & FD_CLOEXEC) != 0, "descriptor %d is inherited", file);
        count += flags >= 0;
    }
    expect(count >= 5, "three rings, a listener, two eventfds: %u", count);
    rig_shut(rig);
    expect(entry_count("/proc/self/fd") == before, "a descriptor is left");
}

// The parent goes on after a child has come and gone.
static void a_child_comes_and_goes(void) {
    struct io_options options = rig_options(1);
    struct rig *rig = rig_open(&options);
    struct pair pairs[4];
    rig_pairs(rig, 0, pairs, 4);
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    echo(rig, pairs, 4);
    int status;
    expect(waitpid(child, &status, 0) == child && status == 0, "child");
    echo(rig, pairs, 4);
    for (uint32_t i = 0; i < 4; i++) {
        rig_close(rig, &pairs[i]);
    }
    rig_shut(rig);
}

// As a service runs: no privileges, 8 MiB of locked memory. And with none at all: works, or says
// why.
static void without_privileges(void) {
    struct io_options options = {.slots = 1000,
                                 .submissions = 1024,
                                 .completions = 4096,
                                 .buffers = 256,
                                 .buffers_max = 4096,
                                 .ring_max = 64};
    struct rlimit locked = {.rlim_cur = 8 << 20, .rlim_max = 8 << 20};
    expect(setrlimit(RLIMIT_MEMLOCK, &locked) == 0, "%s", strerror(errno));
    if (getuid() == 0) {
        expect(setgid(65534) == 0 && setuid(65534) == 0, "%s", strerror(errno));
    }
    struct rig *rig = rig_open(&options);
    int ring = 0;
    while (ring >= 0) {
        ring = io_ring_open(rig->io);
    }
    expect(ring == -ENOSPC || ring == -ENOMEM, "%d: %s", ring, io_open_advice(ring));
    uint32_t count = io_ring_count(rig->io);
    printf("     8 MiB of locked memory: %u rings of the default size\n", count);
    expect(count >= 16, "%u rings", count);
    struct pair pairs[2];
    rig_pairs(rig, 0, &pairs[0], 1);
    rig_pairs(rig, (uint8_t)(count - 1), &pairs[1], 1);
    echo(rig, pairs, 2);
    rig_close(rig, &pairs[0]);
    rig_close(rig, &pairs[1]);
    rig_shut(rig);
    locked.rlim_cur = 0;
    setrlimit(RLIMIT_MEMLOCK, &locked);
    usleep(200000); // what the kernel still accounts for the first
    struct io *io;
    int error = io_open(&io, &options);
    expect(error == 0 || error == -ENOMEM, "%d", error);
    if (error == 0) {
        io_shut(io);
    }
}

static const struct contract_test tests[] = {
    {"rings_open_while_running", rings_open_while_running},
    {"a_ring_that_cannot_open", a_ring_that_cannot_open},
    {"more_rings_than_register", more_rings_than_register},
    {"rings_take_turns", rings_take_turns},
    {"slots_with_256_files", slots_with_256_files},
    {"slots_with_1024_files", slots_with_1024_files},
    {"no_kernel_threads", no_kernel_threads},
    {"descriptors_end_at_exec", descriptors_end_at_exec},
    {"a_child_comes_and_goes", a_child_comes_and_goes},
    {"without_privileges", without_privileges},
};

int main(int argc, char **argv) {
    return contract_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
