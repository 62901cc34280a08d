"""A daemon by daemonocle."""

import os
import sys
import time

import daemonocle  # type: ignore[import-not-found] # it is installed in the bench's own environment alone

fifo, fails = sys.argv[1], "fails" in sys.argv


def work() -> None:
    running = time.monotonic_ns()
    if fails:
        raise RuntimeError("the set-up fails")
    os.write(os.open(fifo, os.O_WRONLY), f"{os.getpid()} {running} {before}\n".encode())
    time.sleep(60)


context = daemonocle.Daemon(worker=work)
before = time.monotonic_ns()
context.do_action("start")
