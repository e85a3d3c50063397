#!/usr/bin/env python3
"""Runs a program whose threads, and whose children, ask the scheduler for turns of 0.1 ms.

Where both cores are busy, a thread that was woken waits for the turn of another one to end, 3 to 4 ms by default: then a
wait for the disk takes 4 ms whatever the disk does. Shorter turns give nobody more processor time. Linux 6.12 or later.
"""

import ctypes
import os
import struct
import sys

SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}[os.uname().machine]
SLICE_NS = 100_000

# struct sched_attr: size, policy (0 = the usual one), flags, nice, priority, runtime (here: the turn), deadline, period
attributes = struct.pack("=IIQiIQQQ", 48, 0, 0, 0, 0, SLICE_NS, 0, 0)
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(SCHED_SETATTR, 0, attributes, 0) != 0:
    sys.exit(f"slice.py: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
