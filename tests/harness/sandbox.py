#!/usr/bin/python3
"""Runs a command behind the system call filter of a systemd unit: sandbox.py UNIT COMMAND...

Without systemd as the first process there is no other way to see whether the filter lets a program work. A call that
the unit does not allow ends the program (systemd would only refuse it). As root it also becomes `nobody`, without
capabilities. x86-64 and arm64.
"""

import ctypes
import os
import pathlib
import platform
import re
import struct
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
ARCHES = {
    "x86_64": (0xC000003E, "x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": (0xC00000B7, "asm-generic/unistd.h"),
}
ALLOW, KILL = 0x7FFF0000, 0x80000000
NO_NEW_PRIVS, SET_SECCOMP, FILTER_MODE = 38, 22, 2


def set_expand(name, known):
    """The calls of a set such as @system-service."""
    if not name.startswith("@"):
        return {name}
    if name not in known:
        out = subprocess.run(
            ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
        ).stdout
        words = [line.strip() for line in out.splitlines()[1:]]
        known[name] = [word for word in words if word and not word.startswith("#")]
    return set().union(*(set_expand(word, known) for word in known[name]))


def allowed(unit):
    calls, known = set(), {}
    for value in re.findall(r"^SystemCallFilter=(.*)$", pathlib.Path(unit).read_text(), re.M):
        for name in value.lstrip("~").split():
            expanded = set_expand(name, known)
            calls = calls - expanded if value.startswith("~") else calls | expanded
    # systemd allows @default always: it could not start anything otherwise.
    return calls | set_expand("@default", known)


def program(calls, arch, numbers):
    def instruction(code, yes, no, k):
        return struct.pack("=HBBI", code, yes, no, k)

    code = [
        instruction(0x20, 0, 0, 4),
        instruction(0x15, 1, 0, arch),
        instruction(0x06, 0, 0, KILL),
    ]
    code.append(instruction(0x20, 0, 0, 0))
    for name in sorted(calls & set(numbers)):
        code += [instruction(0x15, 0, 1, numbers[name]), instruction(0x06, 0, 0, ALLOW)]
    return code + [instruction(0x06, 0, 0, KILL)]


def main(unit, command):
    arch, header = ARCHES[platform.machine()]
    text = pathlib.Path("/usr/include", header).read_text()
    numbers = {name: int(n) for name, n in re.findall(r"#define __NR_(\w+)\s+(\d+)", text)}
    code = program(allowed(unit), arch, numbers)
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    buffer = ctypes.create_string_buffer(b"".join(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    filled = Program(len(code), ctypes.cast(buffer, ctypes.c_void_p))
    if LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or LIBC.prctl(
        SET_SECCOMP, FILTER_MODE, ctypes.byref(filled)
    ):
        sys.exit(f"sandbox: {os.strerror(ctypes.get_errno())}")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
