// A machine as it is installed: what is found, what is said to do, and what is not complained of.
#include "tests/unit/gateway/doctor/doctor_test.h"

Test(doctor_fresh, findings) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    examination_run(&test->examination);
    doctor_expect(test, "kernel", VERDICT_PASS, "6.1.0-28-amd64");
    doctor_expect(test, "kernel.io_uring_disabled", VERDICT_PASS, "0");
    doctor_expect(test, "seccomp", VERDICT_PASS, "no filter");
    doctor_expect(test, "descriptor limit", VERDICT_PASS, "1048576");
    doctor_expect(test, "memory", VERDICT_PASS, "15244 MiB left");
    doctor_expect(test, "CPUs", VERDICT_PASS, "4 CPUs");
    doctor_expect(test, "core dumps", VERDICT_WARN, "limit 0");
    doctor_expect(test, "fs.file-max", VERDICT_PASS, "9223372036854775807");
    doctor_expect(test, "net.core.somaxconn", VERDICT_WARN, "4096");
    doctor_expect(test, "net.core.wmem_max", VERDICT_PASS, "212992");
    doctor_expect(test, "net.ipv4.tcp_mem", VERDICT_WARN, "380406");
    doctor_expect(test, "net.netfilter.nf_conntrack_max", VERDICT_PASS, "not there");
    doctor_expect(test, "vm.swappiness", VERDICT_WARN, "60");
    doctor_expect(test, "transparent huge pages", VERDICT_WARN, "[always]");
    doctor_expect(test, "TCP hash table", VERDICT_PASS, "131072");
    doctor_expect(test, "receive queues", VERDICT_WARN, "ens3: 1 receive queue");
    doctor_expect(test, "listener ports", VERDICT_PASS, "32768 to 60999");
    doctor_expect(test, "troubles", VERDICT_PASS, "none");
    // Not asked of a recorded machine; not there; not installed.
    cr_expect_null(doctor_find(test, "io_uring"));
    cr_expect_null(doctor_find(test, "connection tracking"));
    cr_expect_null(doctor_find(test, "kernel TLS"));
    cr_expect_null(doctor_find(test, "trusted addresses"));
    cr_expect_null(doctor_find(test, "unit: Type"));
    cr_expect_eq(test->examination.counts[VERDICT_FAIL], 0);
    doctor_close(test);
    free(test);
}

Test(doctor_fresh, values_to_set) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    examination_run(&test->examination);
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"net.core.somaxconn", "32768"}, // 20,000 handshakes a second
        {"net.ipv4.tcp_mem", "750000 1125000 1500000"},
        {"net.ipv4.tcp_rmem", "4096 131072 1048576"},
        {"net.ipv4.tcp_max_orphans", "262144"},
        {"net.core.netdev_max_backlog", "16384"},
        {"vm.swappiness", "10"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct finding *finding = doctor_find(test, rows[i].name);
        cr_assert_not_null(finding);
        cr_expect_str_eq(finding->value, rows[i].value, "%s: %s", rows[i].name, finding->value);
        cr_expect_not_null(strstr(finding->fix, rows[i].value));
    }
    doctor_close(test);
    free(test);
}

// What is wanted follows from the configuration.
Test(doctor_fresh, small_configuration) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    doctor_config_set(test, "listeners:\n  - address: 127.0.0.1:40000\n"
                            "limits: {connections: 5000, handshakes_per_second: 500}\n"
                            "workers: 9\n"
                            "backpressure: {kernel: 1MiB}\n"
                            "routes:\n  - {path: /echo, echo: {}}\n");
    examination_run(&test->examination);
    doctor_expect(test, "net.core.somaxconn", VERDICT_PASS, "4096");
    doctor_expect(test, "net.ipv4.tcp_mem", VERDICT_PASS, "380406");
    doctor_expect(test, "net.core.netdev_max_backlog", VERDICT_PASS, "1000");
    doctor_expect(test, "net.core.wmem_max", VERDICT_WARN, "212992");
    doctor_expect(test, "listener ports", VERDICT_WARN, "port 40000");
    doctor_expect(test, "CPUs", VERDICT_WARN, "4 CPUs");
    doctor_expect(test, "admin API", VERDICT_WARN, "no admin listener");
    cr_expect_str_eq(doctor_find(test, "listener ports")->value, "40000");
    doctor_close(test);
    free(test);
}

// What the configuration itself is in the way of.
Test(doctor_fresh, configured_too_small) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    doctor_config_set(test, "listeners:\n  - address: 127.0.0.1:8080\n"
                            "engine: {slots: 1000}\n"
                            "keepalive: {ping: 2s, pong: 1s}\n"
                            "routes:\n  - {path: /echo, echo: {}}\n");
    examination_run(&test->examination);
    doctor_expect(test, "descriptor limit", VERDICT_FAIL, "engine.slots: 1000");
    cr_expect_not_null(strstr(doctor_find(test, "descriptor limit")->fix, "slots: auto"));
    doctor_expect(test, "keepalive", VERDICT_WARN, "time for 651162");
    cr_expect_not_null(strstr(doctor_find(test, "keepalive")->fix, "ping: 4s"));
    doctor_close(test);
    free(test);
}

// Each of these alone keeps the gateway from starting, or from holding what is configured.
Test(doctor_fresh, failures) {
    static const struct {
        const char *path, *text, *name, *now;
    } rows[] = {
        {"proc/sys/kernel/osrelease", "5.15.0-9\n", "kernel", "5.15.0-9"},
        {"proc/sys/kernel/osrelease", "6.0.1\n", "kernel", "6.0.1"},
        {"proc/sys/kernel/io_uring_disabled", "2\n", "kernel.io_uring_disabled", "2"},
        {"proc/sys/kernel/io_uring_disabled", "1\n", "kernel.io_uring_disabled", "1"},
        {"proc/self/limits", "Max open files  1024  4096  files\n", "descriptor limit", "4096"},
        {"proc/self/limits", "Max address space  1073741824  unlimited  bytes\n", "address space",
         "1024 MiB"},
        {"proc/sys/fs/nr_open", "4096\n", "fs.nr_open", "4096"},
        {"proc/sys/fs/file-max", "1000000\n", "fs.file-max", "1000000"},
        {"proc/meminfo", "MemTotal: 4000000 kB\nMemAvailable: 3900000 kB\n", "memory", "3808 MiB"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        cr_assert_not_null(test);
        doctor_open(test, "debian");
        doctor_file_write(test->root, rows[i].path, rows[i].text, strlen(rows[i].text));
        examination_run(&test->examination);
        doctor_expect(test, rows[i].name, VERDICT_FAIL, rows[i].now);
        cr_expect_geq(test->examination.counts[VERDICT_FAIL], 1);
        doctor_close(test);
        free(test);
    }
}

// What has run full, or has been told apart: each file as it is, and as it should not be.
Test(doctor_fresh, in_use) {
    static const struct {
        const char *path, *text, *name, *now, *fix; // fix NULL: nothing is wrong
        enum verdict verdict;
    } rows[] = {
        {"proc/net/sockstat", "TCP: inuse 2 orphan 0 tw 32767 alloc 3 mem 0\n", "TIME_WAIT",
         "32767 of 65536", NULL, VERDICT_PASS},
        {"proc/net/sockstat", "TCP: inuse 2 orphan 0 tw 32768 alloc 3 mem 0\n", "TIME_WAIT",
         "32768 of 65536", "tcp_max_tw_buckets=131072", VERDICT_WARN},
        {"proc/net/sockstat", "TCP: inuse 2 orphan 32768 tw 0 alloc 3 mem 0\n", "orphans",
         "32768 of 65536", "tcp_max_orphans=131072", VERDICT_WARN},
        {"proc/net/netstat", "TcpExt: OfoPruned\nTcpExt: 7\n", "troubles",
         "OfoPruned 7 (net.ipv4.tcp_rmem)", "--watch 10", VERDICT_WARN},
        {"proc/sys/kernel/random/entropy_avail", "127\n", "entropy", "127 bits", "virtio-rng",
         VERDICT_WARN},
        {"proc/sys/net/ipv4/tcp_available_ulp", "espintcp mptcp tls\n", "kernel TLS", "loaded",
         NULL, VERDICT_PASS},
        {"proc/sys/net/ipv4/tcp_available_ulp", "mptcp tlsx\n", "kernel TLS",
         "not loaded (modprobe tls)", NULL, VERDICT_PASS},
        {"proc/sys/net/ipv4/tcp_available_ulp", "\n", "kernel TLS", "not loaded (modprobe tls)",
         NULL, VERDICT_PASS},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        cr_assert_not_null(test);
        doctor_open(test, "debian");
        doctor_file_write(test->root, rows[i].path, rows[i].text, strlen(rows[i].text));
        examination_run(&test->examination);
        doctor_expect(test, rows[i].name, rows[i].verdict, rows[i].now);
        const char *fix = rows[i].fix == NULL ? "" : rows[i].fix;
        cr_expect_not_null(strstr(doctor_find(test, rows[i].name)->fix, fix), "%s", fix);
        doctor_close(test);
        free(test);
    }
}

// Counted since boot, or in the time that was watched: only what grows is shown, by how much.
Test(doctor_fresh, troubles_meanwhile) {
    static const char *const texts[] = {
        "TcpExt: ListenOverflows OfoPruned\nTcpExt: 5 7\n",
        "TcpExt: ListenOverflows OfoPruned\nTcpExt: 5 9\n",
    };
    static const struct {
        uint32_t watched_s;
        unsigned text;
        enum verdict verdict;
        const char *now, *wanted;
    } rows[] = {
        {0, 0, VERDICT_WARN, "ListenOverflows 5 (net.core.somaxconn), OfoPruned 7", "since boot"},
        {10, 0, VERDICT_PASS, "none", "none in these 10 s"},
        {10, 1, VERDICT_WARN, "OfoPruned 2 (net.ipv4.tcp_rmem)", "none in these 10 s"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        cr_assert_not_null(test);
        doctor_open(test, "debian");
        doctor_file_write(test->root, "proc/net/netstat", texts[0], strlen(texts[0]));
        troubles_read(test->root, test->examination.troubles_before);
        cr_expect_eq(test->examination.troubles_before[2], UINT64_MAX, "it has no such counter");
        test->examination.watched_s = rows[i].watched_s;
        const char *text = texts[rows[i].text];
        doctor_file_write(test->root, "proc/net/netstat", text, strlen(text));
        examination_run(&test->examination);
        doctor_expect(test, "troubles", rows[i].verdict, rows[i].now);
        const struct finding *finding = doctor_find(test, "troubles");
        cr_expect_not_null(strstr(finding->wanted, rows[i].wanted), "%s", finding->wanted);
        cr_expect_eq(strncmp(finding->now, rows[i].now, strlen(rows[i].now)), 0);
        doctor_close(test);
        free(test);
    }
}

Test(doctor_fresh, what_a_ring_says) {
    static const struct {
        struct examination_probe probe;
        enum verdict ring, seccomp;
    } rows[] = {
        {{.is_asked = true, .has_peer_name = true, .is_clock_synchronized = true},
         VERDICT_PASS,
         VERDICT_PASS},
        {{.is_asked = true, .ring_error = -1}, VERDICT_FAIL, VERDICT_PASS},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        cr_assert_not_null(test);
        doctor_open(test, "debian");
        test->examination.probe = rows[i].probe;
        examination_run(&test->examination);
        doctor_expect(test, "io_uring", rows[i].ring, "");
        doctor_expect(test, "seccomp", rows[i].seccomp, "no filter");
        doctor_expect(test, "time of day", i == 0 ? VERDICT_PASS : VERDICT_WARN, "synchronized");
        cr_expect_eq(doctor_find(test, "peer address on the ring") == NULL, i == 1);
        doctor_close(test);
        free(test);
    }
}
