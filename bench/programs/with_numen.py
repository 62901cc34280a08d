"""A daemon by numen's DaemonContext: `open` is ready when it is entered, `call` when ready() says so."""

import os
import sys
import time

import numen

fifo, ready, fails = sys.argv[1], sys.argv[2], "fails" in sys.argv
context = numen.DaemonContext(ready=ready)
before = time.monotonic_ns()
with context as daemon:
    running = time.monotonic_ns()
    if fails:
        raise RuntimeError("the set-up fails")
    os.write(os.open(fifo, os.O_WRONLY), f"{os.getpid()} {running} {before}\n".encode())
    daemon.ready()
    time.sleep(60)
