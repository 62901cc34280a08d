"""What a process and all below it use, as the kernel tells it."""

import os
import subprocess
import sys
import time

import pytest

import observe
from numen.kernel.usage import age, usage
from processes import Reaper, wait_for

DEADLINE = 30.0

FAMILY = """\
import subprocess, sys, threading
held = bytearray(b"x" * (32 << 20))
def start(): subprocess.Popen([sys.executable, "-c", "x = bytearray(b'x' * (32 << 20)); input()"])
for act in (start, lambda: threading.Thread(target=start).start()): act()
print("ready", flush=True)
input()
"""


def family(reaper: Reaper) -> int:
    """A process with two children, one of which a thread of it has forked; each holds 32 MiB."""
    process = reaper.start([sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process.pid


def test_the_memory_of_a_family_is_that_of_all(reaper: Reaper) -> None:
    pid = family(reaper)
    start_time = observe.start_time(pid)

    def found() -> bool:
        told = usage(pid, start_time)
        return told is not None and told.processes == 3 and told.memory > 3 * 32 << 20

    wait_for(found, DEADLINE, "three processes of 32 MiB")
    told = usage(pid, start_time)
    assert told is not None
    assert told.memory < 3 * 64 << 20


def test_the_processor_time_of_children_that_have_ended_counts(reaper: Reaper) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    process = reaper.start([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()

    told = usage(process.pid, observe.start_time(process.pid))

    assert told is not None
    assert told.processes == 1
    assert 0.25 <= told.cpu < 10


def test_a_process_that_is_gone_or_another_with_its_pid_uses_nothing(reaper: Reaper) -> None:
    process = reaper.start(["true"])
    process.wait()

    assert usage(process.pid, 1) is None
    assert usage(os.getpid(), observe.start_time(os.getpid()) + 1) is None


def test_the_age_of_a_process_is_counted_from_its_start() -> None:
    began = time.monotonic()
    process = subprocess.Popen(["sleep", "1000"])
    try:
        told = age(observe.start_time(process.pid))
        assert told == pytest.approx(time.monotonic() - began, abs=0.05)
    finally:
        process.kill()
        process.wait()
