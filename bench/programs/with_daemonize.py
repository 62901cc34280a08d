"""A daemon by daemonize of PyPI, which wants a pidfile."""

import os
import sys
import time

from daemonize import Daemonize  # type: ignore[import-not-found] # in the bench's own environment alone

fifo, pidfile, fails = sys.argv[1], sys.argv[2], "fails" in sys.argv


def work() -> None:
    running = time.monotonic_ns()
    if fails:
        raise RuntimeError("the set-up fails")
    os.write(os.open(fifo, os.O_WRONLY), f"{os.getpid()} {running} {before}\n".encode())
    time.sleep(60)


context = Daemonize(app="bench", pid=pidfile, action=work)
before = time.monotonic_ns()
context.start()
