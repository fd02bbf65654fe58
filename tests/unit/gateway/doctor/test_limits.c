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

// Nothing is complained of without a remedy: on every machine that we know, with a ring and without
// one, under a configuration that fits none of them.
Test(doctor_limits, every_complaint_has_a_remedy) {
    static const char *const trees[] = {"debian", "container", "tuned", NULL}; // NULL: this one
    uint32_t complaints = 0;
    for (unsigned i = 0; i < 2 * sizeof trees / sizeof trees[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        const char *tree = trees[i / 2];
        cr_assert_not_null(test);
        doctor_open(test, tree == NULL ? "debian" : tree);
        test->examination.source.root = tree == NULL ? "" : test->root;
        test->examination.probe =
            (struct examination_probe){.is_asked = true, .ring_error = i % 2 == 0 ? 0 : -1};
        doctor_config_set(test, "listeners: [{address: 127.0.0.1:40000}]\nworkers: 64\n"
                                "limits: {connections: 50000000}\n"
                                "keepalive: {ping: 2s, pong: 1s}\n"
                                "upstreams: {web: {servers: [\"http://127.0.0.1:1\"]}}\n"
                                "trusted: [0.0.0.0/0]\n"
                                "routes: [{path: /, tunnel: {upstream: web}}]\n");
        doctor_file_write(test->root, "proc/sys/kernel/osrelease", "5.10.0\n", 7);
        examination_run(&test->examination);
        for (uint32_t k = 0; k < test->examination.finding_count; k++) {
            const struct finding *finding = &test->examination.findings[k];
            cr_expect(finding->verdict == VERDICT_PASS || finding->fix[0] != 0, "%s: %s",
                      finding->name, finding->now);
            complaints += finding->verdict != VERDICT_PASS;
        }
        doctor_close(test);
        free(test);
    }
    cr_expect_gt(complaints, 60);
}

// Interrupts of a card with two queues, and where they go.
Test(doctor_limits, interrupts) {
    static const struct {
        const char *first, *second, *now;
        enum verdict verdict;
    } rows[] = {
        {"3", "5", "eth0: on several CPUs", VERDICT_PASS},
        {"0-15", "0-15", "eth0: on several CPUs", VERDICT_PASS},
        {"3", "3", "eth0: on CPU 3", VERDICT_WARN},
        {"3", "", "eth0: on CPU 3", VERDICT_WARN}, // the other is not in use yet
        {"", "", NULL, VERDICT_PASS},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0] * 2; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        // A card of its own, and a virtio device, whose interrupts are the PCI device's above it.
        const char *folder = i % 2 == 0 ? "device/msi_irqs" : "msi_irqs";
        char path[128];
        unsigned row = i / 2;
        cr_assert_not_null(test);
        doctor_open(test, "tuned");
        test->examination.source.process = "4711";
        for (unsigned k = 0; k < 2; k++) {
            const char *cpus = k == 0 ? rows[row].first : rows[row].second;
            (void)snprintf(path, sizeof path, "sys/class/net/eth0/%s/%u", folder, 40 + k);
            doctor_file_write(test->root, path, "msix\n", 5); // the paths fit
            (void)snprintf(path, sizeof path, "proc/irq/%u/effective_affinity_list", 40 + k);
            doctor_file_write(test->root, path, cpus, strlen(cpus));
        }
        examination_run(&test->examination);
        if (rows[row].now == NULL) {
            cr_expect_null(doctor_find(test, "interrupts"));
        } else {
            doctor_expect(test, "interrupts", rows[row].verdict, rows[row].now);
            (void)snprintf(path, sizeof path, "for i in /sys/class/net/eth0/%s/*",
                           i % 2 == 0 ? folder : "device/../msi_irqs"); // it fits
            cr_expect_not_null(strstr(doctor_find(test, "interrupts")->fix, path));
            cr_expect_not_null(strstr(doctor_find(test, "interrupts")->fix, "% 16))"));
        }
        doctor_close(test);
        free(test);
    }
}

// The log goes to standard error, and that to where standard output goes unless the unit says more.
Test(doctor_limits, log_of_the_unit) {
    static const struct {
        const char *lines, *now;
        enum verdict verdict;
    } rows[] = {
        {"", "journal", VERDICT_PASS},
        {"StandardError=syslog\n", "syslog", VERDICT_PASS},
        {"StandardError=null\n", "null", VERDICT_WARN},
        {"StandardOutput=null\n", "null", VERDICT_WARN},
        {"StandardOutput=null\nStandardError=inherit\n", "null", VERDICT_WARN},
        {"StandardOutput=null\nStandardError=journal\n", "journal", VERDICT_PASS},
        {"StandardError=append:/var/log/holdfast/out.log\n", "append:/var/log/holdfast/out.log",
         VERDICT_WARN},
        {"StandardError=append:/etc/systemd/out.log\n", "append:/etc", VERDICT_PASS},
        {"StandardError=file:/out.log\n", "file:/out.log", VERDICT_PASS},
        {"StandardError=fd:log\n", "fd:log", VERDICT_PASS},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct doctor_test *test = calloc(1, sizeof *test);
        char text[256];
        cr_assert_not_null(test);
        doctor_open(test, "tuned");
        (void)snprintf(text, sizeof text, "[Service]\n%s", rows[i].lines); // it fits
        doctor_file_write(test->root, "etc/systemd/system/holdfast.service.d/91-log.conf", text,
                          strlen(text));
        examination_run(&test->examination);
        doctor_expect(test, "unit: StandardError", rows[i].verdict, rows[i].now);
        cr_expect_str_eq(doctor_find(test, "unit: StandardError")->value, "journal");
        doctor_close(test);
        free(test);
    }
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
