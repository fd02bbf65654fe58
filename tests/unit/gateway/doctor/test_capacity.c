// The arithmetic of each term, and that the least decides.
#include "gateway/process/process.h"
#include "tests/unit/gateway/doctor/doctor_test.h"

Test(doctor_capacity, terms) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    examination_run(&test->examination);
    const struct capacity *capacity = &test->examination.capacity;
    cr_expect_eq(capacity->connections, doctor_term(test, "memory"));
    cr_expect_str_eq(capacity->terms[capacity->first].name, "memory");
    cr_expect_eq(capacity->worker_count, 4);
    cr_expect_eq(capacity->ring_slots, 65536);
    // 64 rings of each of 4 workers.
    cr_expect_eq(doctor_term(test, "descriptor tables"), 256ULL * 65536);
    // 70 % of 4 CPUs, 8.6 us a ping, each 25 s.
    cr_expect_eq(doctor_term(test, "keepalive CPU"), 2800000000ULL / 8600 * 25);
    // Available less a twentieth of the machine and the empty process. The demo's widest route
    // subscribes to one channel; a ring's queues and buffers are shared by its 65,536 slots.
    uint64_t room = (15610072ULL << 10) - ((16387536ULL << 10) / 20) - (4 << 20);
    uint64_t ring = (4096 * 16 + 1024 * 64 + 256 * (2048 + 16)) / 65536;
    cr_expect_eq(capacity->each_bytes, 4122 + 128 + 32);
    cr_expect_eq(doctor_term(test, "memory"), room / (4122 + 128 + 32 + ring));
    cr_expect_eq(capacity->with_tls, room / (4122 + 384 + 32 + ring));
    // One client in a hundred with 128 KiB in the kernel and 256 KiB in its queue.
    cr_expect_eq(capacity->busy, room / (4122 + 128 + 32 + ring + (384 << 10) / 100));
    cr_expect_eq(doctor_term(test, "nf_conntrack_max"), UINT64_MAX, "not loaded");
    cr_expect_eq(doctor_term(test, "fs.file-max"), UINT64_MAX, "no bound");
    doctor_close(test);
    free(test);
}

// Version 1 leaves the sockets themselves out of the group's account; version 2 counts in full.
Test(doctor_capacity, control_groups) {
    static const struct {
        const char *tree, *process;
        uint64_t left, each;
    } rows[] = {
        {"tuned", "4711", 30ULL << 30, 1602},
        {"container", "self", (2ULL << 30) - 136314880 + 102760448, 4122},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        cr_assert_not_null(test);
        doctor_open(test, rows[i].tree);
        test->examination.source.process = rows[i].process;
        if (i == 0) {
            static const char used[] = "sys/fs/cgroup/memory/system.slice/holdfast.service/"
                                       "memory.usage_in_bytes";
            doctor_file_write(test->root, used, "2147483648", 10);
        }
        examination_run(&test->examination);
        uint64_t usable = rows[i].left - rows[i].left / 20 - (4 << 20);
        cr_expect_eq(doctor_term(test, "control group"), usable / (rows[i].each + 128 + 32 + 10));
        cr_expect_eq(test->examination.capacity.held,
                     doctor_term(test, i == 0 ? "memory" : "control group"));
        doctor_close(test);
        free(test);
    }
}

Test(doctor_capacity, first_limit) {
    static const struct {
        const char *path, *text, *first;
        uint64_t connections;
    } rows[] = {
        // 128 descriptors: 96 rings beside what the process has itself and the listeners.
        {"proc/self/limits", "Max open files  128  128  files\n", "descriptor tables",
         (128 - 32 - 5) * 128ULL},
        {"proc/sys/fs/file-max", "500000\n", "fs.file-max", 500000 - 1088},
        {"proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n", "memory",
         ((1000000ULL << 10) - (128 << 20) - (4 << 20)) / (4282 + 10)},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        cr_assert_not_null(test);
        doctor_open(test, "debian");
        doctor_file_write(test->root, rows[i].path, rows[i].text, strlen(rows[i].text));
        examination_run(&test->examination);
        const struct capacity *capacity = &test->examination.capacity;
        cr_expect_str_eq(capacity->terms[capacity->first].name, rows[i].first);
        cr_expect_eq(capacity->connections, rows[i].connections, "%s: %llu", rows[i].first,
                     (unsigned long long)capacity->connections);
        doctor_close(test);
        free(test);
    }
}

Test(doctor_capacity, descriptors_wanted) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    cr_expect_eq(process_files_wanted(test->examination.config, 2), 7813 + 7813 / 16 + 128 + 32);
    cr_expect_eq(process_files_wanted(test->examination.config, 64), 245 + 15 + 4096 + 32);
    doctor_close(test);
    free(test);
}
