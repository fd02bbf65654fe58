// What a process may do: io_uring, descriptors, memory, CPUs.
#include "gateway/process/process.h"
#include "gateway/doctor/checks.h"
#include "gateway/doctor/tree.h"
#include "gateway/io/io.h"

#include <inttypes.h>
#include <stdio.h>

enum { KERNEL_MAJOR_MIN = 6, KERNEL_MINOR_MIN = 1 };

static enum verdict look_kernel(const struct examination *examination, struct finding *finding) {
    const struct machine *machine = &examination->machine;
    finding_now(finding, "%s", machine->kernel[0] == 0 ? "unknown" : machine->kernel);
    finding_wanted(finding, "%d.%d or newer", KERNEL_MAJOR_MIN, KERNEL_MINOR_MIN);
    bool is_new =
        machine->kernel_major > KERNEL_MAJOR_MIN ||
        (machine->kernel_major == KERNEL_MAJOR_MIN && machine->kernel_minor >= KERNEL_MINOR_MIN);
    return is_new ? VERDICT_PASS : VERDICT_FAIL;
}

static enum verdict look_ring(const struct examination *examination, struct finding *finding) {
    if (!examination->probe.is_asked) {
        return VERDICT_COUNT;
    }
    int error = examination->probe.ring_error;
    finding_now(finding, "%s", error == 0 ? "a ring opens" : io_open_advice(error));
    finding_wanted(finding, "a ring opens");
    return error == 0 ? VERDICT_PASS : VERDICT_FAIL;
}

static enum verdict look_disabled(const struct examination *examination, struct finding *finding) {
    uint64_t value = 0; // a kernel without the setting disables nothing
    bool is_there =
        tree_number(examination->source.root, "proc/sys/kernel/io_uring_disabled", 0, &value);
    finding_now(finding, is_there ? "%" PRIu64 : "not there", value);
    finding_wanted(finding, "0, or 1 and the service in kernel.io_uring_group");
    if (value == 0) {
        return VERDICT_PASS;
    }
    // 1 leaves it to privileged processes and to one group: a ring that opened here says little
    // about the service's user.
    bool has_ring = examination->probe.is_asked && examination->probe.ring_error == 0;
    return value == 1 && has_ring ? VERDICT_WARN : VERDICT_FAIL;
}

static enum verdict look_seccomp(const struct examination *examination, struct finding *finding) {
    uint32_t mode = examination->machine.seccomp;
    finding_now(finding, mode == 0 ? "no filter" : "mode %" PRIu32, mode);
    finding_wanted(finding, "none, or one that allows io_uring");
    // A filter cannot be read, only tried.
    if (mode == 0 || (examination->probe.is_asked && examination->probe.ring_error == 0)) {
        return VERDICT_PASS;
    }
    return examination->probe.is_asked ? VERDICT_FAIL : VERDICT_WARN;
}

static enum verdict look_peer_name(const struct examination *examination, struct finding *finding) {
    if (!examination->probe.is_asked || examination->probe.ring_error != 0) {
        return VERDICT_COUNT;
    }
    bool has = examination->probe.has_peer_name;
    finding_now(finding, has ? "there" : "not there: the fallback serves");
    finding_wanted(finding, "socket options on the ring (Linux 6.7)");
    return has ? VERDICT_PASS : VERDICT_WARN;
}

static enum verdict look_files(const struct examination *examination, struct finding *finding) {
    const struct machine *machine = &examination->machine;
    uint64_t wanted = process_files_wanted(examination->config, examination->capacity.worker_count);
    if (machine->files_hard == UINT64_MAX) {
        finding_now(finding, "no limit");
    } else {
        finding_now(finding, "%" PRIu64 " (hard)", machine->files_hard);
    }
    finding_wanted(finding, "at least %" PRIu64, wanted);
    finding_fix(finding, "ulimit -Hn %" PRIu64 "   # systemd: LimitNOFILE=%" PRIu64, wanted,
                wanted);
    finding->setting = "LimitNOFILE";
    (void)snprintf(finding->value, sizeof finding->value, "%" PRIu64, wanted); // it fits
    if (machine->files_hard >= wanted &&
        examination->capacity.tables < examination->config->admission.connections) {
        finding_now(finding, "engine.slots: %" PRIu64, examination->capacity.ring_slots);
        finding_fix(finding, "# engine: {slots: auto}");
        finding->setting = NULL; // no limit of the process is in the way
        return VERDICT_FAIL;
    }
    return machine->files_hard >= wanted ? VERDICT_PASS : VERDICT_FAIL;
}

// The queues of a ring. Linux 6.18 counts them as locked for processes without CAP_IPC_LOCK (58
// rings in 8 MiB: tests/contract, without_privileges), as kernels before 5.12 did.
static uint64_t ring_locked_bytes(const struct config *config) {
    return 4096 + (uint64_t)config->engine.submissions * (64 + 4) +
           (uint64_t)(config->engine.completions + config->engine.buffers) * 16;
}

static enum verdict look_locked(const struct examination *examination, struct finding *finding) {
    const struct config *config = examination->config;
    const struct capacity *capacity = &examination->capacity;
    const struct machine *machine = &examination->machine;
    uint64_t rings = capacity->worker_count;
    if (capacity->ring_slots > 0) {
        rings += config->admission.connections / capacity->ring_slots;
    }
    uint64_t wanted = rings * ring_locked_bytes(config);
    if (config->engine.zero_copy) {
        wanted += config->worker_queue_bytes * capacity->worker_count;
    }
    finding_now(finding, "%" PRIu64 " KiB", machine->locked_hard >> 10);
    finding_wanted(finding, "at least %" PRIu64 " KiB", wanted >> 10);
    finding->setting = "LimitMEMLOCK";
    (void)snprintf(finding->value, sizeof finding->value, "infinity"); // it fits
    return machine->locked_hard >= wanted ? VERDICT_PASS : VERDICT_WARN;
}

static enum verdict look_address(const struct examination *examination, struct finding *finding) {
    bool is_free = examination->machine.address_soft == UINT64_MAX;
    finding_now(finding, is_free ? "no limit" : "%" PRIu64 " MiB",
                examination->machine.address_soft >> 20);
    finding_wanted(finding, "no limit");
    return is_free ? VERDICT_PASS : VERDICT_FAIL;
}

static enum verdict look_overcommit(const struct examination *examination,
                                    struct finding *finding) {
    uint64_t value = 0;
    if (!tree_number(examination->source.root, "proc/sys/vm/overcommit_memory", 0, &value)) {
        return VERDICT_COUNT;
    }
    finding_now(finding, "%" PRIu64, value);
    finding_wanted(finding, "0 or 1");
    return value == 2 ? VERDICT_FAIL : VERDICT_PASS;
}

static bool has_tls(const struct config *config) {
    for (uint32_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].tls.is_present) {
            return true;
        }
    }
    return false;
}

static enum verdict look_memory(const struct examination *examination, struct finding *finding) {
    const struct machine *machine = &examination->machine;
    const struct capacity *capacity = &examination->capacity;
    uint64_t asked = examination->config->admission.connections;
    uint64_t wanted_mib = (asked * capacity->each_bytes) >> 20;
    uint64_t left_mib = machine->memory_available >> 20;
    if (machine->group_limit == UINT64_MAX) {
        finding_now(finding, "%" PRIu64 " MiB left", left_mib);
    } else {
        finding_now(finding, "%" PRIu64 " MiB left, %" PRIu64 " MiB by %s", left_mib,
                    machine_group_left(machine) >> 20, machine->group_path);
    }
    finding_wanted(finding, "%" PRIu64 " MiB for %" PRIu64 " idle connections", wanted_mib, asked);
    uint64_t held = has_tls(examination->config) ? capacity->held_tls : capacity->held;
    if (held < asked) {
        finding_fix(finding, "# limits: {connections: %" PRIu64 "} is what it can hold", held);
        return VERDICT_FAIL;
    }
    if (capacity->busy < asked) {
        finding_wanted(finding, "%" PRIu64 " MiB, and full queues of one client in %d", wanted_mib,
                       CAPACITY_BUSY_SHARE);
        finding_fix(finding, "# limits: {connections: %" PRIu64 "} fit busy", capacity->busy);
        return VERDICT_WARN;
    }
    return VERDICT_PASS;
}

static enum verdict look_cpus(const struct examination *examination, struct finding *finding) {
    const struct machine *machine = &examination->machine;
    uint32_t workers = examination->capacity.worker_count;
    uint64_t milli = machine->cpu_quota_milli;
    if (milli == UINT64_MAX) {
        finding_now(finding, "%" PRIu32 " CPUs", machine->cpus);
    } else {
        finding_now(finding, "%" PRIu32 " CPUs, quota %" PRIu64 ".%" PRIu64, machine->cpus,
                    milli / 1000, milli % 1000 / 100);
    }
    finding_wanted(finding, "one for each of %" PRIu32 " workers", workers);
    finding_fix(finding, "# workers: as many as CPUs; or CPUQuota=%" PRIu32 "00%%", workers);
    uint64_t milli_wanted = (uint64_t)workers * 1000;
    return machine->cpus >= workers && milli >= milli_wanted ? VERDICT_PASS : VERDICT_WARN;
}

static enum verdict look_pings(const struct examination *examination, struct finding *finding) {
    uint64_t ping_s = examination->config->keepalive.ping_ms / 1000;
    uint64_t asked = examination->config->admission.connections;
    uint64_t pinged = examination->capacity.pinged;
    if (pinged == UINT64_MAX) {
        return VERDICT_COUNT; // nobody is pinged
    }
    finding_now(finding, "time for %" PRIu64, pinged);
    finding_wanted(finding, "%" PRIu64 ", each every %" PRIu64 " s", asked, ping_s);
    if (pinged < asked) {
        finding_fix(finding, "# keepalive: {ping: %" PRIu64 "s}, or more CPUs",
                    ping_s * asked / (pinged + 1) + 1);
        return VERDICT_WARN;
    }
    return VERDICT_PASS;
}

static enum verdict look_core(const struct examination *examination, struct finding *finding) {
    char pattern[128];
    if (!tree_text(examination->source.root, "proc/sys/kernel/core_pattern", pattern,
                   sizeof pattern)) {
        return VERDICT_COUNT;
    }
    uint64_t limit = examination->machine.core_soft;
    // A handler in a pipe gets the core whatever the limit is, except 1.
    bool has_core = limit > 0 || pattern[0] == '|';
    finding_now(finding, "%s, %.100s", limit == 0 ? "limit 0" : "limit above 0", pattern);
    finding_wanted(finding, "a core, or a choice against one");
    return has_core ? VERDICT_PASS : VERDICT_WARN;
}

void process_examine(struct examination *examination) {
    static const struct check_row rows[] = {
        {"kernel", "deferred task work of io_uring came with Linux 6.1",
         "apt-get install linux-image-amd64   # Debian 12 and newer; then reboot", look_kernel},
        {"io_uring", "everything is done on rings",
         "sysctl -w kernel.io_uring_disabled=0   # or a seccomp profile that allows it", look_ring},
        {"kernel.io_uring_disabled", "1 leaves io_uring to privileged processes, 2 to nobody",
         "sysctl -w kernel.io_uring_disabled=0", look_disabled},
        {"seccomp", "a container's filter may deny io_uring: Docker's own does",
         "docker run --security-opt seccomp=/usr/share/holdfast/tuning/seccomp.json", look_seccomp},
        {"peer address on the ring",
         "without it connections are accepted one at a time, with memory for each address",
         "apt-get install -t bookworm-backports linux-image-amd64   # then reboot", look_peer_name},
        {"descriptor limit", "the table of each ring is as large as this limit of the process",
         NULL, look_files},
        {"locked memory",
         "rings count as locked where no privilege lifts the limit, and so does what "
         "engine.zero_copy sends from",
         "ulimit -Hl unlimited   # systemd: LimitMEMLOCK=infinity", look_locked},
        {"address space", "pools reserve addresses for all connections at once, and touch few",
         "ulimit -v unlimited   # systemd: LimitAS=infinity", look_address},
        {"vm.overcommit_memory", "2 counts what is only reserved, and the workers do not start",
         "sysctl -w vm.overcommit_memory=0", look_overcommit},
        {"memory", "the kernel's slabs of a connection are most of what it costs", NULL,
         look_memory},
        {"CPUs", "each worker wants a CPU of its own; beyond its quota all its clients wait", NULL,
         look_cpus},
        {"keepalive", "pings of everybody must leave CPU time for messages", NULL, look_pings},
        {"core dumps",
         "without a core a crash leaves the flight recorder alone (clients' bytes are in neither)",
         "ulimit -c unlimited   # systemd: LimitCORE=infinity", look_core},
    };
    checks_run(examination, rows, sizeof rows / sizeof rows[0]);
}
