// What to tell the operator when the ring cannot be had.
#include "gateway/io/io_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

// kernel.io_uring_disabled (Linux 6.6): 0 allowed, 1 for privileged processes only, 2 for nobody.
// Where the file is missing nothing is disabled that way.
static char disabled_read(void) {
    char value = '0';
    int file = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return '0';
    }
    if (read(file, &value, 1) != 1) {
        value = '0';
    }
    (void)close(file); // only read from
    return value;
}

static const char *advice_denied(void) {
    switch (disabled_read()) {
    case '1':
        return "io_uring is reserved for privileged processes on this machine: set "
               "kernel.io_uring_disabled=0 (sysctl -w), or put this process into the group of "
               "kernel.io_uring_group";
    case '2':
        return "io_uring is switched off on this machine: set kernel.io_uring_disabled=0 (sysctl "
               "-w)";
    default:
        return "io_uring is denied, most likely by a seccomp filter: allow io_uring_setup, "
               "io_uring_enter and io_uring_register (containers: --security-opt seccomp=FILE; "
               "systemd: SystemCallFilter=)";
    }
}

const char *io_open_advice(int error) {
    switch (-error) {
    case ENOSYS:
        return "this kernel has no io_uring, or a seccomp filter hides it: Linux 6.1 or newer with "
               "CONFIG_IO_URING is needed, and containers must allow the io_uring system calls";
    case EPERM:
    case EACCES:
        return advice_denied();
    case EINVAL:
        return "this kernel's io_uring is too old: Linux 6.1 or newer is needed (deferred task "
               "work)";
    case ENOMEM:
        return "no memory for the rings: raise the limit of locked memory (LimitMEMLOCK=infinity, "
               "ulimit -l), the memory of this container, or lower engine.completions and "
               "engine.buffers";
    case EMFILE:
        return "too few file descriptors for the rings: raise LimitNOFILE (ulimit -n)";
    case ENFILE:
        return "the machine is out of file descriptors: raise fs.file-max (sysctl -w)";
    case EEXIST:
        return "the ring was used by a thread that did not open it: this is a defect, please "
               "report it";
    default:
        return "the kernel refused to set up io_uring";
    }
}
