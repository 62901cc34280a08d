"""A daemon by python-daemon."""

import os
import sys
import time

import daemon  # type: ignore[import-untyped] # it has no types

fifo, fails = sys.argv[1], "fails" in sys.argv
context = daemon.DaemonContext()
before = time.monotonic_ns()
with context:
    running = time.monotonic_ns()
    if fails:
        raise RuntimeError("the set-up fails")
    os.write(os.open(fifo, os.O_WRONLY), f"{os.getpid()} {running} {before}\n".encode())
    time.sleep(60)
