"""A daemon by a bare double fork: what Python itself takes for the classic recipe."""

import os
import sys
import time

fifo, fails = sys.argv[1], "fails" in sys.argv


def become_daemon() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o022)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


before = time.monotonic_ns()
become_daemon()
running = time.monotonic_ns()
if fails:
    raise RuntimeError("the set-up fails")
os.write(os.open(fifo, os.O_WRONLY), f"{os.getpid()} {running} {before}\n".encode())
time.sleep(60)
