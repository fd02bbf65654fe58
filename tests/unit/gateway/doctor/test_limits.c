// Control groups of both versions, containers, another process' limits, the systemd unit.
#include "tests/unit/gateway/doctor/doctor_test.h"

Test(doctor_limits, container) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "container");
    test->examination.probe = (struct examination_probe){.is_asked = true, .ring_error = -1};
    examination_run(&test->examination);
    doctor_expect(test, "seccomp", VERDICT_FAIL, "mode 2");
    cr_expect_not_null(strstr(doctor_find(test, "seccomp")->fix, "--security-opt"));
    doctor_expect(test, "io_uring", VERDICT_FAIL, "seccomp");
    // 2 GiB less what is used and could not be given back: 130 MiB less 98 MiB of cache.
    doctor_expect(test, "memory", VERDICT_FAIL,
                  "14267 MiB left, 2016 MiB by /sys/fs/cgroup/memory.max");
    doctor_expect(test, "CPUs", VERDICT_WARN, "4 CPUs, quota 1.5");
    doctor_expect(test, "vm.overcommit_memory", VERDICT_FAIL, "2");
    doctor_expect(test, "net.ipv4.tcp_mem", VERDICT_PASS, "not there");
    doctor_expect(test, "net.netfilter.nf_conntrack_max", VERDICT_FAIL, "262144");
    doctor_expect(test, "connection tracking", VERDICT_FAIL, "231004 of 262144");
    doctor_expect(test, "core dumps", VERDICT_PASS, "apport");
    cr_expect_null(doctor_find(test, "receive queues"), "eth0 is no device of this container");
    cr_expect_eq(doctor_term(test, "nf_conntrack_max"), 262144 - 231004);
    doctor_close(test);
    free(test);
}

// Everything right, of a process with a number: the drop-in has the last word over the unit.
Test(doctor_limits, tuned) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "tuned");
    test->examination.source.process = "4711";
    examination_run(&test->examination);
    for (uint32_t i = 0; i < test->examination.finding_count; i++) {
        const struct finding *finding = &test->examination.findings[i];
        cr_expect_eq(finding->verdict, VERDICT_PASS, "%s: %s, wanted %s", finding->name,
                     finding->now, finding->wanted);
    }
    cr_expect_eq(test->examination.counts[VERDICT_PASS], test->examination.finding_count);
    doctor_expect(test, "memory", VERDICT_PASS, "60166 MiB left, 28672 MiB by");
    doctor_expect(test, "CPUs", VERDICT_PASS, "16 CPUs");
    doctor_expect(test, "unit: LimitNOFILE", VERDICT_PASS, "1048576");
    doctor_expect(test, "unit: TimeoutStopSec", VERDICT_PASS, "2min");
    doctor_expect(test, "net.netfilter.nf_conntrack_max", VERDICT_PASS, "tracks nothing");
    doctor_expect(test, "vm.swappiness", VERDICT_PASS, "no swap");
    doctor_expect(test, "receive queues", VERDICT_PASS, "2 receive queues, RPS on");
    doctor_expect(test, "listener ports", VERDICT_PASS, "1024 to 65535");
    doctor_close(test);
    free(test);
}

Test(doctor_limits, quota_and_unit) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "tuned");
    test->examination.source.process = "4711";
    static const char quota[] = "sys/fs/cgroup/cpu,cpuacct/system.slice/holdfast.service/"
                                "cpu.cfs_quota_us";
    static const char drop_in[] = "etc/systemd/system/holdfast.service.d/95-later.conf";
    static const char later[] =
        "[Service]\nLimitNOFILE=1024:2048\nType=simple\nTimeoutStopSec=30\nWatchdogSec=1s\n";
    doctor_file_write(test->root, quota, "850000\n", 7);
    doctor_file_write(test->root, drop_in, later, sizeof later - 1);
    examination_run(&test->examination);
    doctor_expect(test, "CPUs", VERDICT_WARN, "16 CPUs, quota 8.5");
    doctor_expect(test, "unit: Type", VERDICT_WARN, "simple");
    doctor_expect(test, "unit: TimeoutStopSec", VERDICT_FAIL, "30");
    doctor_expect(test, "unit: WatchdogSec", VERDICT_WARN, "1s");
    // 16 workers x 64 rings need 977 and a sixteenth each, and the rings are descriptors
    // themselves.
    doctor_expect(test, "unit: LimitNOFILE", VERDICT_FAIL, "1024:2048");
    cr_expect_str_eq(doctor_find(test, "unit: LimitNOFILE")->value, "2094");
    doctor_close(test);
    free(test);
}

#define SERVICES                                                                                   \
    "listeners: [{address: 127.0.0.1:80}]\nworkers: 2\n"                                           \
    "upstreams: {site: {servers: [\"http://127.0.0.1:3000\", \"http://127.0.0.1:3001\"], "         \
    "connections: 100}, near: {servers: [\"unix:/run/near.sock\"]}}\n"                             \
    "routes:\n  - {path: /near, tunnel: {upstream: near}}\n"                                       \
    "  - {path: \"/*\", proxy: {upstream: site}, upgrade: false}\n"

// 64,512 ports from 1024 to 65535 of that machine, 200 for the pools, and two servers.
Test(doctor_limits, ports_to_services_at_n_minus_1_n_and_n_plus_1) {
    static const struct {
        const char *route;
        enum verdict verdict;
    } cases[] = {
        {"", VERDICT_PASS},
        {"  - {path: /live, tunnel: {upstream: site}, limits: {connections: 128623}}\n",
         VERDICT_PASS},
        {"  - {path: /live, tunnel: {upstream: site}, limits: {connections: 128624}}\n",
         VERDICT_PASS},
        {"  - {path: /live, tunnel: {upstream: site}, limits: {connections: 128626}}\n",
         VERDICT_WARN},
        {"  - {path: \"/live/*\", proxy: {upstream: site}}\n", VERDICT_WARN}, // of everybody
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        char text[2048];
        cr_assert_not_null(test);
        doctor_open(test, "tuned");
        (void)snprintf(text, sizeof text, "%s%s", SERVICES, cases[i].route); // it fits
        doctor_config_set(test, text);
        test->examination.source.process = "4711";
        examination_run(&test->examination);
        doctor_expect(test, "outgoing ports", cases[i].verdict, "64512 ports");
        if (i == 3) {
            cr_expect_str_eq(doctor_find(test, "outgoing ports")->wanted,
                             "64513 to each of upstream `site`");
        }
        doctor_close(test);
        free(test);
    }
}
