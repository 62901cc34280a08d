"""Who has died, and with which status: children, the keeper's children, and those of neither."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

import observe
from numen.keep.deaths import PATIENCE, Deaths
from numen.keep.house import Keeper
from numen.keep.kernel import Ended
from numen.keep.life import ProcessId
from processes import Reaper, wait_for

DEADLINE = 30.0


class Told:
    """A keeper of straw: what it tells, and whether it was let forget that."""

    def __init__(self) -> None:
        self.endings: list[Ended] = []
        self.forgotten = 0

    def receive(self) -> list[Ended]:
        told, self.endings = self.endings, []
        return told

    def forget(self) -> None:
        self.forgotten += 1


@pytest.fixture
def keeper() -> Told:
    return Told()


@pytest.fixture
def deaths(keeper: Told) -> Iterator[Deaths]:
    found = Deaths(cast(Keeper, keeper))
    yield found
    found.close()


def child(ends: Callable[[], Any]) -> ProcessId:
    """A child that does that, and ends with exit status 0 if it still lives."""
    pid = os.fork()
    if not pid:
        try:
            ends()
        finally:
            os._exit(0)
    return ProcessId(pid=pid, start_time=observe.start_time(pid))


def exits(status: int) -> Callable[[], Any]:
    return lambda: os._exit(status)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def all_of(deaths: Deaths, count: int) -> list[Ended]:
    """So many endings, each reaped as soon as it is told."""
    found: list[Ended] = []

    def look() -> bool:
        for ended in deaths.poll():
            found.append(ended)
            deaths.reap(ended.process)
        return len(found) >= count

    wait_for(look, DEADLINE, f"{count} endings")
    return found


@pytest.mark.parametrize(("ends", "status"), [(exits(0), 0), (exits(3), 3), (exits(255), 255), (killed, -9)])
def test_a_child_is_told_with_its_status(deaths: Deaths, ends: Callable[[], Any], status: int) -> None:
    process = child(ends)
    deaths.add_child(process)

    assert all_of(deaths, 1) == [Ended(process=process, status=status)]
    assert not os.path.exists(f"/proc/{process.pid}")


def test_a_child_stays_until_it_is_reaped(deaths: Deaths) -> None:
    process = child(exits(3))
    deaths.add_child(process)
    wait_for(lambda: observe.is_zombie_or_gone(process.pid), DEADLINE, "its end")

    for _ in range(3):
        ended = next(iter(deaths.poll()))
        assert ended == Ended(process=process, status=3)
        assert os.path.exists(f"/proc/{process.pid}")
    deaths.reap(process)
    assert list(deaths.poll()) == []


def test_a_child_is_not_taken_for_one_that_had_its_pid_before(deaths: Deaths) -> None:
    process = child(exits(3))
    deaths.add_child(process)
    wait_for(lambda: observe.is_zombie_or_gone(process.pid), DEADLINE, "its end")

    deaths.reap(process.replace(start_time=process.start_time - 1))

    assert all_of(deaths, 1) == [Ended(process=process, status=3)]


def test_a_hundred_children_are_told_in_one_look(deaths: Deaths) -> None:
    processes = [child(exits(number)) for number in range(100)]
    for process in processes:
        deaths.add_child(process)

    assert {(one.process, one.status) for one in all_of(deaths, 100)} == {
        (process, number) for number, process in enumerate(processes)
    }


def test_an_orphan_that_has_come_to_us_is_told_and_reaped(deaths: Deaths) -> None:
    process = child(exits(7))

    assert all_of(deaths, 1) == [Ended(process=process, status=7)]
    assert not os.path.exists(f"/proc/{process.pid}")


def test_one_of_whom_the_fork_helper_tells_only_after_its_end_is_told_again(deaths: Deaths) -> None:
    deaths.are_strangers_kept = True
    process = child(exits(7))
    all_of(deaths, 1)

    deaths.add_child(process)

    assert all_of(deaths, 1) == [Ended(process=process, status=7)]
    deaths.are_strangers_kept = False
    assert list(deaths.poll()) == []


def test_what_the_keeper_tells_is_forgotten_when_all_of_it_is_written_down(deaths: Deaths, keeper: Told) -> None:
    first, second = ProcessId(pid=2**22 + 1, start_time=1), ProcessId(pid=2**22 + 2, start_time=1)
    keeper.endings = [Ended(process=first, status=1), Ended(process=second, status=-15)]

    told = list(deaths.poll())
    assert [one.status for one in told] == [1, -15]
    deaths.reap(first)
    assert keeper.forgotten == 0
    deaths.reap(second)
    assert keeper.forgotten == 1


# Those of whom nobody tells

PARENT = """
import os, signal, sys
child = os.fork()
if not child:
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(int(sys.argv[2])))
    while True: signal.pause()
print(child, flush=True)
if sys.argv[1] == "reaps": os.waitpid(child, 0)
while True: signal.pause()
"""


def stranger(reaper: Reaper, parent: str, status: int) -> ProcessId:
    """One that is the child of another process, which reaps it at once or never; SIGUSR1 ends it with that status."""
    command = [sys.executable, "-S", "-c", PARENT, parent, str(status)]
    process = reaper.start(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    wait_for(lambda: signal.SIGUSR1 in observe.look(pid).signals.caught, DEADLINE, "its handler")
    return ProcessId(pid=pid, start_time=observe.start_time(pid))


def dies(deaths: Deaths, process: ProcessId) -> Ended:
    """Let a stranger die that is watched; what is told of it, in time."""
    pidfd = deaths.watch(process)
    assert pidfd is not None
    assert list(deaths.poll()) == []
    assert deaths.next_look() is None
    os.kill(process.pid, signal.SIGUSR1)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(DEADLINE * 1000)
    deaths.is_dying(process)
    before = time.monotonic()
    (ended,) = all_of(deaths, 1)
    assert time.monotonic() - before < PATIENCE + 1
    assert deaths.next_look() is None
    return ended


def test_one_that_nobody_reaps_tells_its_status_itself(deaths: Deaths, reaper: Reaper) -> None:
    process = stranger(reaper, "never", 9)

    assert dies(deaths, process) == Ended(process=process, status=9)


def test_of_one_that_was_reaped_by_another_the_status_is_asked_of_the_kernel(deaths: Deaths, reaper: Reaper) -> None:
    process = stranger(reaper, "reaps", 9)

    assert dies(deaths, process) in (Ended(process=process, status=9), Ended(process=process, status=None))


def test_where_nobody_can_tell_a_status_it_is_unknown_in_time(deaths: Deaths, reaper: Reaper) -> None:
    # Nobody reaps it, and 0 is also what the kernel says to those who may not know.
    process = stranger(reaper, "never", 0)

    assert dies(deaths, process) == Ended(process=process, status=None)


def test_one_that_is_gone_when_it_is_to_be_watched_is_told_at_once(deaths: Deaths, reaper: Reaper) -> None:
    process = stranger(reaper, "never", 0)
    another = ProcessId(pid=process.pid, start_time=process.start_time + 1)

    assert deaths.watch(another) is None
    assert deaths.next_look() == 0.0
    assert list(deaths.poll()) == [Ended(process=another, status=None)]


def test_one_that_is_a_zombie_when_it_is_to_be_watched_is_told_with_its_status(deaths: Deaths, reaper: Reaper) -> None:
    process = stranger(reaper, "never", 5)
    os.kill(process.pid, signal.SIGUSR1)
    wait_for(lambda: observe.is_zombie_or_gone(process.pid), DEADLINE, "its end")

    assert deaths.watch(process) is not None
    assert all_of(deaths, 1) == [Ended(process=process, status=5)]


def test_nobody_is_watched_twice(deaths: Deaths, reaper: Reaper) -> None:
    process = stranger(reaper, "never", 0)

    assert deaths.watch(process) is not None
    assert deaths.watch(process) is None
    assert list(deaths.poll()) == []
