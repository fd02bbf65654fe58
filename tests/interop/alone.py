#!/usr/bin/python3
"""Runs a command in a network namespace with nothing but loopback: alone.py COMMAND... (as root, or where users may)

mosquitto's WebSocket listener binds every address of the machine, and RabbitMQ's node a port that others may hold."""

import ctypes
import fcntl
import os
import socket
import struct
import sys

NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000  # CLONE_NEWNET, CLONE_NEWUSER
SET_FLAGS, UP = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP

libc = ctypes.CDLL(None, use_errno=True)
flags = NEW_NETWORK if os.geteuid() == 0 else NEW_NETWORK | NEW_USER
if libc.unshare(flags) != 0:
    sys.exit(f"alone: no network namespace: {os.strerror(ctypes.get_errno())}")
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14x", b"lo", UP))
os.execvp(sys.argv[1], sys.argv[1:])
