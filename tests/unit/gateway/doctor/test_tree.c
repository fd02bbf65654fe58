// Reading numbers out of the kernel's files.
#include "gateway/doctor/tree.h"

#include <errno.h>

#include "tests/unit/gateway/doctor/doctor_test.h"

Test(doctor_tree, numbers) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    uint64_t value = 0;
    cr_expect(tree_number(test->root, "proc/sys/net/ipv4/tcp_mem", 2, &value));
    cr_expect_eq(value, 380406);
    cr_expect_not(tree_number(test->root, "proc/sys/net/ipv4/tcp_mem", 3, &value));
    cr_expect_not(tree_number(test->root, "proc/sys/net/ipv4/nowhere", 0, &value));
    cr_expect_not(tree_number(test->root, "proc/sys/net/ipv4/ip_local_reserved_ports", 0, &value));
    cr_expect_not(tree_number(test->root, "proc/sys/kernel/core_pattern", 0, &value));
    cr_expect(tree_number(test->root, "sys/fs/cgroup/user.slice/memory.max", 0, &value));
    cr_expect_eq(value, UINT64_MAX);
    doctor_file_write(test->root, "negative", "-1\n", 3);
    cr_expect_not(tree_number(test->root, "negative", 0, &value));
    cr_expect(tree_field(test->root, "proc/self/limits", "Max core file size", 1, &value));
    cr_expect_eq(value, UINT64_MAX);
    cr_expect(tree_field(test->root, "proc/net/sockstat", "TCP:", 3, &value));
    cr_expect_eq(value, 0);
    cr_expect_not(tree_field(test->root, "proc/meminfo", "MemNothing:", 0, &value));
    cr_expect_not(tree_field(test->root, "proc/meminfo", "Total:", 0, &value), "not at the start");
    doctor_close(test);
    free(test);
}

Test(doctor_tree, counters) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    static const char text[] = "TcpExt: One ListenOverflows Three\nTcpExt: 1 22 333\n"
                               "IpExt: One\nIpExt: 4\nLast: One\n";
    uint64_t value = 0;
    doctor_file_write(test->root, "proc/net/netstat", text, sizeof text - 1);
    cr_expect(tree_netstat(test->root, "TcpExt:", "ListenOverflows", &value));
    cr_expect_eq(value, 22);
    cr_expect(tree_netstat(test->root, "IpExt:", "One", &value));
    cr_expect_eq(value, 4);
    cr_expect_not(tree_netstat(test->root, "TcpExt:", "Two", &value));
    cr_expect_not(tree_netstat(test->root, "TcpExt:", "Listen", &value));
    cr_expect_not(tree_netstat(test->root, "Last:", "One", &value), "without its values");
    cr_expect_not(tree_netstat(test->root, "None:", "One", &value));
    doctor_file_write(test->root, "proc/net/netstat", "", 0);
    cr_expect_not(tree_netstat(test->root, "TcpExt:", "One", &value));
    doctor_close(test);
    free(test);
}

Test(doctor_tree, text_and_folders) {
    struct doctor_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(test, "debian");
    char text[8];
    cr_expect(tree_text(test->root, "proc/sys/kernel/osrelease", text, sizeof text));
    cr_expect_str_eq(text, "6.1.0-2", "cut to the room");
    cr_expect(tree_text(test->root, "proc/sys/net/ipv4/ip_local_reserved_ports", text, 1));
    cr_expect_str_eq(text, "");
    cr_expect_not(tree_text(test->root, "proc", text, sizeof text), "a folder is no text");
    cr_expect_eq(tree_count(test->root, "sys/class/net/ens3/queues", "rx-"), 1);
    cr_expect_eq(tree_count(test->root, "sys/class/net/ens3/nothing", "rx-"), 0);
    cr_expect(tree_exists(test->root, "sys/class/net/ens3/device"));
    cr_expect_not(tree_exists(test->root, "sys/class/net/lo/device"));
    char path[128];
    (void)snprintf(path, sizeof path, "%s/link", test->root); // it fits
    cr_assert_eq(symlink("0123456789", path), 0);
    cr_expect_eq(tree_link(test->root, "link", text, sizeof text), 0);
    cr_expect_str_eq(text, "0123456", "cut to the room");
    cr_expect_eq(tree_link(test->root, "proc", text, sizeof text), -EINVAL, "no link");
    cr_expect_str_eq(text, "");
    cr_expect_eq(tree_link(test->root, "nothing", text, sizeof text), -ENOENT);
    doctor_close(test);
    free(test);
}
