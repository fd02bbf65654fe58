#!/usr/bin/python3 -B
"""The first process of the virtual machine that tests/kernel/run boots: runs the programs, says how they ended, and
switches the machine off. Only the console leaves it."""
import ctypes
import fcntl
import os
import pathlib
import resource
import signal
import socket
import struct
import subprocess
import time
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
FILES_MAX = 20000
PROGRAM_SECONDS_MAX = 600
POWER_OFF = 0x4321FEDC
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def mount(kind, place):
    if LIBC.mount(kind.encode(), place.encode(), kind.encode(), 0, None) != 0:
        print(f"mount {place}: {os.strerror(ctypes.get_errno())}")


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", request)[1] | IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags))


def prepare():
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    mount("devtmpfs", "/dev")
    mount("tmpfs", "/tmp")
    for descriptor in range(3):  # /dev/console as it was at boot may be missing
        os.dup2(os.open("/dev/console", os.O_RDWR), descriptor)
    loopback_up()
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    os.environ.update(PATH="/usr/bin:/test/bin", HOME="/tmp", HOLDFAST="/test/bin/holdfast", tier="ci",
                      PYTHONUNBUFFERED="1")
    os.chdir("/tmp")


def run(name, command):
    print(f"== {name}", flush=True)
    started = time.monotonic()
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        status = program.wait(PROGRAM_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        print(f"not done after {PROGRAM_SECONDS_MAX} s")
        status = 124
    try:
        os.killpg(program.pid, signal.SIGKILL)  # and what it left running
    except ProcessLookupError:
        pass
    program.wait()
    print(f"-- {status} {time.monotonic() - started:.0f}", flush=True)


def main():
    prepare()
    print(f"@@ kernel {os.uname().release}")
    words = dict(word.partition("=")[::2] for word in pathlib.Path("/proc/cmdline").read_text().split())
    wanted = words.get("holdfast.programs", "all").split(",")
    programs = {path.name: [str(path)] for path in sorted(pathlib.Path("/test/bin").glob("contract_*"))}
    programs["smoke"] = ["/usr/bin/python3", "-B", "/test/kernel/smoke.py"]
    for name, command in programs.items():
        if name in wanted or wanted == ["all"]:
            run(name, command)
    print("@@ done", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # the first process must not end before the machine does
        traceback.print_exc()
    time.sleep(0.2)
    LIBC.reboot(POWER_OFF)
