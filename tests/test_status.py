"""What is read from the status and the limits of a process."""

import os
import resource
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
import recorded_proc
from numen.kernel import proc, status
from processes import Reaper, wait_for


def test_the_status_of_this_process_is_what_the_kernel_says() -> None:
    seen = observe.look(os.getpid())

    found = status.status(os.getpid())

    assert found is not None
    assert (found.uids[:3], found.gids[:3]) == (os.getresuid(), os.getresgid())
    assert (found.groups, found.umask, found.tracer) == (frozenset(os.getgroups()), seen.umask, 0)
    assert (found.uids, found.gids) == (seen.uids, seen.gids)
    assert found.pids[-1] == os.getpid()
    assert found.threads == threading.active_count()
    assert found.no_new_privileges == seen.no_new_privs
    own = (found.blocked, found.ignored, found.caught)
    assert [one - observe.OF_THE_C_LIBRARY for one in own] == [
        seen.signals.blocked,
        seen.signals.ignored,
        seen.signals.caught,
    ]
    masks = (found.inheritable, found.permitted, found.effective, found.bounding, found.ambient)
    sets = seen.capabilities
    expected = (sets.inheritable, sets.permitted, sets.effective, sets.bounding, sets.ambient)
    assert [frozenset(bit for bit in range(64) if mask >> bit & 1) for mask in masks] == list(expected)


def test_memory_is_told_in_bytes() -> None:
    found = status.status(os.getpid())

    assert found is not None
    assert found.resident is not None
    assert found.memory is not None
    assert found.locked == 0
    assert 1 << 20 < found.resident < found.memory


def test_a_process_that_sets_its_umask_groups_and_signals_is_seen_so(reaper: Reaper) -> None:
    script = (
        "import os, signal; os.umask(0o027);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGRTMAX]);"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.signal(signal.SIGTERM, print);"
        "os.kill(os.getpid(), signal.SIGUSR1); os.write(1, b'!'); signal.pause()"
    )
    child = reaper.start([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"

    found = status.status(child.pid)

    assert found is not None
    assert found.umask == 0o027
    assert found.blocked == {signal.SIGUSR1, signal.SIGRTMAX}
    assert found.pending == {signal.SIGUSR1}
    assert signal.SIGHUP in found.ignored
    assert found.caught >= {signal.SIGTERM}
    assert found.queued_signals is not None
    assert found.queued_signals[0] >= 1
    assert found.queued_signals[1] == resource.prlimit(child.pid, resource.RLIMIT_SIGPENDING)[0]


def test_an_old_kernel_leaves_out_what_it_does_not_know() -> None:
    found = status.parse_status(recorded_proc.STATUS_2_6)

    assert found is not None
    assert (found.umask, found.pids, found.no_new_privileges, found.seccomp) == (None, (), None, None)
    assert (found.groups, found.ambient, found.caught) == (frozenset(), 0, frozenset({1, 17}))
    assert found.memory == 117300 * 1024


def test_a_newer_kernel_tells_every_field() -> None:
    found = status.parse_status(recorded_proc.STATUS_5_10)

    assert found is not None
    assert (found.umask, found.tracer, found.pids, found.threads) == (0o022, 77, (512, 1), 4)
    assert (found.uids, found.gids, found.groups) == ((104,) * 4, (111,) * 4, frozenset({4, 27, 111}))
    assert (found.memory, found.resident, found.locked) == (9144 << 10, 5172 << 10, 64 << 10)
    assert [found.pending, found.blocked, found.ignored] == [frozenset({number}) for number in (10, 15, 13)]
    assert (found.queued_signals, found.permitted) == ((2, 31456), 1 << 29)
    assert (found.no_new_privileges, found.seccomp) == (True, 2)


def test_a_kernel_thread_has_no_memory() -> None:
    found = status.parse_status(recorded_proc.STATUS_OF_KERNEL_THREAD)

    assert found is not None
    assert (found.memory, found.resident, found.locked) == (None, None, None)
    assert found.ignored == frozenset(range(1, 65))


@pytest.mark.parametrize("text", [b"", b"Name:\tx\n", b"Uid:\t0\nGid:\t0\n", b"Uid:\tx 0 0 0\nGid:\t0 0 0 0\n"])
def test_what_is_no_status_is_none(text: bytes) -> None:
    assert status.parse_status(text) is None


def test_a_process_that_is_gone_or_a_zombie_has_none_or_little(reaper: Reaper) -> None:
    child = reaper.start(["true"])
    wait_for(lambda: observe.is_zombie_or_gone(child.pid), 30, "the end of true")
    zombie = status.status(child.pid)
    assert zombie is not None
    assert zombie.memory is None
    child.wait()

    assert status.status(child.pid) is None
    assert status.limits(child.pid) is None


@given(st.frozensets(st.integers(1, 64)))
def test_a_mask_of_signals_is_read_back(signals: frozenset[int]) -> None:
    mask = sum(1 << number - 1 for number in signals)

    assert status.signals_in(f"{mask:016x}") == signals


# Limits

LIMITS = {
    "cpu time": resource.RLIMIT_CPU,
    "file size": resource.RLIMIT_FSIZE,
    "data size": resource.RLIMIT_DATA,
    "stack size": resource.RLIMIT_STACK,
    "core file size": resource.RLIMIT_CORE,
    "processes": resource.RLIMIT_NPROC,
    "open files": resource.RLIMIT_NOFILE,
    "locked memory": resource.RLIMIT_MEMLOCK,
    "address space": resource.RLIMIT_AS,
    "pending signals": resource.RLIMIT_SIGPENDING,
    "nice priority": resource.RLIMIT_NICE,
    "realtime timeout": resource.RLIMIT_RTTIME,
}


def test_the_limits_of_this_process_are_those_of_getrlimit() -> None:
    found = status.limits(os.getpid())

    assert found is not None
    assert {name: found[name] for name in LIMITS} == {
        name: resource.getrlimit(number) for name, number in LIMITS.items()
    }
    assert found == observe.look(os.getpid()).limits


def test_a_limit_that_another_process_has_is_its_own(reaper: Reaper) -> None:
    child = reaper.start(["sleep", "1000"])
    resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (17, 19))

    found = status.limits(child.pid)

    assert found is not None
    assert found["open files"] == (17, 19)


def test_a_limit_without_a_unit_is_read_and_the_heading_is_not() -> None:
    found = status.parse_limits(recorded_proc.LIMITS)

    assert len(found) == 7
    assert found["nice priority"] == (0, 0)
    assert found["core file size"] == (0, status.UNLIMITED)
    assert found["open files"] == (1024, 1048576)


# What no kernel writes


@pytest.mark.fuzz
@given(st.binary() | recorded_proc.mutations("status"))
def test_any_bytes_are_a_status_or_none(text: bytes) -> None:
    found = status.parse_status(text)

    assert found is None or isinstance(found, status.Status)


@pytest.mark.fuzz
@given(st.binary() | recorded_proc.mutations("limits"))
def test_any_bytes_are_limits_or_passed_over(text: bytes) -> None:
    assert all(len(pair) == 2 for pair in status.parse_limits(text).values())


@pytest.mark.fuzz
@given(st.integers(0, 200), recorded_proc.mutations("status"))
def test_a_status_is_a_status_wherever_it_is_cut_off(length: int, text: bytes) -> None:
    status.parse_status(text[:length])


def test_the_first_process_can_be_seen_by_everybody() -> None:
    found = status.status(1)

    assert found is not None
    assert proc.stat(1) is not None
    assert found.uids == (0, 0, 0, 0)
